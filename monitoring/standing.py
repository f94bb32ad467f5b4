"""How a model version's windows stand: the closed ones as they were judged, the open one as if it closed now.

An open window is not scored as it grows, which would cost more than counting it; so whoever asks scores it.
Before: `windows`, `detectors`; after: `report`.
"""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, select

from monitoring import detectors
from monitoring.alarm import limit_of
from monitoring.drift import Status, score
from monitoring.reference import Reference
from monitoring.summary import Summary
from monitoring.windows import Key, scored
from tidegate.store import windows as table


@dataclass(frozen=True, slots=True)
class Standing:
    """A window as its row holds it, but for the sums; times are Unix seconds."""

    id: int
    started_at: float
    ended_at: float
    rows: int
    open: bool
    status: Status
    surprise: float
    limit: float
    causes: list[str]
    features: list[dict[str, Any]]


def newest(connection: Connection, key: Key, reference: Reference, budget_days: float, most: int) -> list[Standing]:
    """The newest windows of a version, oldest first.

    Args:
        connection: to read with.
        key: model and version.
        reference: of that version, which scores the open window.
        budget_days: days in which one false alarm may be.
        most: how many.
    """
    of_key = select(table).where(table.c.model == key[0], table.c.version == key[1])
    in_time = of_key.order_by(table.c.ended_at.desc(), table.c.id.desc()).limit(most)
    rows = reversed(connection.execute(in_time).all())
    return [_open(connection, key, row, reference, budget_days) if row.open else _standing(row) for row in rows]


def _open(connection: Connection, key: Key, row: Row[Any], reference: Reference, budget_days: float) -> Standing:
    summary = Summary.from_bytes(row.sums)
    if len(summary.sums) != reference.layout.width:
        return _standing(row)
    detector, _ = detectors.read(connection, key, reference.layout.width)
    limit = limit_of(reference, summary.rows, detector.rate(budget_days)) if summary.rows else 0.0
    return _standing(row, **scored(score(summary, reference, limit)))


def _standing(row: Row[Any], **changed: Any) -> Standing:
    names = Standing.__slots__
    return Standing(**{name: getattr(row, name) for name in names} | changed)
