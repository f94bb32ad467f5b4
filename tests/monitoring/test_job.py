"""The job: exact counts from many threads, a report of all that was recorded, durable feedback, a clean end."""

import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import func, select

from monitoring.job import MonitoringJob
from monitoring.labels.items import list_items
from tests.monitoring.conftest import House
from tidegate import store
from tidegate.errors import InvalidInput, PredictionNotFound
from tidegate.records import Monitor, Record, Recorder
from tidegate.store import feedback, records, windows

KEYS = {"model", "version", "status", "alert", "windows", "features"}


def renamed(record: Record, id: str) -> Record:
    return replace(record, id=id)


def as_serving_sees_it(job: MonitoringJob) -> tuple[Recorder, Monitor]:
    """For the type checker: a job is both."""
    return job, job


def test_the_report_holds_everything_recorded_before_it(house: House, job: MonitoringJob) -> None:
    for batch in range(5):
        job.record(house.usual(24, f"{batch}-"))
        seen = sum(window["rows"] for window in job.drift("sentiment", 1)["windows"])
        assert seen == 24 * (batch + 1)


def test_a_model_without_predictions_has_an_honest_report(job: MonitoringJob) -> None:
    report = job.drift("sentiment", 1)

    assert report.keys() >= KEYS
    assert (report["status"], report["alert"], report["windows"], report["features"]) == ("insufficient", False, [], [])


def test_usual_inputs_raise_nothing_and_other_inputs_an_alert(house: House, job: MonitoringJob) -> None:
    job.record(house.usual(300, "a"))
    calm = job.drift("sentiment", 1)
    job.record(house.novel(200, "b"))
    report = job.drift("sentiment", 1)

    assert (calm["status"], calm["alert"]) == ("ok", False)
    assert (report["status"], report["alert"]) == ("drift", True)
    worst = report["features"][0]
    assert worst["score"] > worst["threshold"]
    assert house.sample("tidegate_drift_alerts_total", model="sentiment") == 1
    assert house.sample("tidegate_relabel_queue_depth", model="sentiment", slot="drift") == 10
    assert house.sample("tidegate_drift_score", model="sentiment", feature=worst["name"]) == worst["score"]
    assert house.sample("tidegate_drift_threshold", model="sentiment", feature=worst["name"]) == worst["threshold"]
    assert house.sample("tidegate_monitor_rows_total", model="sentiment") == 500
    house.now += 7
    assert house.sample("tidegate_profile_grown_timestamp_seconds", model="sentiment") == 1_000


def test_eight_threads_recording_are_counted_exactly(house: House, job: MonitoringJob) -> None:
    rows = house.usual(20, "x")

    def hammer(thread: int) -> None:
        for turn in range(25):
            job.record([renamed(r, f"{thread}-{turn}-{r.id}") for r in rows])

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(hammer, range(8)))
    job.drift("sentiment", 1)

    with house.database.connect() as connection:
        assert connection.scalar(select(func.sum(windows.c.rows))) == 8 * 25 * 20
        assert connection.scalar(select(func.count()).select_from(records)) == 8 * 25 * 20
    assert house.sample("tidegate_monitor_dropped_total") == 0


def test_what_the_queue_cannot_hold_is_counted(house: House) -> None:
    never_started = house.job()
    for _ in range(3):
        never_started.record(house.usual(100, "a") * 100)

    assert house.sample("tidegate_monitor_dropped_total") == 10_000


def test_a_batch_that_cannot_be_written_is_counted_and_the_next_one_is_written(
    house: House, job: MonitoringJob, caplog: pytest.LogCaptureFixture
) -> None:
    (record,) = house.usual(1, "a")
    broken = replace(record, scores=(1.0,), text="a secret")
    job.record([broken])
    job.drift("sentiment", 1)
    job.record(house.usual(10, "b"))

    assert [w["rows"] for w in job.drift("sentiment", 1)["windows"]] == [10]
    assert house.sample("tidegate_monitor_dropped_total") == 1
    assert "a secret" not in caplog.text


def test_feedback_on_a_prediction_just_made_finds_it(house: House, job: MonitoringJob) -> None:
    job.record(house.usual(3, "a"))
    item_id = job.feedback("sentiment", "a1", "negative", "clearly\nbad \ud800")

    (item,) = list_items(house.database)
    assert (item.id, item.prediction_id, item.reason, item.state) == (item_id, "a1", "feedback", "new")
    assert (item.suggested, item.comment) == ("negative", "clearly\nbad \ufffd\ufffd\ufffd")
    with house.database.connect() as connection:
        assert connection.scalar(select(feedback.c.label)) == "negative"


def test_reports_on_one_text_are_one_item_and_each_is_kept(house: House, job: MonitoringJob) -> None:
    (record,) = house.usual(1, "a")
    shouted = replace(record, id="b", text=f"  {record.text.upper()}")
    job.record([record, shouted])

    assert job.feedback("sentiment", "a0", "negative", "") == job.feedback("sentiment", "b", "unsure", "")
    assert [item.suggested for item in list_items(house.database)] == ["unsure"]
    with house.database.connect() as connection:
        assert list(connection.scalars(select(feedback.c.label))) == ["negative", "unsure"]


def test_feedback_takes_the_labels_of_the_bundle_and_no_others(house: House, job: MonitoringJob) -> None:
    job.record(house.usual(1, "a"))
    with pytest.raises(
        InvalidInput, match="'great' is no label of sentiment; use one of: negative, neutral, positive, unsure"
    ):
        job.feedback("sentiment", "a0", "great", "")
    with pytest.raises(InvalidInput, match="4001 characters"):
        job.feedback("sentiment", "a0", "negative", "x" * 4_001)
    job.feedback("sentiment", "a0", "unsure", "")


@pytest.mark.parametrize("id", ["nobody", "", "' OR 1=1 --", "\ud800", "\0"])
def test_feedback_on_an_unknown_prediction_is_not_found(job: MonitoringJob, id: str) -> None:
    with pytest.raises(PredictionNotFound):
        job.feedback("sentiment", id, "negative", "")


def test_feedback_on_a_prediction_of_another_model_is_not_found(house: House, job: MonitoringJob) -> None:
    job.record(house.usual(1, "a"))

    with pytest.raises(PredictionNotFound, match="'a0' of other"):
        job.feedback("other", "a0", "negative", "")


def test_stop_saves_the_open_window_and_the_next_job_goes_on(house: House) -> None:
    first, second = house.job(), MonitoringJob(house.database, house.bundles, house.settings, type(house.registry)())
    first.start()
    first.record(house.usual(30, "a"))
    before = time.monotonic()
    first.stop()
    took = time.monotonic() - before
    second.start()
    second.record(house.usual(30, "b"))
    report = second.drift("sentiment", 1)
    second.stop()

    assert took < 2
    assert [w["rows"] for w in report["windows"]] == [60]
    assert not [t for t in threading.enumerate() if t.name == "tidegate-monitoring"]


def test_records_after_stop_are_dropped_and_counted(house: House) -> None:
    job = house.job()
    job.start()
    job.stop()
    job.record(house.usual(4, "a"))

    assert house.sample("tidegate_monitor_dropped_total") == 4


CHILD = """
import sys
from pathlib import Path
from prometheus_client import CollectorRegistry
from monitoring.job import MonitoringJob
from tests import bundles
from tidegate import store
from tidegate.bundle_store import BundleStore
from tidegate.settings import Settings

settings = Settings(home=Path(sys.argv[1]))
store_ = BundleStore(settings.bundles_dir)
bundle = store_.load("sentiment")
job = MonitoringJob(store.open_database(settings.state_url), store_, settings, CollectorRegistry())
job.start()
batch = 0
while True:
    rows = bundles.predictions(bundle, bundles.headlines(20, batch), prefix=f"{batch}-")
    job.record(rows)
    job.feedback("sentiment", f"{batch}-7", "negative", f"comment {batch}")
    print(f"{batch}-7", flush=True)
    batch += 1
    if "--leave" in sys.argv and batch == 3:
        job.record(bundles.predictions(bundle, bundles.headlines(20, batch), prefix="last-"))
        break
"""


def test_a_killed_process_loses_no_acknowledged_feedback(house: House) -> None:
    house.database.dispose()
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(house.settings.home)], stdout=subprocess.PIPE, text=True, cwd=Path.cwd()
    )
    stream = child.stdout
    assert stream is not None
    with child, stream:
        acknowledged = [stream.readline().strip() for _ in range(8)]
        os.kill(child.pid, signal.SIGKILL)
        acknowledged += [line.strip() for line in stream if line.endswith("\n")]

    database = store.open_database(house.settings.state_url)
    with database.connect() as connection:
        kept = set(connection.scalars(select(feedback.c.prediction_id)))
        counted = connection.scalar(select(func.sum(windows.c.rows)))
        stored = connection.scalar(select(func.count()).select_from(records))
    database.dispose()
    assert set(acknowledged) <= kept
    assert counted == stored, "a batch is in its window's profile and in the records, or in neither"


def test_a_process_that_forgets_to_stop_still_ends_and_keeps_its_records(house: House) -> None:
    house.database.dispose()
    child = [sys.executable, "-c", CHILD, str(house.settings.home), "--leave"]
    done = subprocess.run(child, capture_output=True, text=True, timeout=60, check=False)

    assert done.returncode == 0, done.stderr
    database = store.open_database(house.settings.state_url)
    with database.connect() as connection:
        assert connection.scalar(select(func.sum(windows.c.rows))) == 80
    database.dispose()


def test_a_correction_finds_a_prediction_that_another_worker_has_just_made(house: House) -> None:
    house.settings = house.settings.model_copy(update={"workers": 2})
    job, other = house.job(), house.job_of_another_worker()
    job.start()
    other.start()
    [made] = house.usual(1, "a")
    other.record([made])
    item = job.feedback("sentiment", made.id, "negative", "")
    job.stop()
    other.stop()

    assert item
