"""Windows: the sums of a run of predictions of one model version, open until it is full or old enough.

The state database holds every window, the open one too, so that a killed process loses at most what it had
not yet written and the next one goes on where it stopped. Several processes may grow the same window: they take
turns, a transaction each, and read it at the beginning of theirs. An open window is scored by whoever asks.
Before: `writer`; after: `tidegate.store`, `report`.
"""

import math
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, Row, delete, insert, select, update

from monitoring.alarm import CONFIRM_WINDOWS, Verdict
from monitoring.drift import WindowScore
from monitoring.summary import Summary, together
from monitoring.tables import take_turn
from tidegate.store import windows as table

Key = tuple[str, int]  # model, version


@dataclass(frozen=True, slots=True)
class Window:
    """An open window as it was last written; times are Unix seconds."""

    id: int
    model: str
    version: int
    started_at: float
    ended_at: float
    rows: int
    summary: Summary

    def grown(self, created_at: NDArray[np.float64], delta: Summary) -> Self:
        """The window with more predictions and their sums in it; `created_at` is Unix seconds, (rows,), one or more."""
        return replace(
            self,
            started_at=min(self.started_at, float(created_at.min())),
            ended_at=max(self.ended_at, float(created_at.max())),
            rows=self.rows + len(created_at),
            summary=together(self.summary, delta),
        )


def begin(connection: Connection, key: Key, at: float, width: int) -> Window:
    """A new open window without rows, with sums of that width."""
    take_turn(connection)
    empty = Summary.empty(width)
    model, version = key
    values: dict[str, Any] = {"model": model, "version": version, "started_at": at, "ended_at": at, "rows": 0}
    content = {"open": True, "sums": empty.to_bytes(), **scored(WindowScore("insufficient")), "causes": []}
    result = connection.execute(insert(table).values(**values, **content))
    key_of_row: Any = result.inserted_primary_key
    return Window(id=key_of_row[0], **values, summary=empty)


def save(connection: Connection, window: Window, verdict: Verdict | None = None) -> None:
    """Write a window that has grown, closed if there is a verdict on it; within the caller's turn."""
    judged: dict[str, Any] = {}
    if verdict is not None:
        judged = {"open": False, "causes": list(verdict.causes), **scored(verdict.window)}
    connection.execute(
        update(table)
        .where(table.c.id == window.id)
        .values(
            started_at=window.started_at,
            ended_at=window.ended_at,
            rows=window.rows,
            sums=window.summary.to_bytes(),
            **judged,
        )
    )


def read_open(connection: Connection, key: Key) -> Window | None:
    """The version's newest open window, if there is one; as it stands until the end of the caller's turn."""
    of_key = (table.c.model == key[0], table.c.version == key[1], table.c.open)
    row = connection.execute(select(table).where(*of_key).order_by(table.c.id.desc()).limit(1)).one_or_none()
    return _window(row) if row else None


def read_all_open(connection: Connection) -> list[Window]:
    """Every open window, oldest first."""
    return [_window(row) for row in connection.execute(select(table).where(table.c.open).order_by(table.c.id))]


def last_closed(connection: Connection, key: Key) -> list[Row[Any]]:
    """The last three closed and scored windows, oldest first: id, status, surprise, features.

    The last by time: history that was stored since then has higher ids.
    """
    rows = connection.execute(
        select(table.c.id, table.c.status, table.c.surprise, table.c.features)
        .where(
            table.c.model == key[0],
            table.c.version == key[1],
            table.c.open.is_(False),
            table.c.status != "insufficient",
        )
        .order_by(table.c.ended_at.desc(), table.c.id.desc())
        .limit(CONFIRM_WINDOWS)
    ).all()
    return list(reversed(rows))


def trim(connection: Connection, model: str, keep: int) -> None:
    """Forget all but a model's newest windows."""
    ids = select(table.c.id).where(table.c.model == model).order_by(table.c.id.desc()).offset(keep).limit(1)
    connection.execute(
        delete(table).where(table.c.model == model, table.c.id <= ids.scalar_subquery(), table.c.open.is_(False))
    )


def scored(score: WindowScore) -> dict[str, Any]:
    """A score as columns."""
    return {
        "status": score.status,
        "surprise": score.surprise,
        "limit": score.limit if math.isfinite(score.limit) else 0.0,
        "features": score.document(),
    }


def _window(row: Row[Any]) -> Window:
    return Window(
        id=row.id,
        model=row.model,
        version=row.version,
        started_at=row.started_at,
        ended_at=row.ended_at,
        rows=row.rows,
        summary=Summary.from_bytes(row.sums),
    )
