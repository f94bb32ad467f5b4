"""Items with what people said of them, read in pieces, so that a queue of any length goes out in little memory.

Before: `claims`, `answers`; after: `exchange`, which writes them for other tools. Limits: an item that changes while
the queue is read is told as it was when its piece was read.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sqlalchemy import Connection, Engine, Row, func, select

from monitoring.labels.items import Item, State
from tidegate.store import annotations
from tidegate.store import relabel_items as table

_PIECE = 500  # items read at once; their ids fit into one statement of every database


@dataclass(frozen=True, slots=True)
class Answer:
    """What one person said of an item, as it is stored; its fields are the table's, the item's id left out."""

    annotator: str
    verdict: str
    label: str | None
    comment: str
    source: str
    seconds: float | None
    created_at: float


@dataclass(frozen=True, slots=True)
class Answered:
    """An item, its answers, oldest first, and its text as a vector, of shape (hidden,), where the model has any."""

    item: Item
    answers: Sequence[Answer] = ()
    vector: Sequence[float] | None = None


def read_answered(
    database: Engine, model: str, states: Sequence[State], *, vectors: bool = False
) -> Iterator[Answered]:
    """The items of a model that are in some states, with their answers: oldest first, then the least certain.

    Args:
        database: the state database.
        model: whose queue.
        states: of the items.
        vectors: whether to read the embeddings.
    """
    chosen = (table.c.model == model, table.c.state.in_(states))
    query = select(table.c.id).where(*chosen).order_by(table.c.created_at, table.c.score, table.c.id)
    with database.connect() as connection:
        ids = connection.execute(query).scalars().all()
    for start in range(0, len(ids), _PIECE):
        with database.connect() as connection:
            yield from _piece(connection, ids[start : start + _PIECE], vectors=vectors)


def count_items(database: Engine, model: str, states: Sequence[State]) -> int:
    """How many items `read_answered` gives."""
    query = select(func.count()).where(table.c.model == model, table.c.state.in_(states))
    with database.connect() as connection:
        return int(connection.execute(query).scalar_one())


def dimensions(database: Engine, model: str) -> int | None:
    """Length of the newest embedding of a model's queue; None where there is none."""
    query = select(table.c.embedding).where(table.c.model == model, table.c.embedding.is_not(None))
    with database.connect() as connection:
        newest = connection.execute(query.order_by(table.c.created_at.desc()).limit(1)).scalar_one_or_none()
    return None if newest is None else len(newest) // 2


def _piece(connection: Connection, ids: Sequence[str], *, vectors: bool) -> Iterator[Answered]:
    rows = {row.id: row for row in connection.execute(select(table).where(table.c.id.in_(ids)))}
    query = select(annotations).where(annotations.c.item_id.in_(ids))
    given: dict[str, list[Answer]] = {}
    for row in connection.execute(query.order_by(annotations.c.created_at, annotations.c.annotator)):
        fields = {name: value for name, value in row._mapping.items() if name != "item_id"}
        given.setdefault(row.item_id, []).append(Answer(**fields))
    for item_id in ids:
        if item_id in rows:
            vector = _vector(rows[item_id]) if vectors else None
            yield Answered(Item.of(rows[item_id]), given.get(item_id, ()), vector)


def _vector(row: Row[Any]) -> list[float] | None:
    return None if row.embedding is None else [float(x) for x in np.frombuffer(row.embedding, dtype=np.float16)]
