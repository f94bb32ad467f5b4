"""Windows: the sums of a run of predictions of one model version, open until it is full or old enough.

The state database holds every window, the open one too, so that a killed process loses at most what it had
not yet written and the next one goes on where it stopped. Several processes may grow the same window: they take
turns, a transaction each, and `save` succeeds only on the state it was computed from: if it does not, read again.
Before: `writer`; after: `tidegate.store`, `report`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

from sqlalchemy import Connection, Row, delete, func, insert, select, update

from monitoring.alarm import CONFIRM_WINDOWS, Verdict
from monitoring.drift import WindowScore
from monitoring.features import margin
from monitoring.summary import Summary
from monitoring.tables import insert_new, storable
from tidegate.records import Record
from tidegate.store import records as records_table
from tidegate.store import windows as table

Key = tuple[str, int]  # model, version

TURN = int.from_bytes(b"tidegate")  # names the lock of PostgreSQL; any number that no other program takes


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

    def grown(self, records: Sequence[Record], delta: Summary) -> Self:
        """The window with more records and their sums in it."""
        times = [record.created_at for record in records]
        return type(self)(
            id=self.id,
            model=self.model,
            version=self.version,
            started_at=min(self.started_at, *times),
            ended_at=max(self.ended_at, *times),
            rows=self.rows + len(records),
            summary=self.summary + delta,
        )


def begin(connection: Connection, key: Key, at: float, width: int) -> Window:
    """A new open window without rows, with sums of that width."""
    _take_turn(connection)
    empty = Summary.empty(width)
    model, version = key
    values: dict[str, Any] = {"model": model, "version": version, "started_at": at, "ended_at": at, "rows": 0}
    content = {"open": True, "sums": empty.to_bytes(), **_scored(WindowScore("insufficient")), "causes": []}
    result = connection.execute(insert(table).values(**values, **content))
    key_of_row: Any = result.inserted_primary_key
    return Window(id=key_of_row[0], **values, summary=empty)


def save(
    connection: Connection, before: Window, after: Window, score: WindowScore, verdict: Verdict | None = None
) -> bool:
    """Write a window over the state that it grew from, closed if there is a verdict on it.

    False when another process has grown or closed it.
    """
    _take_turn(connection)
    result = connection.execute(
        update(table)
        .where(table.c.id == before.id, table.c.open, table.c.rows == before.rows)
        .values(
            started_at=after.started_at,
            ended_at=after.ended_at,
            rows=after.rows,
            sums=after.summary.to_bytes(),
            open=verdict is None,
            causes=list(verdict.causes) if verdict else [],
            **_scored(score),
        )
    )
    return bool(result.rowcount)


def read_open(connection: Connection, key: Key) -> Window | None:
    """The version's newest open window as it stands in the database, if there is one."""
    _take_turn(connection)
    of_key = (table.c.model == key[0], table.c.version == key[1], table.c.open)
    row = connection.execute(select(table).where(*of_key).order_by(table.c.id.desc()).limit(1)).one_or_none()
    return _window(row) if row else None


def is_current(connection: Connection, window: Window) -> bool:
    """Whether a remembered window is still open and has not been grown by another process."""
    _take_turn(connection)
    same = (table.c.id == window.id, table.c.open, table.c.rows == window.rows)
    return connection.scalar(select(table.c.id).where(*same)) is not None


def read_all_open(connection: Connection) -> list[Window]:
    """Every open window, oldest first."""
    return [_window(row) for row in connection.execute(select(table).where(table.c.open).order_by(table.c.id))]


def last_closed(connection: Connection, key: Key) -> list[Row[Any]]:
    """The last three closed and scored windows, oldest first: id, status, surprise, features."""
    rows = connection.execute(
        select(table.c.id, table.c.status, table.c.surprise, table.c.features)
        .where(
            table.c.model == key[0],
            table.c.version == key[1],
            table.c.open.is_(False),
            table.c.status != "insufficient",
        )
        .order_by(table.c.id.desc())
        .limit(CONFIRM_WINDOWS)
    ).all()
    return list(reversed(rows))


def trim(connection: Connection, model: str, keep: int) -> None:
    """Forget all but a model's newest windows."""
    ids = select(table.c.id).where(table.c.model == model).order_by(table.c.id.desc()).offset(keep).limit(1)
    connection.execute(
        delete(table).where(table.c.model == model, table.c.id <= ids.scalar_subquery(), table.c.open.is_(False))
    )


def keep_records(
    connection: Connection, window_id: int, records: Sequence[Record], typicality: Sequence[float]
) -> None:
    """Write records with the window that counted them; an id that is already there is skipped.

    Args:
        connection: in a transaction.
        window_id: of the window.
        records: as they are stored.
        typicality: of each record, `Reference.typicality`.
    """
    rows = [
        {
            "id": record.id,
            "model": record.model,
            "version": record.version,
            "variant": record.variant,
            "window_id": window_id,
            "text": storable(record.text),
            "label": record.label,
            "score": record.score,
            "margin": margin(record.scores),
            "typicality": typical,
            "abstained": record.abstained,
            "scores": list(record.scores),
            "created_at": record.created_at,
        }
        for record, typical in zip(records, typicality, strict=True)
    ]
    connection.execute(insert_new(connection, records_table), rows)


def trim_records(connection: Connection, model: str, keep: int) -> None:
    """Forget all but a model's newest records; texts do not outlive their use."""
    table = records_table
    oldest = (
        select(table.c.sequence)
        .where(table.c.model == model)
        .order_by(table.c.sequence.desc())
        .offset(keep)
        .limit(1)
        .scalar_subquery()
    )
    connection.execute(delete(table).where(table.c.model == model, table.c.sequence <= oldest))


def _take_turn(connection: Connection) -> None:
    """Wait until no other process is writing windows, and keep the others out until this transaction ends.

    Without it two processes would each begin a window of the same version, open the same alert twice, and, growing
    the windows of two models in different orders, wait for each other: PostgreSQL ends that by undoing one's batch.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(TURN)))
    else:  # SQLite has one lock for all writers; a statement that changes nothing takes it before anything is read
        connection.execute(update(table).where(table.c.id.is_(None)).values(rows=table.c.rows))


def _scored(score: WindowScore) -> dict[str, Any]:
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
