"""Items: one text each that people are asked about, their states, and how they are read.

    new -> claimed -> labelled | disputed | accepted | discarded;  accepted -> in_data_set

An item is `claimed` while somebody has it on the screen; `labelled` while it has an answer and wants another person's;
`accepted` once as many as wanted have answered and more than half agree; `disputed` while they do not, or while the
quality check doubts the label; `discarded` where they agree that it is no case for these labels. Ids are random, so one
that leaves the house tells nothing. Before: `relabel`, which writes them; after: `exchange`, the page, training.
"""

import hashlib
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Connection, Engine, Row, bindparam, case, func, select

from monitoring.tables import storable
from tidegate.store import relabel_items as table

State = Literal["new", "claimed", "labelled", "disputed", "accepted", "in_data_set", "discarded"]
NEW: State = "new"
CLAIMED: State = "claimed"
LABELLED: State = "labelled"
DISPUTED: State = "disputed"
ACCEPTED: State = "accepted"
IN_DATA_SET: State = "in_data_set"
DISCARDED: State = "discarded"
WAITING: Sequence[State] = (NEW, CLAIMED, LABELLED, DISPUTED)  # for a person
FINAL: Sequence[State] = (ACCEPTED, IN_DATA_SET)  # have the label that people agree on

_FIND = select(table).where(table.c.id == bindparam("item"))


@dataclass(frozen=True, slots=True)
class Item:
    """One text on the queue.

    Attributes:
        predicted: what the model answered; score: its top probability; scores: one per label.
        reason: the slot it was selected for: random, margin, diverse, witness, feedback, disagreement, drift.
        label: what annotators agree on, once they do; annotator: who answered last, at `labelled_at`.
        suggested: what a caller claims.
        selection_probability: with which it was selected, in (0, 1]; None where a caller reported it.
        wanted: answers of different annotators that it takes to accept it.
        gold: the right label of an item that tests annotators; such an item is never training data.
        doubt: why the quality check asked for one more annotator.
        data_set: number of the data set that it first became part of.
    """

    id: str
    model: str
    version: int
    prediction_id: str
    text: str
    predicted: str
    score: float
    scores: list[float]
    reason: str
    state: State
    label: str | None
    comment: str
    annotator: str
    created_at: float
    labelled_at: float | None
    suggested: str | None = None
    window_id: int | None = None
    alert_id: int | None = None
    selection_score: float | None = None
    selection_probability: float | None = None
    wanted: int = 1
    claimed_by: str = ""
    leased_until: float | None = None
    gold: str | None = None
    doubt: str = ""
    data_set: int | None = None

    @classmethod
    def of(cls, row: Row[Any]) -> "Item":
        """An item of a row of its table."""
        return cls(**{name: value for name, value in row._mapping.items() if name in cls.__slots__})


def digest(text: str) -> str:
    """sha256 of the text without what does not make it another text: case, width, runs of white space."""
    normalised = " ".join(unicodedata.normalize("NFKC", storable(text)).casefold().split())
    return hashlib.sha256(normalised.encode()).hexdigest()


def find(connection: Connection, item_id: str) -> Row[Any] | None:
    """The row of an item, or None."""
    return connection.execute(_FIND, {"item": storable(item_id)}).one_or_none()


def list_items(
    database: Engine, *, model: str | None = None, state: State | Sequence[State] | None = None
) -> list[Item]:
    """Items of one model or all, in some states or any: oldest first, of a moment the least certain first."""
    query = select(table).order_by(table.c.created_at, table.c.score, table.c.id)
    if model is not None:
        query = query.where(table.c.model == model)
    if state is not None:
        query = query.where(table.c.state.in_([state] if isinstance(state, str) else state))
    with database.connect() as connection:
        return [Item.of(row) for row in connection.execute(query)]


def depths(connection: Connection) -> dict[str, int]:
    """Model to items that wait for a person; 0 for a queue that is done. Gold items, which never end, do not count."""
    waiting = func.sum(case(((table.c.state.in_(WAITING)) & table.c.gold.is_(None), 1), else_=0))
    query = select(table.c.model, waiting).group_by(table.c.model)
    return {model: int(rows) for model, rows in connection.execute(query)}


def stats(database: Engine, model: str | None = None) -> list[dict[str, Any]]:
    """Items per model, state and reason: what stands on the queue and what came back."""
    columns = (table.c.model, table.c.state, table.c.reason)
    query = select(*columns, func.count().label("items")).group_by(*columns).order_by(*columns)
    if model is not None:
        query = query.where(table.c.model == model)
    with database.connect() as connection:
        names = ("model", "state", "reason", "items")
        return [dict(zip(names, row, strict=True)) for row in connection.execute(query)]
