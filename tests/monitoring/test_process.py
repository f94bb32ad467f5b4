"""The monitor process, seen from its gateway: order, drops, deaths and ends; every child here is a real one."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from sqlalchemy import func, select

from monitoring import link
from monitoring import process as gateway_side
from monitoring.intake import MAX_ROWS
from monitoring.link import MOST_UNDER_WAY
from monitoring.process import MonitorProcess
from monitoring.tables import storable
from tests import bundles
from tests.monitoring.conftest import House
from tests.monitoring.test_parcels import STRANGE
from tests.servers import monitors_of, running
from tidegate import store
from tidegate.bundle_store import BundleStore
from tidegate.errors import InvalidInput, NotReady, PredictionNotFound, UsageError
from tidegate.records import Monitor, Recorder
from tidegate.settings import Settings

pytestmark = pytest.mark.slow


@pytest.fixture
def monitor(house: House) -> Iterator[MonitorProcess]:
    house.now = time.time()
    process = MonitorProcess(house.settings, house.registry)
    process.start()
    yield process
    process.stop()
    assert monitors_of(os.getpid()) == []


def alive(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat[stat.rindex(")") + 2] not in "ZX"


def eventually(holds: Callable[[], bool]) -> None:
    until = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < until, "it never came to be"
        time.sleep(0.05)


def rows(house: House) -> tuple[int, int]:
    """Records in the database, and rows in its windows."""
    with house.database.connect() as connection:
        kept = connection.scalar(select(func.count()).select_from(store.records))
        return kept or 0, connection.scalar(select(func.sum(store.windows.c.rows))) or 0


def dropped(house: House) -> int:
    return int(house.sample("tidegate_monitor_dropped_total") or 0)


def profiled(house: House) -> int:
    return int(house.sample("tidegate_monitor_rows_total", model="sentiment") or 0)


def reported(monitor: MonitorProcess) -> int:
    return sum(window["rows"] for window in monitor.drift("sentiment", 1)["windows"])


def as_serving_sees_it(monitor: MonitorProcess) -> tuple[Recorder, Monitor]:
    return monitor, monitor


def test_the_report_holds_everything_recorded_before_it(house: House, monitor: MonitorProcess) -> None:
    for turn in range(5):
        monitor.record(house.usual(70, str(turn)))
        assert reported(monitor) == 70 * (turn + 1)
        assert profiled(house) == 70 * (turn + 1)
    assert dropped(house) == 0


def test_metrics_of_the_child_are_those_of_the_gateway(house: House, monitor: MonitorProcess) -> None:
    for turn in range(3):
        monitor.record(house.novel(100, str(turn)))
        monitor.drift("sentiment", 1)
    assert monitor.alerts("sentiment", "open")
    assert monitor.data("sentiment", 1, "last")["features"]
    assert (house.sample("tidegate_drift_alerts_total", model="sentiment") or 0) >= 1
    assert (house.sample("tidegate_drift_score", model="sentiment", feature="unknown_rate") or 0) > 0
    eventually(lambda: house.sample("tidegate_alerts_open", model="sentiment", kind="drift", severity="ticket") == 1)


def test_texts_of_any_kind_reach_the_database_and_come_back(house: House, monitor: MonitorProcess) -> None:
    records = [replace(each, text=text) for each, text in zip(house.usual(6, "s"), STRANGE, strict=True)]
    monitor.record(records)
    assert reported(monitor) == 6
    texts = monitor.texts("sentiment", [each.id for each in records])
    assert [texts[each.id] for each in records] == [storable(text) for text in STRANGE]


def test_what_the_job_refuses_the_gateway_refuses(house: House, monitor: MonitorProcess) -> None:
    monitor.record(house.usual(1, "f"))
    with pytest.raises(PredictionNotFound, match="no prediction 'unknown'"):
        monitor.feedback("sentiment", "unknown", "positive", "")
    with pytest.raises(InvalidInput, match="is no label of sentiment"):
        monitor.feedback("sentiment", house.usual(1, "f")[0].id, "purple", "")
    assert monitor.feedback("sentiment", house.usual(1, "f")[0].id, "positive", "")


def test_feedback_on_what_still_waits_to_be_sent_is_to_be_tried_again(
    house: House, monitor: MonitorProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert reported(monitor) == 0  # so the child is there
    (record,) = house.usual(1, "w")
    with monkeypatch.context() as crowded:
        crowded.setattr(link, "MOST_UNDER_WAY", 0)
        crowded.setattr(gateway_side, "BARRIER_SECONDS", 0.2)
        monitor.record([record])
        with pytest.raises(NotReady, match="behind, so the feedback is not stored; try again"):
            monitor.feedback("sentiment", record.id, "positive", "")
    assert monitor.feedback("sentiment", record.id, "positive", "")


def test_settings_that_the_job_would_refuse_are_refused_before_anything_starts(house: House) -> None:
    with pytest.raises(UsageError, match="webhook_url"):
        MonitorProcess(house.settings.model_copy(update={"webhook_url": "nonsense"}), house.registry)
    with pytest.raises(UsageError, match="cannot be redacted"):
        MonitorProcess(house.settings.model_copy(update={"redact": "dreams"}), house.registry)


def test_a_killed_child_is_replaced_and_every_record_is_counted_or_counted_as_dropped(
    house: House, monitor: MonitorProcess
) -> None:
    recorded = 0
    for turn in range(30):
        monitor.record(house.usual(50, f"k{turn}-"))
        recorded += 50
        time.sleep(0.05)
        if turn in (10, 20):
            eventually(lambda: len(monitors_of(os.getpid())) == 1)
            os.kill(monitors_of(os.getpid())[0], signal.SIGKILL)
    eventually(lambda: reported(monitor) + dropped(house) >= recorded)
    kept, in_windows = rows(house)

    assert kept == in_windows
    assert kept >= 50 * 8  # what came after the last kill, at least
    # A child that dies between writing and saying so leaves what it wrote counted as dropped too.
    assert recorded <= kept + dropped(house) <= recorded + 2 * 50 * 20


def test_a_kill_under_load_costs_no_more_than_what_was_under_way(house: House, monitor: MonitorProcess) -> None:
    assert reported(monitor) == 0  # so the child is there
    records, recorded, kills = house.usual(500, "l"), 0, 2
    for turn in range(24):
        monitor.record([replace(each, id=f"{turn}-{each.id}") for each in records])
        recorded += 500
        time.sleep(0.02)
        if turn in (8, 16):
            eventually(lambda: len(monitors_of(os.getpid())) == 1)
            os.kill(monitors_of(os.getpid())[0], signal.SIGKILL)
    eventually(lambda: profiled(house) + dropped(house) >= recorded)
    kept_or_written = rows(house)[1]

    assert 0 < dropped(house) <= kills * MOST_UNDER_WAY
    assert recorded <= kept_or_written + dropped(house)


def test_a_question_to_a_child_that_dies_is_refused_or_answered_by_the_next(
    house: House, monitor: MonitorProcess
) -> None:
    monitor.record(house.usual(100, "q"))
    assert reported(monitor) == 100
    pid = monitors_of(os.getpid())[0]
    os.kill(pid, signal.SIGSTOP)
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(monitor.drift, "sentiment", 1)
        time.sleep(0.2)
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(NotReady, match="ask again"):
            answer.result(30)
    assert reported(monitor) == 100


def test_a_child_that_stands_still_costs_records_and_never_the_caller(house: House, monitor: MonitorProcess) -> None:
    records = house.usual(500, "p")
    monitor.record(records)
    assert reported(monitor) == 500
    pid = monitors_of(os.getpid())[0]
    os.kill(pid, signal.SIGSTOP)
    turns = 2 * MAX_ROWS // 500
    for turn in range(turns):
        monitor.record([replace(each, id=f"{turn}-{each.id}") for each in records])
    assert dropped(house) > 0
    os.kill(pid, signal.SIGCONT)
    recorded = 500 * (turns + 1)
    eventually(lambda: profiled(house) + dropped(house) == recorded)
    assert rows(house)[1] + dropped(house) == recorded


def test_what_was_recorded_before_the_stop_is_written_by_then(house: House) -> None:
    house.now = time.time()
    process = MonitorProcess(house.settings, house.registry)
    process.start()
    assert reported(process) == 0  # so the child is there
    for turn in range(40):
        process.record(house.usual(25, f"{turn}-"))
    process.stop()
    assert rows(house) == (1_000, 1_000)
    process.record(house.usual(1, "late"))
    assert dropped(house) == 1


@pytest.fixture
def home(tmp_path: Path) -> Path:
    bundles.sentiment(BundleStore(tmp_path / "bundles"))
    return tmp_path


def watched(home: Path) -> int:
    """Predictions that are in some window."""
    database = store.open_database(Settings(home=home).state_url)
    with database.connect() as connection:
        count = connection.scalar(select(func.sum(store.windows.c.rows)))
    database.dispose()
    return count or 0


def predict(client: httpx.Client, texts: int, seed: int) -> int:
    inputs = bundles.headlines(texts, seed)
    return client.post("/models/sentiment/predict", json={"inputs": inputs}).status_code


def test_a_killed_gateway_leaves_no_monitor_process_and_what_it_sent_is_written(home: Path) -> None:
    with running(["serve"], home) as server, server.client() as client:
        assert predict(client, 50, seed=1) == 200
        assert client.get("/models/sentiment/drift").json()["windows"][0]["rows"] == 50
        assert predict(client, 30, seed=2) == 200
        pid = monitors_of(server.process.pid)[0]
        time.sleep(0.5)  # the sender has gathered and sent by then, the child has not written yet, perhaps
        server.process.kill()
        eventually(lambda: not alive(pid))
    assert watched(home) == 80


def test_a_server_that_is_told_to_end_writes_every_answer_that_it_gave(home: Path) -> None:
    with running(["serve"], home) as server, server.client() as client:
        with ThreadPoolExecutor(8) as pool:
            assert set(pool.map(lambda seed: predict(client, 10, seed), range(40))) == {200}
        pid = monitors_of(server.process.pid)[0]
    assert not alive(pid)
    assert watched(home) == 400


def test_whylogs_lives_in_the_monitor_process_and_not_in_the_gateway(home: Path) -> None:
    with running(["serve"], home) as server, server.client() as client:
        assert predict(client, 60, seed=1) == 200
        assert client.get("/models/sentiment/drift").status_code == 200
        (pid,) = monitors_of(server.process.pid)
        libraries = {each: Path(f"/proc/{each}/maps").read_text() for each in (server.process.pid, pid)}
    assert "whylogs_sketching" in libraries[pid]
    assert "whylogs_sketching" not in libraries[server.process.pid]
    for needless in ("onnxruntime", "gradio", "uvloop", "tokenizers", "sklearn"):
        assert needless not in libraries[pid]


def test_the_gateway_imports_nothing_that_only_the_monitoring_job_needs() -> None:
    heavy = "{'whylogs', 'pandas', 'sklearn', 'monitoring.job', 'monitoring.writer'}"
    code = f"import sys, tidegate.cli.gateway; print({heavy} & {{*sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
