"""Faults of processes and clocks: killed in each state, and a clock that jumps."""

import os
import signal
import sqlite3
import subprocess
import time
from pathlib import Path

import httpx
import pytest

from tests import bundles
from tests.faults.faults import PREDICT, TEXT, asked_meanwhile, server, until
from tests.servers import TIDEGATE, demos_of, environment, monitors_of
from tidegate.bundle_store import BundleStore

pytestmark = pytest.mark.slow

FAKETIME = sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))


def test_killed_while_it_serves(tmp_path: Path) -> None:
    """What was answered 201 is there after the next start, which takes no longer than any other."""
    with server(tmp_path) as started, started.client() as client:
        said = []
        for _ in range(20):
            asked = client.post(PREDICT, json=TEXT).headers["x-prediction-id"]
            body = {"prediction_id": asked, "label": "negative"}
            assert client.post("/models/sentiment/feedback", json=body).status_code == 201
            said.append(asked)
        started.process.send_signal(signal.SIGKILL)
        started.process.wait()
    with sqlite3.connect(tmp_path / "state.db") as database:
        kept = {row[0] for row in database.execute("select prediction_id from feedback")}
    assert set(said) <= kept
    with server(tmp_path) as again, again.client() as client:
        assert client.post(PREDICT, json=TEXT).status_code == 200


@pytest.mark.parametrize("seconds", [0.3, 1.0, 1.8, 2.5])
def test_killed_while_it_starts(tmp_path: Path, seconds: float) -> None:
    """Nothing is left that the next start would stumble over."""
    bundles.sentiment(BundleStore(tmp_path / "bundles"))
    command = [*TIDEGATE, "serve", "--home", str(tmp_path), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment()) as process:
        time.sleep(seconds)
        process.kill()
    with server(tmp_path) as again, again.client() as client:
        assert client.post(PREDICT, json=TEXT).status_code == 200


def test_told_twice_to_leave(tmp_path: Path) -> None:
    """A second signal during the lame duck ends the server at once, with exit code 0 and its windows saved."""
    with server(tmp_path, TIDEGATE_LAME_DUCK_SECONDS="20") as started, started.client() as client:
        assert client.post(PREDICT, json=TEXT).status_code == 200
        began = time.monotonic()
        started.process.terminate()
        until(lambda: httpx.get(f"{started.url}/readyz").status_code == 503, 5)
        assert client.post(PREDICT, json=TEXT).status_code == 200  # still served
        started.process.terminate()
        assert started.process.wait(15) == 0
        assert time.monotonic() - began < 15


def test_a_worker_that_is_killed(tmp_path: Path) -> None:
    """The other worker goes on answering, and another takes the place of the dead one."""
    with server(tmp_path, "--workers", "2") as started:
        children = Path(f"/proc/{started.process.pid}/task/{started.process.pid}/children").read_text().split()
        os.kill(int(children[0]), signal.SIGKILL)
        until(lambda: any("takes its place" in line for line in started.stderr))
        statuses = []
        for _ in range(40):
            try:
                statuses.append(httpx.post(started.url + PREDICT, json=TEXT).status_code)
            except httpx.TransportError:  # a connection that the dead worker had already been given
                continue
        assert set(statuses) == {200}
        assert len(statuses) >= 35


def test_a_monitor_process_that_is_killed(tmp_path: Path) -> None:
    """Callers notice nothing, another takes its place, and what the dead one had not written is counted."""
    with server(tmp_path) as started, started.client() as client:
        with asked_meanwhile(started.url) as asking:
            for _ in range(2):
                before = figure(client, "tidegate_monitor_rows_total")
                until(lambda: figure(client, "tidegate_monitor_rows_total") > before + 20, 60)  # noqa: B023
                os.kill(monitors_of(started.process.pid)[0], signal.SIGKILL)
            before = figure(client, "tidegate_monitor_rows_total")
            until(lambda: figure(client, "tidegate_monitor_rows_total") > before + 20, 60)
        assert client.get("/models/sentiment/drift").status_code == 200
        lost = figure(client, "tidegate_monitor_dropped_total")
    assert set(asking.statuses) == {200}
    with sqlite3.connect(tmp_path / "state.db") as database:
        watched = database.execute("select sum(rows) from windows").fetchone()[0]
    assert len(asking.statuses) <= watched + lost
    assert sum("the monitor process ended (killed by SIGKILL" in line for line in started.stderr) == 2


def test_a_demos_process_that_is_killed(tmp_path: Path) -> None:
    """Callers of the API notice nothing; visitors wait for the next one, or read that it is starting."""
    with server(tmp_path) as started, started.client() as client, asked_meanwhile(started.url) as asking:
        for _ in range(2):
            until(lambda: client.get("/demo/sentiment/").status_code == 200, 120)
            os.kill(demos_of(started.process.pid)[0], signal.SIGKILL)
        until(lambda: client.get("/demo/sentiment/").status_code == 200, 120)
    assert set(asking.statuses) == {200}
    assert sum("the demos' process ended (killed by SIGKILL" in line for line in started.stderr) == 2


def figure(client: httpx.Client, name: str) -> float:
    """A metric's value, summed over its labels."""
    lines = client.get("/metrics").text.splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))


@pytest.mark.skipif(not FAKETIME, reason="no libfaketime; to run this test: apt-get install faketime")
def test_a_clock_that_jumps(tmp_path: Path) -> None:
    """Deadlines hold, predictions and drift windows go on, whether the clock jumps a day ahead or a day back."""
    clock = tmp_path / "clock"
    clock.write_text("+0")
    faked = {
        "LD_PRELOAD": str(FAKETIME[0]),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "TIDEGATE_WINDOW_ROWS": "50",
    }
    with server(tmp_path / "home", **faked) as started, started.client() as client:
        for jump in ("+0", "+1d", "-1d", "+0"):
            clock.write_text(jump)
            texts = ["profit rises on strong sales"] * 60
            answer = client.post(PREDICT, json={"inputs": texts}, headers={"x-deadline-ms": "5000"})
            assert answer.status_code == 200, (jump, answer.text)
        until(lambda: len(client.get("/models/sentiment/drift").json()["windows"]) >= 4)
        asked = client.post(PREDICT, json=TEXT).headers["x-prediction-id"]
        body = {"prediction_id": asked, "label": "negative"}
        assert client.post("/models/sentiment/feedback", json=body).status_code == 201
        assert client.get("/readyz").status_code == 200
