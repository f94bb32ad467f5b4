"""Four processes of 32 threads, a kill, a server that is told to end, secrets in every text: counts are exact."""

import logging
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import httpx
import numpy as np
import pytest
from prometheus_client import generate_latest
from sqlalchemy import Engine, func, select

from monitoring import profiles
from monitoring.features import LABEL
from monitoring.reference import load_reference
from monitoring.summary import Summary
from tests import bundles, postgres
from tests.monitoring.conftest import House
from tests.servers import running
from tidegate import store
from tidegate.redaction import is_card
from tidegate.settings import Settings

CHILD = """
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from prometheus_client import CollectorRegistry
from monitoring.job import MonitoringJob
from tests import bundles
from tidegate import store
from tidegate.bundle_store import BundleStore
from tidegate.settings import Settings

home, url, me, endless = Path(sys.argv[1]), sys.argv[2], sys.argv[3], len(sys.argv) > 4
windows = {"window_rows": 200, "window_spacing_seconds": 0}
settings = Settings(home=home, database_url=url, keep_records=1_000_000, workers=4, **windows)
kept = BundleStore(settings.bundles_dir)
rows = bundles.predictions(kept.load("sentiment"), bundles.headlines(16, int(me)))
job = MonitoringJob(store.open_database(settings.state_url), kept, settings, CollectorRegistry())
job.start()
print("ready", flush=True)
sys.stdin.readline()

def hammer(thread):
    turn = 0
    while endless or turn < 10:
        started = job._clock()
        job.record([replace(row, id=f"{me}-{thread}-{turn}-{at}", created_at=started) for at, row in enumerate(rows)])
        turn += 1
        if endless:
            job.drift("sentiment", 1)

with ThreadPoolExecutor(32) as pool:
    list(pool.map(hammer, range(32)))
job.stop()
"""
WRITTEN = 4 * 32 * 10 * 16


def start(house: House, url: str, count: int, *more: str) -> list["subprocess.Popen[str]"]:
    pipe = subprocess.PIPE
    argv = [sys.executable, "-c", CHILD, str(house.settings.home), url]
    children = [
        subprocess.Popen([*argv, str(n), *more], stdin=pipe, stdout=pipe, stderr=pipe, text=True) for n in range(count)
    ]
    assert [child.stdout.readline() for child in children if child.stdout] == ["ready\n"] * count
    for child in children:
        assert child.stdin is not None
        child.stdin.write("go\n")
        child.stdin.flush()
    return children


@contextmanager
def opened(house: House, dialect: str) -> Iterator[tuple[str, Engine]]:
    if dialect == "sqlite":
        yield "", house.database
        return
    with postgres.server() as url:
        database = store.open_database(url)
        try:
            yield url, database
        finally:
            database.dispose()


def counts(database: Engine) -> tuple[int, int, int]:
    """Rows in windows, in periods, and records."""
    with database.connect() as connection:
        windows = connection.scalar(select(func.sum(store.windows.c.rows)))
        periods = connection.scalar(select(func.sum(store.periods.c.rows)))
        return windows or 0, periods or 0, connection.scalar(select(func.count()).select_from(store.records)) or 0


def labels(house: House, database: Engine) -> list[dict[str, int]]:
    """Rows per label in records, windows and periods."""
    block = load_reference(house.bundle).layout.block(LABEL)
    with database.connect() as connection:
        found = [dict(Counter(connection.scalars(select(store.records.c.label))))]
        for table in (store.windows, store.periods):
            vectors = [Summary.from_bytes(each).sums[block.place] for each in connection.scalars(select(table.c.sums))]
            shares = np.sum(vectors, axis=0)
            names = load_reference(house.bundle).layout.bins[LABEL].categories
            found.append({name: int(n) for name, n in zip(names, shares, strict=False) if n})
    return found


@pytest.mark.slow
@pytest.mark.parametrize("dialect", ["sqlite", "postgresql"])
def test_what_four_processes_of_32_threads_record_is_counted_exactly(house: House, dialect: str) -> None:
    with opened(house, dialect) as (url, database):
        children = start(house, url, 4)
        ends = [child.communicate(timeout=200) for child in children]
        assert [child.returncode for child in children] == [0] * 4, ends
        assert not [told for _, told in ends if "Traceback" in told]

        assert counts(database) == (WRITTEN, WRITTEN, WRITTEN)
        of_records, of_windows, of_periods = labels(house, database)
        assert of_records == of_windows == of_periods
        with database.connect() as connection:
            contents = list(connection.scalars(select(store.profiles.c.content)))
            still_open = connection.scalar(select(func.count()).where(store.windows.c.open))
            sizes = set(connection.scalars(select(store.windows.c.rows).where(store.windows.c.open.is_(False))))
        assert sum(profiles.row_count(profiles.deserialize(content)) for content in contents) == WRITTEN
        assert still_open == (WRITTEN % 200 > 0)
        assert sizes == {200}


@pytest.mark.slow
def test_killed_processes_leave_whole_batches_or_nothing(house: House) -> None:
    wait = Random(3)
    for _ in range(3):
        children = start(house, "", 2, "endless")
        time.sleep(wait.uniform(0.5, 2.5))
        for child in children:
            child.kill()
        for child in children:
            child.communicate()
        in_windows, in_periods, kept = counts(house.database)
        assert in_windows == in_periods
        assert kept <= in_windows, "an id that comes again after a restart is kept once and counted twice"
        house.writer(keep_records=1_000_000).write(house.usual(3, f"{time.time_ns()}-"))  # goes on where they stopped
    of_windows, of_periods = labels(house, house.database)[1:]
    assert of_windows == of_periods
    with house.database.connect() as connection:
        rows = connection.execute(select(store.profiles.c.rows, store.profiles.c.content)).all()
    assert [profiles.row_count(profiles.deserialize(row.content)) for row in rows] == [row.rows for row in rows]
    assert sum(row.rows for row in rows) <= counts(house.database)[0]


@pytest.mark.slow
def test_a_server_that_is_told_to_end_saves_its_open_window_and_its_profile(house: House) -> None:
    house.database.dispose()
    with running(["serve"], house.settings.home) as server, server.client() as client:
        for _ in range(3):
            answer = client.post("/models/sentiment/predict", json={"inputs": bundles.headlines(10, 1)})
            assert answer.status_code == httpx.codes.OK
        told = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        code = server.process.wait(timeout=60)
        sys.stdout.write(f"ended {time.monotonic() - told:.2f} s after the last answer\n")

    assert code == 0
    database = store.open_database(Settings(home=house.settings.home).state_url)
    with database.connect() as connection:
        assert list(connection.execute(select(store.windows.c.rows, store.windows.c.open))) == [(30, True)]
        assert connection.scalar(select(func.sum(store.periods.c.rows))) == 30
        assert connection.scalar(select(func.sum(store.profiles.c.rows))) == 30
    database.dispose()


def secrets(count: int) -> list[str]:
    """Half card numbers with a right check digit, half e-mail addresses; none contains another."""
    stems = [f"4{at:014d}" for at in range(count // 2)]
    cards = [next(stem + str(digit) for digit in range(10) if is_card(stem + str(digit))) for stem in stems]
    return cards + [f"jane.doe{at:05d}@mail{at:05d}.example" for at in range(count // 2)]


def elsewhere(database: Engine) -> bytes:
    """All that is stored, but for the tables that hold texts by design."""
    found = []
    with database.connect() as connection:
        for table in store.metadata.sorted_tables:
            if table.name not in ("records", "relabel_items"):
                found += [value for row in connection.execute(select(table)) for value in row]
    return b"\n".join(value if isinstance(value, bytes) else repr(value).encode() for value in found)


@pytest.mark.slow
@pytest.mark.parametrize("redact", ["", "all"])
def test_ten_thousand_planted_secrets_are_in_no_sum_profile_log_or_metric(
    house: House, redact: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    house.settings = house.settings.model_copy(update={"redact": redact, "keep_records": 20_000, "window_rows": 1_000})
    planted = secrets(10_000)
    texts = [f"profit of card {secret} rises" for secret in planted]
    records = bundles.predictions(house.bundle, texts, prefix="s", created_at=house.now)
    job = house.job()
    job.start()
    for first in range(0, len(records), 500):
        job.record(records[first : first + 500])
    job.drift("sentiment", 1)  # waits until all of it is written
    job.stop()

    told = elsewhere(house.database) + caplog.text.encode() + generate_latest(house.registry)
    assert counts(house.database) == (10_000, 10_000, 10_000)
    assert len(told) > 100_000
    assert not [secret for secret in planted if secret.encode() in told]
    house.database.dispose()
    on_disk = b"".join(file.read_bytes() for file in Path(house.settings.home).glob("state.db*"))
    left = [secret for secret in planted if secret.encode() in on_disk]
    assert len(left) == (0 if redact else 10_000)
