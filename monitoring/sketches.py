"""Sketches: the whylogs profiles of every minute, hour and day, for people and for other tools.

Scoring rests on exact sums (`periods`); profiles are written beside them, seldom, since whylogs takes 5 ms a frame
however small: rows wait here for half a minute or the end of their minute, and are handed to it as one. A process that
is killed leaves these rows out of the profile, whose count then says less than the period's; nothing else is lost.
Reading and merging one profile takes some 10 ms, so what is old is rolled up a few at a time, each in a transaction of
its own. Before: `writer`, once rows are counted; after: `profiles`. One thread only, as whylogs wants it.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sqlalchemy import Connection, Engine, Row, delete, insert, select, update

from monitoring import periods, profiles
from monitoring.features import Rows
from monitoring.periods import Period
from monitoring.profiles import Profile
from monitoring.tables import turn
from monitoring.windows import Key
from tidegate.store import profiles as table

WAIT_SECONDS = 30.0
MOST_ROWS = 20_000  # 3 MB, and 40 ms of whylogs
ROLLED_AT_ONCE = 4

Columns = Mapping[str, NDArray[Any]]


class Sketches:
    """Rows that wait for whylogs; not thread-safe."""

    def __init__(self, database: Engine) -> None:
        self._database = database
        self._waiting: dict[tuple[Key, Period], list[Columns]] = {}
        self._rows = 0
        self._since = 0.0

    def take(self, key: Key, created_at: NDArray[np.float64], rows: Rows, now: float) -> None:
        """Let rows wait that have been counted in their periods; `created_at` and `now` are Unix seconds."""
        if not self._waiting:
            self._since = now
        for period, mask in periods.place(created_at, now):
            part = rows.where(mask)
            self._waiting.setdefault((key, period), []).append({**part.numbers, **part.classes})
        self._rows += len(rows)

    def due(self, now: float) -> bool:
        """Whether rows have waited long enough, or their minute is over."""
        waited = abs(now - self._since) >= WAIT_SECONDS or now // 60.0 != self._since // 60.0
        return bool(self._waiting) and (waited or self._rows >= MOST_ROWS)

    def flush(self) -> None:
        """Profile what waits and write it, a model version and period at a time; one that fails is left out."""
        waiting, self._waiting, self._rows = self._waiting, {}, 0
        for (key, period), parts in waiting.items():
            profile = profiles.profile_frame(_joined(parts))
            rows = sum(len(next(iter(part.values()))) for part in parts)
            with turn(self._database) as connection:
                _add(connection, key, period, rows, profile)

    def roll_up(self, now: float) -> bool:
        """Move a few minutes that are old enough into their hours, and hours into days; whether there were any."""
        moved = False
        for lower, upper, age in periods.ROLLED_UP:
            for part in self._old(lower, periods.rolled_before(now, upper, age)):
                target = Period(upper, part.started_at // periods.SECONDS[upper] * periods.SECONDS[upper])
                self._move((part.model, part.version), Period(lower, part.started_at), target)
                moved = True
        return moved

    def _old(self, level: str, before: float) -> list[Row[Any]]:
        columns = (table.c.model, table.c.version, table.c.started_at)
        old = select(*columns).where(table.c.level == level, table.c.started_at < before)
        with self._database.connect() as connection:
            return list(connection.execute(old.order_by(table.c.started_at).limit(ROLLED_AT_ONCE)))

    def _move(self, key: Key, part: Period, whole: Period) -> None:
        with turn(self._database) as connection:
            where = periods.at(table, key, part)
            found = connection.execute(select(table.c.rows, table.c.content).where(*where)).one_or_none()
            if found is None:  # another process was faster
                return
            connection.execute(delete(table).where(*where))
            _add(connection, key, whole, found.rows, profiles.deserialize(found.content))
            if whole.level == "day":
                periods.trim(connection, table, key)


def read(connection: Connection, key: Key, since: float = 0.0) -> Profile:
    """The profile of a model version's rows of all periods that began at or after a time, Unix seconds."""
    of_key = (table.c.model == key[0], table.c.version == key[1], table.c.started_at >= since)
    merged = profiles.empty()
    for content in connection.scalars(select(table.c.content).where(*of_key)):
        merged = profiles.merge(merged, profiles.deserialize(content))
    return merged


def _add(connection: Connection, key: Key, period: Period, rows: int, profile: Profile) -> None:
    where = periods.at(table, key, period)
    found = connection.execute(select(table.c.rows, table.c.content).where(*where)).one_or_none()
    if found is None:
        model, version = key
        values: dict[str, Any] = {"model": model, "version": version, **periods.of(period), "rows": rows}
        connection.execute(insert(table).values(**values, content=profiles.serialize(profile)))
    else:
        whole = profiles.serialize(profiles.merge(profiles.deserialize(found.content), profile))
        connection.execute(update(table).where(*where).values(rows=found.rows + rows, content=whole))


def _joined(parts: list[Columns]) -> pd.DataFrame:
    """Columns of some batches as one frame, as whylogs takes it."""
    joined = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    classes = [name for name, values in joined.items() if values.dtype.kind in "OU"]
    return pd.DataFrame(joined | {name: pd.Series(joined[name], dtype="str") for name in classes})
