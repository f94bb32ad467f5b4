"""Periods hold every row once: whatever the order, the split over writers, the clock, and when they are rolled up."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, select

from monitoring import periods
from monitoring.periods import KEEP_DAYS, Period
from monitoring.summary import Summary
from monitoring.tables import turn
from tests import postgres
from tests.monitoring.conftest import House
from tidegate import store

KEY = ("m", 1)
DAY = 86_400.0
moments = st.floats(-2 * DAY, 10 * DAY, allow_nan=False)
batches = st.lists(st.tuples(moments, st.lists(moments, min_size=1, max_size=6)), min_size=1, max_size=8)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def database(request: pytest.FixtureRequest) -> Iterator[Engine]:
    if request.param == "sqlite":
        yield store.open_database("sqlite://")
        return
    with postgres.server() as url:
        engine = store.open_database(url)
        try:
            yield engine
        finally:
            engine.dispose()


def clear(database: Engine) -> None:
    with database.begin() as connection:
        connection.execute(store.periods.delete())


def write(database: Engine, created_at: list[float], now: float) -> None:
    """What a writer does with a batch: each row adds 1, its second of the day, and its square."""
    times = np.array(created_at)
    with turn(database) as connection:
        for period, mask in periods.place(times, now):
            whole = np.floor(times[mask])
            sums = np.array([len(whole), whole.sum(), (whole**2).sum()])
            periods.add(connection, KEY, period, Summary(len(whole), sums))


def roll_up(database: Engine, now: float) -> None:
    with turn(database) as connection:
        periods.roll_up(connection, now)


def stored(database: Engine) -> dict[Period, tuple[float, ...]]:
    with database.connect() as connection:
        return {one.period: (one.summary.rows, *one.summary.sums) for one in periods.read(connection, KEY, -9 * DAY)}


def totals(database: Engine) -> list[float]:
    return [float(sum(column)) for column in zip(*stored(database).values(), strict=True)]


@settings(max_examples=60, deadline=None)
@given(work=batches, order=st.randoms(use_true_random=False), cut=st.integers(1, 5))
def test_any_order_and_any_split_end_where_one_pass_does(
    work: list[tuple[float, list[float]]], order: Random, cut: int
) -> None:
    latest = max(now for now, _ in work)
    rows = [row for _, part in work for row in part]
    database = store.open_database("sqlite://")
    write(database, rows, latest)
    roll_up(database, latest)
    once = stored(database)
    clear(database)
    for now, part in sorted(work, key=lambda _: order.random()):
        for start in range(0, len(part), cut):
            write(database, part[start : start + cut], now)
            roll_up(database, now)
            assert sum(row[0] for row in stored(database).values()) == sum(row[1] for row in stored(database).values())
    roll_up(database, latest)

    assert stored(database) == once
    assert Counter(p.level for p in once) == Counter(p.level for p in stored(database))
    database.dispose()


def test_rows_are_counted_once_at_every_moment_of_ten_days(database: Engine) -> None:
    rng = np.random.default_rng(1)
    written = 0
    for hour in range(0, 240, 3):
        now = hour * 3_600.0
        late = now - rng.exponential(6 * 3_600.0, size=5)  # some hours late, some days
        write(database, late.tolist(), now)
        written += 5
        assert totals(database)[0] == written
        roll_up(database, now)
        assert totals(database)[0] == written
    levels = Counter(period.level for period in stored(database))
    assert levels["minute"] <= 15
    assert levels["day"] >= 7


def test_a_late_row_goes_to_its_minute_or_to_what_that_has_become(database: Engine) -> None:
    now = 10 * DAY
    write(database, [now - 7_000, now - 10_801, now - 3 * DAY - 1], now)

    assert sorted(stored(database), key=lambda p: p.started_at) == [
        Period("day", 6 * DAY),
        Period("hour", now - 4 * 3_600),
        Period("minute", now - 7_020),
    ]


def test_a_clock_that_goes_back_begins_minutes_anew_and_they_add_up(database: Engine) -> None:
    write(database, [100.0], 100.0)
    roll_up(database, 5 * DAY)
    write(database, [100.0], 100.0)

    assert stored(database).keys() == {Period("day", 0.0), Period("minute", 60.0)}
    roll_up(database, 5 * DAY)
    assert stored(database) == {Period("day", 0.0): (2.0, 2.0, 200.0, 20_000.0)}


def test_the_newest_days_are_kept_by_number(database: Engine) -> None:
    for day in range(KEEP_DAYS + 3):
        write(database, [day * DAY], day * DAY)
    roll_up(database, (KEEP_DAYS + 10) * DAY)

    assert min(period.started_at for period in stored(database)) == 3 * DAY
    assert len(stored(database)) == KEEP_DAYS


def test_sums_of_another_layout_leave_the_count_alone(database: Engine) -> None:
    with database.begin() as connection:
        for sums in (np.ones(3), np.zeros(0), np.ones(3)):
            periods.add(connection, KEY, Period("minute", 0.0), Summary(2.0, sums))

    assert stored(database) == {Period("minute", 0.0): (6.0,)}


def test_a_writer_puts_each_record_where_it_belongs(house: House) -> None:
    house.now = 10 * DAY + 30
    records = house.usual(60, "a")
    ages = [0.0, 40.0, 5 * 3_600.0, 4 * DAY]  # this minute, the last, its hour, its day
    mixed = [replace(record, created_at=house.now - ages[at % 4]) for at, record in enumerate(records)]
    house.writer().write(mixed)

    with house.database.connect() as connection:
        found = periods.read(connection, ("sentiment", 1))
        window = connection.scalar(select(store.windows.c.sums))
    assert [(one.period.level, one.summary.rows) for one in found] == [
        ("day", 15), ("hour", 15), ("minute", 15), ("minute", 15),
    ]  # fmt: skip
    assert sum(one.summary.sums for one in found) == pytest.approx(Summary.from_bytes(window or b"").sums)


def test_a_model_whose_bundle_comes_back_is_scored_again_and_no_row_is_lost(house: House) -> None:
    file = house.bundle.file("drift.json")
    away = file.rename(file.with_suffix(".away"))
    writer = house.writer()
    writer.write(house.usual(60, "a"))
    away.rename(file)
    writer.write(house.usual(60, "b"))
    house.now += 60
    writer.write(house.usual(180, "c"))

    with house.database.connect() as connection:
        found = periods.read(connection, ("sentiment", 1))
        statuses = list(connection.scalars(select(store.windows.c.status).order_by(store.windows.c.id)))
    assert [one.summary.rows for one in found] == [120, 180]
    assert [len(one.summary.sums) > 0 for one in found] == [False, True]
    assert statuses == ["insufficient", "ok", "ok"]
