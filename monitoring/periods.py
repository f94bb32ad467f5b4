"""Periods: the sums of every minute, hour and day, so that each prediction counted is in exactly one of them.

A prediction goes to the minute in which it was made. Whole hours become one row two hours after they end, whole days
two days after; what comes later still goes to the hour, or the day, that its minute has become. So all levels together
are all rows, each once, at any moment: a roll-up moves rows in one transaction. Where a clock goes back, a minute is
begun anew and rolled up again, since sums add up in any order.
Before: `writer`; after: `tidegate.store`. Limits: the newest 400 days of a model version are kept.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import ColumnElement, Connection, Table, delete, insert, select, update

from monitoring.summary import Summary, together
from monitoring.windows import Key
from tidegate.store import periods as table

Level = Literal["minute", "hour", "day"]

SECONDS: dict[Level, float] = {"minute": 60.0, "hour": 3_600.0, "day": 86_400.0}
ROLLED_UP: tuple[tuple[Level, Level, float], ...] = (("minute", "hour", 2 * 3_600.0), ("hour", "day", 2 * 86_400.0))
KEEP_DAYS = 400


@dataclass(frozen=True, slots=True)
class Period:
    """A minute, hour or day of UTC.

    Attributes:
        level: which of them.
        started_at: Unix seconds.
    """

    level: Level
    started_at: float

    @property
    def ended_at(self) -> float:
        """When the next one begins."""
        return self.started_at + SECONDS[self.level]


@dataclass(frozen=True, slots=True)
class Stored:
    """A period of a model version with its sums; `sums` has width 0 where only the rows are known."""

    period: Period
    summary: Summary


def place(created_at: NDArray[np.float64], now: float) -> Iterator[tuple[Period, NDArray[np.bool_]]]:
    """The periods that some predictions belong to, and which of them belong to each.

    Args:
        created_at: Unix seconds, (rows,).
        now: Unix seconds.

    Yields:
        A period and a mask, (rows,); every row is in one mask.
    """
    hours, days = (rolled_before(now, upper, age) for _, upper, age in ROLLED_UP)
    levels = np.where(created_at >= hours, 0, np.where(created_at >= days, 1, 2))
    starts = created_at - created_at % np.array(list(SECONDS.values()))[levels]
    names = list(SECONDS)
    for level, started_at in dict.fromkeys(zip(levels.tolist(), starts.tolist(), strict=True)):
        yield Period(names[level], started_at), (levels == level) & (starts == started_at)


def rolled_before(now: float, upper: Level, age: float) -> float:
    """Start of the first hour or day whose parts are not rolled up yet, Unix seconds."""
    return (now - age) // SECONDS[upper] * SECONDS[upper]


def add(connection: Connection, key: Key, period: Period, summary: Summary) -> None:
    """Add sums to a period, within the caller's turn."""
    found = connection.execute(select(table.c.sums).where(*at(table, key, period))).scalar_one_or_none()
    if found is None:
        model, version = key
        values: dict[str, Any] = {"model": model, "version": version, **of(period), **_counted(summary)}
        connection.execute(insert(table).values(**values))
    else:
        whole = together(Summary.from_bytes(found), summary)
        connection.execute(update(table).where(*at(table, key, period)).values(**_counted(whole)))


def roll_up(connection: Connection, now: float) -> None:
    """Move minutes that are old enough into hours and hours into days, within the caller's turn; forget old days."""
    for lower, upper, age in ROLLED_UP:
        old = (table.c.level == lower, table.c.started_at < rolled_before(now, upper, age))
        sums: dict[tuple[Key, Period], Summary] = {}
        for row in connection.execute(select(table).where(*old)):
            target = (row.model, row.version), Period(upper, row.started_at // SECONDS[upper] * SECONDS[upper])
            summary = Summary.from_bytes(row.sums)
            sums[target] = together(sums[target], summary) if target in sums else summary
        connection.execute(delete(table).where(*old))
        for (key, period), summary in sums.items():
            add(connection, key, period, summary)
            if upper == "day":
                trim(connection, table, key)


def read(connection: Connection, key: Key, since: float = 0.0) -> list[Stored]:
    """The periods of a model version that began at or after a time, Unix seconds, of all levels, oldest first."""
    of_key = (table.c.model == key[0], table.c.version == key[1], table.c.started_at >= since)
    rows = connection.execute(select(table).where(*of_key).order_by(table.c.started_at))
    return [Stored(Period(row.level, row.started_at), Summary.from_bytes(row.sums)) for row in rows]


def trim(connection: Connection, kept: Table, key: Key) -> None:
    """Forget all but a version's newest days: by number, since a clock that was wrong once must not cost a year."""
    days = (kept.c.model == key[0], kept.c.version == key[1], kept.c.level == "day")
    newest = select(kept.c.started_at).where(*days).order_by(kept.c.started_at.desc()).offset(KEEP_DAYS).limit(1)
    connection.execute(delete(kept).where(*days, kept.c.started_at <= newest.scalar_subquery()))


def at(kept: Table, key: Key, period: Period) -> tuple[ColumnElement[bool], ...]:
    """What finds a period's row."""
    found = (kept.c.level == period.level, kept.c.started_at == period.started_at)
    return (kept.c.model == key[0], kept.c.version == key[1], *found)


def of(period: Period) -> dict[str, Any]:
    """A period as columns."""
    return {"level": period.level, "started_at": period.started_at}


def _counted(summary: Summary) -> dict[str, Any]:
    return {"rows": int(summary.rows), "sums": summary.to_bytes()}
