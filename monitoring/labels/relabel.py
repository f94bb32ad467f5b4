"""The relabel queue: texts that wait for a person's label, one item per distinct text and model.

Items come from drift alerts (`selection`) and from callers' reports (`feedback`); labels come back by
`exchange`. States so far: `new` and `labelled`. A caller's report is a claim, not a label: it stays `new`,
with the claim in `label` for the annotator to see. Item ids are random, so one that leaves the house tells
nothing. After: `tidegate.store`.
"""

import hashlib
import unicodedata
import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Engine, Row, case, func, select, update

from monitoring.tables import insert_new, storable
from tidegate.errors import TidegateError
from tidegate.store import relabel_items as table

NEW = "new"
LABELLED = "labelled"


@dataclass(frozen=True, slots=True)
class Item:
    """One text on the queue.

    Attributes:
        predicted: what the model answered; score: its top probability; scores: one per label.
        reason: drift or feedback.
        label: while `new`, what a caller claims (or None); when `labelled`, what a person said.
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
    state: str
    label: str | None
    comment: str
    annotator: str
    created_at: float
    labelled_at: float | None


@dataclass(frozen=True, slots=True)
class Label:
    """A person's label on its way back; `place` is where it stood in its file, for messages."""

    place: str
    item_id: str
    label: str
    annotator: str = ""


@dataclass(slots=True)
class ImportReport:
    """What an import did; `problems` name the place and the value, one a label that was not taken."""

    labelled: int = 0
    changed: int = 0
    unchanged: int = 0
    problems: list[str] = field(default_factory=list)


def digest(text: str) -> str:
    """sha256 of the text without what does not make it another text: case, width, runs of white space."""
    normalised = " ".join(unicodedata.normalize("NFKC", storable(text)).casefold().split())
    return hashlib.sha256(normalised.encode()).hexdigest()


def enqueue(
    connection: Connection, record: Row[Any], *, reason: str, at: float, label: str | None = None
) -> str | None:
    """Put a row of the records table on the queue; None when the model's queue knows the text already."""
    item_id = uuid.uuid4().hex
    values = {
        "id": item_id,
        "model": record.model,
        "version": record.version,
        "prediction_id": record.id,
        "text": record.text,
        "text_digest": digest(record.text),
        "predicted": record.label,
        "score": record.score,
        "scores": record.scores,
        "reason": reason,
        "state": NEW,
        "label": label,
        "created_at": at,
    }
    result = connection.execute(insert_new(connection, table).values(**values))
    return item_id if result.rowcount else None


def report(connection: Connection, record: Row[Any], label: str, comment: str, at: float) -> str:
    """Put a caller's report on the queue and return the item's id; one that a person has labelled stays so."""
    item_id = enqueue(connection, record, reason="feedback", at=at, label=label)
    if item_id is None:
        same = (table.c.model == record.model, table.c.text_digest == digest(record.text))
        item_id = connection.execute(select(table.c.id).where(*same)).scalar_one()
    claim = {"reason": "feedback", "label": label, "comment": storable(comment)}
    connection.execute(update(table).where(table.c.id == item_id, table.c.state == NEW).values(**claim))
    return item_id


def list_items(database: Engine, *, model: str | None = None, state: str | None = None) -> list[Item]:
    """Items of one model or all, in one state or any: oldest first, the most uncertain of an alert before the rest."""
    columns = [column for column in table.c if column.name != "text_digest"]
    query = select(*columns).order_by(table.c.created_at, table.c.score, table.c.id)
    if model is not None:
        query = query.where(table.c.model == model)
    if state is not None:
        query = query.where(table.c.state == state)
    with database.connect() as connection:
        return [Item(**row._mapping) for row in connection.execute(query)]


def depths(connection: Connection) -> dict[str, int]:
    """Model to items that wait for a label; 0 for a queue that is all labelled."""
    waiting = func.sum(case((table.c.state == NEW, 1), else_=0))
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


def take_labels(
    database: Engine, labels: Iterable[Label], allowed: Callable[[str, int], Sequence[str]], at: float
) -> ImportReport:
    """Give items their labels: all valid ones in one transaction; the others are reported and change nothing.

    Args:
        database: the state database.
        labels: as read from a file; taking the same file twice changes nothing more.
        allowed: model and version to the labels that the model takes.
        at: Unix time in seconds.
    """
    outcome = ImportReport()
    seen: dict[str, str] = {}
    with database.begin() as connection:
        for label in labels:
            if seen.setdefault(label.item_id, label.label) != label.label:
                outcome.problems.append(
                    f"{label.place}: item {label.item_id!r} has two labels in this file; "
                    f"{seen[label.item_id]!r} is kept, {label.label!r} is not"
                )
                continue
            _take(connection, label, allowed, at, outcome)
    return outcome


def _take(
    connection: Connection,
    label: Label,
    allowed: Callable[[str, int], Sequence[str]],
    at: float,
    outcome: ImportReport,
) -> None:
    found = connection.execute(select(table).where(table.c.id == label.item_id)).one_or_none()
    problem = _problem(label, found, allowed)
    if problem or found is None:
        outcome.problems.append(f"{label.place}: {problem}")
    elif found.state == LABELLED and found.label == label.label:
        outcome.unchanged += 1
    else:
        outcome.labelled += found.state == NEW
        outcome.changed += found.state == LABELLED
        values = {"state": LABELLED, "label": label.label, "annotator": storable(label.annotator), "labelled_at": at}
        connection.execute(update(table).where(table.c.id == label.item_id).values(**values))


def _problem(label: Label, found: Row[Any] | None, allowed: Callable[[str, int], Sequence[str]]) -> str:
    """Why a label cannot be taken, or nothing."""
    if found is None:
        return f"no item {label.item_id!r} on the queue"
    if found.state not in (NEW, LABELLED):
        return f"item {label.item_id!r} is {found.state}, and takes no label any more"
    try:
        known = allowed(found.model, found.version)
    except TidegateError as error:
        return f"the labels of {found.model}/{found.version} cannot be read: {error}"
    if label.label not in known:
        return f"{label.label!r} is no label of {found.model}; use one of: {', '.join(known)}"
    return ""
