"""Profiles lag behind the counts by seconds, are whole once a writer ends, and merge up without losing a row."""

import sys

import numpy as np
import pytest
from sqlalchemy import select

from monitoring import periods, profiles, sketches
from monitoring.features import Rows
from monitoring.sketches import Sketches
from tests.monitoring.conftest import House
from tidegate.store import profiles as table

DAY = 86_400.0
KEY = ("sentiment", 1)


def stored(house: House) -> list[tuple[str, float, int]]:
    """Level, start, rows; what the profile holds is what its row says."""
    with house.database.connect() as connection:
        rows = connection.execute(select(table).order_by(table.c.started_at)).all()
    assert [profiles.row_count(profiles.deserialize(row.content)) for row in rows] == [row.rows for row in rows]
    return [(row.level, row.started_at, row.rows) for row in rows]


def test_rows_wait_half_a_minute_or_for_the_end_of_their_minute(house: House) -> None:
    house.now = 600.0
    writer = house.writer()
    writer.write(house.usual(20, "a"))
    writer.tidy()
    at_once = stored(house)
    house.now += 30
    writer.tidy()
    after_thirty = stored(house)
    house.now += 25
    writer.write(house.usual(20, "b"))
    house.now += 5
    writer.tidy()

    assert (at_once, after_thirty) == ([], [("minute", 600.0, 20)])
    assert stored(house) == [("minute", 600.0, 40)]


def test_a_writer_that_ends_writes_what_waits(house: House) -> None:
    one, two = house.writer(), house.writer()
    one.write(house.usual(30, "a"))
    two.write(house.usual(40, "b"))
    one.finish()
    two.finish()
    one.finish()

    assert stored(house) == [("minute", 960.0, 70)]


def test_profiles_are_rolled_up_like_the_counts(house: House) -> None:
    house.now = 3 * DAY
    writer = house.writer()
    for minute in range(30):
        house.now = 3 * DAY + minute * 60
        writer.write(house.usual(4, f"{minute}-"))
        writer.tidy()
    writer.finish()
    minutes = stored(house)
    house.now += 4 * 3_600
    for _ in range(9):
        house.now += 60
        writer.tidy()
    hours = stored(house)
    house.now += 3 * DAY
    writer.tidy()

    assert [rows for _, _, rows in minutes] == [4] * 30
    assert hours == [("hour", 3 * DAY, 120)]
    assert stored(house) == [("day", 3 * DAY, 120)]
    with house.database.connect() as connection:
        assert [one.summary.rows for one in periods.read(connection, KEY)] == [120]
        assert profiles.row_count(sketches.read(connection, KEY), "chars") == 120


def rows_of(values: np.ndarray) -> Rows:
    count = len(values)
    label = np.where(values > 0.5, "a", "b").astype(object)
    empty = np.zeros(0, np.int64)
    return Rows({"number": values}, {"label": label}, np.zeros((count, 0)), empty, np.zeros(count, np.int64),
                np.zeros((count, 0), np.float32))  # fmt: skip


@pytest.mark.slow
def test_a_day_of_sixteen_workers_merges_to_ranks_within_half_a_percent(house: House) -> None:
    rng = np.random.default_rng(5)
    workers = [Sketches(house.database) for _ in range(16)]
    everything = []
    for hour in range(24):
        now = 5 * DAY + hour * 3_600
        for worker in workers:
            values = rng.normal(loc=hour / 24, size=250)
            everything.append(values)
            worker.take(KEY, np.full(len(values), now), rows_of(values), now)
            worker.flush()
    while workers[0].roll_up(9 * DAY):
        pass
    values = np.concatenate(everything)
    with house.database.connect() as connection:
        merged = sketches.read(connection, KEY)
    edges = np.quantile(values, np.linspace(0.01, 0.99, 99))
    error = profiles.cumulative_shares(merged, "number", edges.tolist()) - [(values < edge).mean() for edge in edges]

    sys.stdout.write(f"largest rank error {np.abs(error).max():.4%} of {len(values)} rows\n")
    assert [(level, rows) for level, _, rows in stored(house)] == [("day", 96_000)]
    assert profiles.category_counts(merged) == {"a": int((values > 0.5).sum()), "b": int((values <= 0.5).sum())}
    assert np.abs(error).max() <= 0.005
