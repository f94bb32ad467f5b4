"""Faults of what is written: a locked database, a full disk, a webhook or a registry that is gone."""

import resource
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.faults.faults import PREDICT, TEXT, asked_meanwhile, said, server, until
from tests.servers import Server, export_python, monitors_of, tidegate

pytestmark = pytest.mark.slow

FEEDBACK = "/models/sentiment/feedback"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def served(home: Path) -> Iterator[Server]:
    with server(home, TIDEGATE_WINDOW_ROWS="50") as started:
        yield started


def correct(client: httpx.Client) -> httpx.Response:
    """Ask, and say that the answer was wrong."""
    asked = client.post(PREDICT, json=TEXT)
    return client.post(FEEDBACK, json={"prediction_id": asked.headers["x-prediction-id"], "label": "negative"})


def test_a_locked_database(home: Path, served: Server) -> None:
    """Predictions go on; feedback is answered 503 and not 201, and works again when the lock is gone."""
    with served.client() as client:
        assert correct(client).status_code == 201
        asked = client.post(PREDICT, json=TEXT).headers["x-prediction-id"]
        client.get("/models/sentiment/drift").raise_for_status()  # answered once its record is written
        with asked_meanwhile(served.url) as asking, sqlite3.connect(home / "state.db") as other:
            other.execute("BEGIN EXCLUSIVE")
            refused = client.post(FEEDBACK, json={"prediction_id": asked, "label": "negative"})
            of_now = correct(client)  # whose prediction cannot be written
            other.rollback()
        assert (refused.status_code, of_now.status_code) == (503, 503)
        assert "the feedback is not stored; try again" in refused.json()["detail"]
        assert "the feedback is not stored; try again" in of_now.json()["detail"]
        assert set(asking.statuses) == {200}
        assert asking.slowest_seconds < 5
        assert correct(client).status_code == 201


def test_a_full_disk(served: Server) -> None:
    """Predictions go on, what monitoring cannot write is counted; feedback is answered 503 until there is room."""
    # A limit on the size of files stands in for the full disk: the kernel refuses the write in the same place.
    pids = [served.process.pid, *monitors_of(served.process.pid)]
    before = resource.prlimit(pids[0], resource.RLIMIT_FSIZE)
    with served.client() as client:
        assert correct(client).status_code == 201
        for pid in pids:
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (1, before[1]))
        try:
            with asked_meanwhile(served.url) as asking:
                until(lambda: correct(client).status_code in (503, 404), 20)
                until(lambda: len(asking.statuses) > 60)
            assert set(asking.statuses) == {200}
        finally:
            for pid in pids:
                resource.prlimit(pid, resource.RLIMIT_FSIZE, before)
        until(lambda: correct(client).status_code == 201, 20)


def test_a_dead_webhook(tmp_path: Path) -> None:
    """The server predicts and raises alerts as ever; the log and a metric say it; deliveries wait in the database."""
    variables = {
        "TIDEGATE_WEBHOOK_URL": "http://127.0.0.1:9/alerts",
        "TIDEGATE_WEBHOOK_ALLOW_PRIVATE": "true",
        "TIDEGATE_WINDOW_ROWS": "50",
    }
    with server(tmp_path, **variables) as started, started.client() as client:
        for _ in range(4):
            texts = [f"zzz{n} qqq" for n in range(60)]
            assert client.post(PREDICT, json={"inputs": texts}).status_code == 200
        until(lambda: client.get("/models/sentiment/drift").json()["alert"])
        until(lambda: "tidegate_webhook_failures_total 0.0" not in client.get("/metrics").text)
        until(lambda: said(started.stderr, "webhook"))
        assert client.get("/readyz").status_code == 200
        assert client.post(PREDICT, json=TEXT).status_code == 200


def test_a_dead_registry(home: Path, served: Server) -> None:
    """`tidegate export` ends with exit code 1 and says which address did not answer; serving goes on."""
    export_python()
    variables = {"MLFLOW_TRACKING_URI": "http://127.0.0.1:9"}
    with asked_meanwhile(served.url) as asking:
        done = tidegate("export", "models:/nobody@champion", "--name", "m", "--home", home, check=False, **variables)
    assert done.returncode == 1
    assert "127.0.0.1" in done.stderr
    assert "Traceback" not in done.stderr
    assert set(asking.statuses) == {200}


def test_nothing_of_this_was_silent(served: Server) -> None:
    """The log names each fault that was met."""
    assert said(served.stderr, "the state database failed, so the feedback is not stored")
