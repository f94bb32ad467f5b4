"""Following a registry's alias: a real registry, a real export environment, a real server; and the rules alone."""

import logging
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from exporters.watch import LONGEST_WAIT_SECONDS, watch
from tests import bundles
from tests.servers import Server, environment, export_python, running, tidegate
from tidegate.bundle import Bundle
from tidegate.bundle_store import BundleStore
from tidegate.cli import follow
from tidegate.cli.follow import Follower
from tidegate.environments import CHECKOUT
from tidegate.errors import EnvironmentMissing, UsageError
from tidegate.settings import Settings

RUN = "models:/headlines@live"
STEPS = "tests.tidegate.registry_steps"
NO_EXPORT = "/nowhere/python"


def made_from(store: BundleStore, source: str, run_id: str = "") -> Bundle:
    """A toy bundle of `headlines` that says it comes from there."""
    toy = bundles.sentiment(store, "toy")
    lineage = toy.manifest.lineage.model_copy(update={"source_uri": source, "run_id": run_id})
    with store.staging("headlines") as folder:
        for file in toy.manifest.files:
            (folder / file).write_bytes(toy.file(file).read_bytes())
        fields: dict[str, Any] = {"name": "headlines", "lineage": lineage}
        return store.publish(
            "headlines",
            folder,
            lambda version, files: toy.manifest.model_copy(update=fields | {"version": version, "files": files}),
        )


def follower(home: Path) -> Follower:
    """One that has nothing to export with: whatever it brings about was there."""
    return Follower(Settings.load({}, home=home, follow=RUN, export_python=NO_EXPORT))


def said(version: int, run_id: str = "") -> dict[str, str]:
    return {"run": RUN, "source": f"models:/headlines/{version}", "run_id": run_id}


def test_what_the_newest_bundle_comes_from_is_not_exported_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = BundleStore(tmp_path / "bundles")
    made_from(store, "models:/headlines/1")
    made_from(store, RUN, run_id="abc")  # exported by its alias, whose run tells which version it was

    follower(tmp_path).carry_out(said(2, run_id="abc"))

    assert caplog.records == []
    assert store.aliases("headlines").canary is None


def test_a_version_that_was_exported_before_becomes_canary_as_it_is(tmp_path: Path) -> None:
    store = BundleStore(tmp_path / "bundles")
    for version in (1, 2, 3):
        made_from(store, f"models:/headlines/{version}", run_id="one run of all three")

    follower(tmp_path).carry_out(said(2, run_id="one run of all three"))

    aliases = store.aliases("headlines")
    assert (aliases.champion, aliases.canary) == (1, 2)
    assert store.versions("headlines") == [1, 2, 3]


def test_an_export_that_fails_changes_nothing_and_is_not_tried_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = BundleStore(tmp_path / "bundles")
    made_from(store, "models:/headlines/1")
    before = store.aliases("headlines")
    one = follower(tmp_path)

    for _ in range(3):
        one.carry_out(said(2))
    one.carry_out(said(3))

    errors = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert [error.partition(",")[0] for error in errors] == [
        f"{RUN} is now models:/headlines/2",
        f"{RUN} is now models:/headlines/3",
    ]
    assert all(NO_EXPORT in error for error in errors)
    assert (store.aliases("headlines"), store.versions("headlines")) == (before, [1])


def test_a_registry_that_does_not_answer_changes_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = BundleStore(tmp_path / "bundles")
    made_from(store, "models:/headlines/1")

    follower(tmp_path).carry_out({"run": RUN, "error": "nobody answers"})

    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "nobody answers; what is served stays" in caplog.text


def test_a_registry_that_is_not_there_is_told_once_and_asked_less_and_less_often(tmp_path: Path) -> None:
    told: list[dict[str, str]] = []
    waits: list[float] = []

    def wait(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 12:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        watch([RUN], f"sqlite:///{tmp_path / 'none.db'}", 10.0, told.append, wait)

    assert [each["run"] for each in told] == [RUN]
    assert "none.db" in told[0]["error"]
    assert waits[:3] == [20.0, 40.0, 80.0]
    assert waits[-1] == LONGEST_WAIT_SECONDS


def test_what_cannot_be_followed_is_refused_before_anything_starts(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"'models:/headlines/1' does not name an alias.*models:/NAME@ALIAS"):
        Settings.load({"TIDEGATE_FOLLOW": "models:/headlines/1"})
    with pytest.raises(UsageError, match="would both be the bundle 'headlines'"):
        follow.check(Settings.load({}, home=tmp_path, follow=f"{RUN}, models:/headlines@next"))
    with pytest.raises(EnvironmentMissing, match=NO_EXPORT):
        follow.check(Settings.load({}, home=tmp_path, follow=RUN, export_python=NO_EXPORT))


@pytest.mark.slow
def test_serve_says_at_once_that_it_cannot_follow(tmp_path: Path) -> None:
    done = tidegate(
        "serve", "--follow", RUN, "--home", tmp_path, "--port", "0", check=False, TIDEGATE_EXPORT_PYTHON=NO_EXPORT
    )

    assert done.returncode == 1
    assert NO_EXPORT in done.stderr
    assert "Traceback" not in done.stderr


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home whose registry has three versions: two of one run, one that no export takes; `live` is the first."""
    home = tmp_path_factory.mktemp("follow")
    (home / "mlflow").mkdir()
    take(home, "register", "twice")
    take(home, "register", "pickle")
    take(home, "alias", "1")
    return home


def take(home: Path, *step: str) -> None:
    """Take a step of `registry_steps` in the registry of a home."""
    command = [str(export_python()), "-m", STEPS, f"sqlite:///{home / 'mlflow' / 'mlflow.db'}", *step]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=CHECKOUT, env=environment())
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_an_alias_that_moves_brings_a_canary_and_a_bad_version_brings_nothing(registry: Path) -> None:
    with running(["serve", "--follow", RUN, "--follow-seconds", "1"], registry) as server:
        assert roles(server) == {"champion": 1}
        with Asking(server) as failed:
            take(registry, "alias", "2")
            eventually(lambda: roles(server) == {"champion": 1, "canary": 2})
            take(registry, "alias", "3")
            eventually(lambda: lines(server, "models:/headlines/3, which is not served"))
            [watcher] = watchers(server.process.pid)
            os.kill(watcher, signal.SIGKILL)
            eventually(lambda: watchers(server.process.pid) not in ([], [watcher]))
            eventually(lambda: lines(server, "the process that watches the registry ended"))
            time.sleep(5)  # the new watcher says once more where the alias points

        assert failed == []
        assert roles(server) == {"champion": 1, "canary": 2}
        assert len(lines(server, "models:/headlines/3, which is not served")) == 1
        assert "pickle" in lines(server, "which is not served")[0]
        [watcher] = watchers(server.process.pid)
        server.process.kill()
        eventually(lambda: not Path(f"/proc/{watcher}").exists(), 30)


@pytest.mark.slow
def test_a_dead_registry_does_not_hurt_serving_and_workers_share_one_watcher(tmp_path: Path) -> None:
    export_python()
    bundles.sentiment(BundleStore(tmp_path / "bundles"), "headlines")
    arguments = ["serve", "--workers", "2", "--follow", RUN, "--follow-seconds", "1"]
    with running(arguments, tmp_path, MLFLOW_TRACKING_URI="http://127.0.0.1:9") as server:
        eventually(lambda: lines(server, "cannot be fetched"))
        for _ in range(20):
            assert predict(server.url).status_code == 200
        workers = children(server.process.pid)
        assert len(watchers(server.process.pid)) == 1
        assert [watcher for worker in workers for watcher in watchers(worker)] == []
        assert roles(server) == {"champion": 1}
        assert len(lines(server, "cannot be fetched")) == 1


@pytest.mark.slow
def test_with_nothing_to_serve_and_nothing_to_export_the_start_fails_with_the_reason(tmp_path: Path) -> None:
    export_python()
    done = tidegate("serve", "--follow", RUN, "--home", tmp_path, "--port", "0", check=False)

    assert done.returncode == 1
    assert "there is no MLflow store at" in done.stderr
    assert "Traceback" not in done.stderr


def roles(server: Server) -> dict[str, int]:
    document = httpx.get(f"{server.url}/models/headlines/traffic", timeout=30).json()
    return {each["role"]: each["version"] for each in document["versions"]}


def lines(server: Server, words: str) -> list[str]:
    return [line for line in server.stderr if words in line]


def predict(url: str) -> httpx.Response:
    return httpx.post(f"{url}/models/headlines/predict", json={"inputs": "profit rises"}, timeout=30)


class Asking:
    """Predictions one after the other while the block lasts; gives the statuses that are not 200."""

    def __init__(self, server: Server) -> None:
        self._url = server.url
        self._failed: list[int] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._ask)

    def __enter__(self) -> list[int]:
        self._thread.start()
        return self._failed

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _ask(self) -> None:
        while not self._over.wait(0.05):
            status = predict(self._url).status_code
            if status != 200:
                self._failed.append(status)


def children(pid: int) -> list[int]:
    done = subprocess.run(["ps", "-o", "pid=,stat=", "--ppid", str(pid)], capture_output=True, text=True, check=False)
    return [int(row.split()[0]) for row in done.stdout.splitlines() if not row.split()[1].startswith("Z")]


def watchers(pid: int) -> list[int]:
    """Children of a process that watch a registry."""
    return [child for child in children(pid) if b"exporters.watch" in Path(f"/proc/{child}/cmdline").read_bytes()]


def eventually(condition: Callable[[], object], seconds: float = 120) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it never came to be"
        time.sleep(0.2)
