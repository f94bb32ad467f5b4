"""The reader of the registry: answers at once, reads behind, one child at a time, and says what went wrong."""

import logging
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.servers import tidegate
from tidegate import environments
from tidegate.cli.registry_reader import FRESH_SECONDS, MOST_KEPT, RegistryReader, registry_reader
from tidegate.errors import EnvironmentMissing, RunNotFound
from tidegate.settings import Settings


class Registry:
    """A registry that counts what it is asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.raises: Exception | None = None
        self.open = threading.Event()
        self.open.set()
        self.now = 1_000.0

    def ask(self, action: str, arguments: dict[str, Any]) -> Sequence[Mapping[str, Any]]:
        self.asked.append((action, arguments))
        assert self.open.wait(30)
        if self.raises is not None:
            raise self.raises
        return [{"number": len(self.asked)}]

    def clock(self) -> float:
        return self.now


@pytest.fixture
def registry() -> Registry:
    return Registry()


@pytest.fixture
def reader(registry: Registry) -> RegistryReader:
    return RegistryReader(registry.ask, registry.clock)


def test_the_first_answer_is_that_nothing_is_known_yet(reader: RegistryReader, registry: Registry) -> None:
    assert reader.listed().pending
    reader.wait()
    read = reader.listed()
    assert (read.documents, read.as_of, read.pending) == ([{"number": 1}], registry.now, False)
    assert registry.asked == [("all_runs", {})]


def test_what_is_known_is_answered_while_it_is_read_again(reader: RegistryReader, registry: Registry) -> None:
    reader.listed()
    reader.wait()
    registry.now += FRESH_SECONDS + 1
    registry.open.clear()
    assert reader.listed().documents == [{"number": 1}]
    assert reader.listed().documents == [{"number": 1}]
    registry.open.set()
    reader.wait()
    assert reader.listed().documents == [{"number": 2}]
    assert len(registry.asked) == 2


def test_one_child_runs_at_a_time_and_another_question_is_read_when_it_comes_again(
    reader: RegistryReader, registry: Registry
) -> None:
    registry.open.clear()
    assert reader.listed().pending
    assert reader.documents(["a"]).pending
    registry.open.set()
    reader.wait()
    assert reader.documents(["a"]).pending
    reader.wait()
    assert reader.documents(["a"]).documents == [{"number": 2}]
    assert registry.asked == [("all_runs", {}), ("read_runs", {"runs": ["a"]})]


def test_of_many_questions_the_newest_are_kept(reader: RegistryReader, registry: Registry) -> None:
    for number in range(MOST_KEPT + 1):
        reader.documents([f"run {number}"])
        reader.wait()
    assert not reader.documents([f"run {MOST_KEPT}"]).pending
    assert reader.documents(["run 0"]).pending
    reader.wait()
    assert len(registry.asked) == MOST_KEPT + 2


@pytest.mark.parametrize(
    ("error", "words"), [(RunNotFound("no such run"), "no such run"), (ValueError("x"), "the server's log")]
)
def test_why_it_could_not_be_read_is_said_and_logged(
    reader: RegistryReader, registry: Registry, error: Exception, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    registry.raises = error
    with caplog.at_level(logging.WARNING, "tidegate.registry"):
        reader.listed()
        reader.wait()
    read = reader.listed()
    assert words in read.failure
    assert not read.pending
    assert "could not be read" in caplog.text


def test_no_runs_are_no_question(reader: RegistryReader, registry: Registry) -> None:
    assert reader.documents([]).documents == []
    assert registry.asked == []


def test_without_an_export_environment_there_is_no_reader(tmp_path: Path) -> None:
    settings = Settings.load({}, home=tmp_path, export_python=str(tmp_path / "none"))
    assert registry_reader(settings) is None


@pytest.mark.slow
def test_the_runs_of_a_real_registry_are_read_by_a_real_child(tmp_path: Path) -> None:
    try:
        environments.export_python()
    except EnvironmentMissing as missing:
        pytest.skip(str(missing))
    folder = tmp_path / "runs" / "mine" / "checkpoint-2"
    folder.mkdir(parents=True)
    history = '[{"step": 1, "loss": 1.0}, {"step": 2, "loss": 0.5}]'
    (folder / "trainer_state.json").write_text(f'{{"global_step": 2, "max_steps": 2, "log_history": {history}}}')
    tidegate("runs", "import", tmp_path / "runs", "--home", tmp_path / "home")
    reader = registry_reader(Settings.load({}, home=tmp_path / "home"))
    assert reader is not None
    (listed,) = settled(reader, [])
    assert (listed["name"], listed["experiment"]) == ("mine", "imported")
    (told,) = settled(reader, [listed["run_id"]])
    assert told["curves"]["loss"]["values"] == [1.0, 0.5]
    assert settled(reader, ["f" * 32]) is None


def settled(reader: RegistryReader, run_ids: Sequence[str]) -> Any:
    """What it says in the end."""
    while True:
        read = reader.documents(run_ids) if run_ids else reader.listed()
        if not read.pending:
            return read.documents
        time.sleep(0.05)
