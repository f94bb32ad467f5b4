"""Folders that the wandb package wrote offline, whole, cut, damaged, resumed and without their log."""

import json
import os
from pathlib import Path

import pytest

from exporters.found_runs import FoundRun
from exporters.wandb_log import LogDamaged, records
from exporters.wandb_runs import find
from tests.exporters.foreign_runs import wandb_run
from tests.exporters.models import tiny_bert

pytestmark = pytest.mark.slow  # every run is a process of wandb's own


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return wandb_run(tmp_path_factory.mktemp("wandb"), steps=600)


def only(root: Path) -> FoundRun:
    (place,) = find(root)
    return place.read()


def copied(folder: Path, to: Path, log: bytes) -> Path:
    """The run's folder elsewhere, with other bytes for its log."""
    copy = to / folder.name
    (copy / "files").mkdir(parents=True)
    (copy / log_of(folder).name).write_bytes(log)
    return copy


def log_of(folder: Path) -> Path:
    return next(folder.glob("*.wandb"))


def test_config_history_summary_and_end_of_an_offline_run_are_found(folder: Path) -> None:
    found = only(folder)
    assert (found.name, found.kind, found.status, found.faults) == ("first", "wandb", "FINISHED", [])
    assert found.identity == folder.name.rsplit("-", 1)[1]
    assert found.params == {"learning_rate": "0.01", "layers.hidden": "64"}
    losses = [(point.step, point.value) for point in found.points if point.metric == "loss"]
    assert losses == [(step, 1 / (step + 1)) for step in range(600)]  # of more than one block of 32 KiB
    assert [point.value for point in found.points if point.metric == "best"] == [0.5]
    assert {point.metric for point in found.points} == {"loss", "validation.accuracy", "best"}
    assert found.tags["wandb.project"] == "toy"
    assert found.tags["mlflow.note.content"] == "a note"
    assert found.started_seconds <= min(point.seconds for point in found.points)


def test_a_run_is_found_from_above_and_not_twice_through_the_link_to_the_latest(folder: Path) -> None:
    latest = folder.parent / "latest-run"
    if not latest.exists():
        latest.symlink_to(folder, target_is_directory=True)
    assert len(find(folder.parents[1])) == 1


@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
def test_a_log_that_is_cut_gives_the_steps_before_and_says_so(folder: Path, tmp_path: Path, share: float) -> None:
    log = log_of(folder).read_bytes()
    found = only(copied(folder, tmp_path, log[: int(len(log) * share)]))
    steps = [point.step for point in found.points if point.metric == "loss"]
    assert steps == list(range(len(steps)))
    assert 0 < len(steps) < 600
    assert "cut at byte" in found.faults[0]
    assert found.status == "RUNNING"  # nothing says that it ended


def test_a_changed_byte_ends_the_log_there(folder: Path, tmp_path: Path) -> None:
    log = bytearray(log_of(folder).read_bytes())
    log[len(log) // 2] ^= 0xFF
    found = only(copied(folder, tmp_path, bytes(log)))
    assert found.params
    assert "damaged" in found.faults[0]


def test_every_prefix_of_a_log_reads_or_says_that_it_is_cut(folder: Path, tmp_path: Path) -> None:
    log = log_of(folder).read_bytes()[:4000]
    file, read = tmp_path / "cut.wandb", 0
    for length in range(0, len(log), 7):
        file.write_bytes(log[:length])
        seen = 0
        try:
            for _ in records(file):
                seen += 1
        except LogDamaged:
            pass
        assert seen >= read  # never fewer than a shorter prefix gave
        read = seen


def test_what_is_no_log_is_named(folder: Path, tmp_path: Path) -> None:
    found = only(copied(folder, tmp_path, b"not a log at all"))
    assert "does not begin as a W&B log does" in found.faults[0]
    assert found.points == []


def test_the_plain_files_fill_in_what_the_log_lacks(folder: Path, tmp_path: Path) -> None:
    copy = copied(folder, tmp_path, b"")
    (copy / "files" / "config.yaml").write_text("_wandb:\n  value: {}\nseed:\n  desc: null\n  value: 7\n")
    (copy / "files" / "wandb-summary.json").write_text(json.dumps({"loss": 0.25, "_step": 9, "_timestamp": 1.7e9}))
    (copy / "files" / "wandb-metadata.json").write_text(json.dumps({"git": {"commit": "c0ffee"}}))
    tiny_bert(copy / "files" / "model")
    found = only(copy)
    assert found.params == {"seed": "7"}
    assert [(point.metric, point.value) for point in found.points] == [("loss", 0.25)]
    assert found.tags == {"mlflow.source.git.commit": "c0ffee"}
    assert found.checkpoint == copy / "files" / "model"


def test_folders_of_one_run_that_was_resumed_are_one_run(tmp_path: Path) -> None:
    first = wandb_run(tmp_path, steps=3, run_id="resumed1")
    second = first.with_name("offline-run-29991231_235959-resumed1")  # W&B names folders by the second
    os.rename(first, first.with_name("offline-run-20200101_000000-resumed1"))  # noqa: PTH104
    os.rename(wandb_run(tmp_path, steps=4, run_id="resumed1"), second)  # noqa: PTH104
    found = only(tmp_path)
    assert found.identity == "resumed1"
    assert len([point for point in found.points if point.metric == "loss"]) == 7
