"""Events: what Label Studio's webhook tells of annotations, in whatever order and however often it comes.

Each annotation is kept as the newest event told of it, and what a person says of an item is the newest of theirs that
still stands; so the same events in another order leave the same answers. A deletion names nothing but a number, and
holds for good: Label Studio never gives a number twice. An answer that the person gave elsewhere since stands.
Before: `serving.label_studio`; after: `answers`.
Source: https://labelstud.io/guide/webhook_reference; the actions in Label Studio's `webhooks/models.py`.
"""

from collections.abc import Iterator
from typing import Any

from sqlalchemy import Connection, Engine, Row, select, update

from monitoring.labels import items
from monitoring.labels.answers import UNNAMED, Allowed, ImportReport, Label, answer, take_label, undo
from monitoring.labels.exchange.label_studio import MALFORMED, read_annotation
from monitoring.labels.states import LABEL, NONE, SKIP
from monitoring.tables import insert_new, storable, turn
from tidegate.errors import InvalidInput, TidegateError
from tidegate.store import annotations
from tidegate.store import webhook_answers as table

_MADE = ("ANNOTATION_CREATED", "ANNOTATIONS_CREATED", "ANNOTATION_UPDATED")
_DELETED = "ANNOTATIONS_DELETED"
_MOST_PROBLEMS = 5  # told of one event


def take_event(database: Engine, model: str, event: Any, allowed: Allowed, at: float) -> dict[str, int]:
    """Take an event, in one transaction.

    Args:
        database: the state database.
        model: whose items its tasks are.
        event: as it was sent.
        allowed: model and version to the labels that the model takes.
        at: Unix time in seconds.

    Returns:
        How many answers were `labelled`, `changed` (taken back included) and `unchanged`.

    Raises:
        InvalidInput: not such an event, or an annotation that cannot be taken; the others are taken.
    """
    action = event.get("action") if isinstance(event, dict) else None
    if not isinstance(action, str):
        raise InvalidInput("no event of Label Studio: an object with `action` is wanted")
    report = ImportReport()
    with turn(database) as connection:
        for annotation, task in _pairs(event) if action in _MADE else ():
            _take(connection, model, annotation, task, allowed, at, report)
        for annotation in _gone(event) if action == _DELETED else ():
            _delete(connection, model, annotation, allowed, at, report)
    if report.problems:
        raise InvalidInput("; ".join(report.problems[:_MOST_PROBLEMS]))
    return {"labelled": report.labelled, "changed": report.changed, "unchanged": report.unchanged}


def _pairs(event: dict[str, Any]) -> Iterator[tuple[Any, Any]]:
    """Annotations that were made, with their tasks: one of each, or lists of the same length."""
    made, tasks = event.get("annotation"), event.get("task")
    if not isinstance(made, list):
        made, tasks = [made], [tasks]
    if not isinstance(tasks, list) or len(tasks) != len(made):
        raise InvalidInput("the event has not one task for each annotation; let Label Studio send the payload")
    yield from zip(made, tasks, strict=True)


def _gone(event: dict[str, Any]) -> list[Any]:
    gone = event.get("annotations")
    if not isinstance(gone, list):
        raise InvalidInput(
            "the event does not list the annotations that were deleted; let Label Studio send the payload"
        )
    return gone


def _take(
    connection: Connection, model: str, annotation: Any, task: Any, allowed: Allowed, at: float, report: ImportReport
) -> None:
    try:
        number, item_id = str(annotation["id"]), str(task["data"]["tidegate_id"])
        found = read_annotation(f"annotation {number[:64]}", item_id, annotation)
    except MALFORMED as error:
        report.problems.append(f"an annotation that is not as Label Studio sends it ({type(error).__name__}: {error})")
        return
    item = items.find(connection, item_id)
    if isinstance(found, str):
        report.problems.append(found)
    elif item is None or item.model != model:
        report.problems.append(f"annotation {number[:64]}: no item {item_id[:64]!r} on the queue of {model}")
    elif found is not None:
        _hear(connection, model, number[:64], found, allowed, at, report)


def _hear(
    connection: Connection, model: str, number: str, label: Label, allowed: Allowed, at: float, report: ImportReport
) -> None:
    """Keep what is newest of an annotation; let it count if it is the newest of its person, too."""
    who, told_at = storable(label.annotator or UNNAMED), at if label.at is None else min(label.at, at)
    known = _known(connection, model, number)
    if known is not None and (known.deleted or known.updated_at >= told_at):
        report.unchanged += 1
        return
    others = [row for row in _standing(connection, model, label.item_id, who) if row.number != number]
    problems = len(report.problems)
    if all(row.updated_at < told_at for row in others):
        take_label(connection, label, allowed, at, "webhook", report)
    else:
        report.unchanged += 1
    if len(report.problems) == problems:
        verdict = SKIP if label.skipped else NONE if label.label is None else LABEL
        said = {"verdict": verdict, "label": label.label, "comment": storable(label.comment), "seconds": label.seconds}
        _keep(
            connection, model, number, item_id=label.item_id, annotator=who, updated_at=told_at, deleted=False, **said
        )


def _delete(
    connection: Connection, model: str, annotation: Any, allowed: Allowed, at: float, report: ImportReport
) -> None:
    """Let the person's other annotation of the item count, if there is one; else nothing that they said here."""
    if not isinstance(annotation, dict) or "id" not in annotation:
        report.problems.append("a deleted annotation without `id`")
        return
    number = str(annotation["id"])[:64]
    known = _known(connection, model, number)
    if known is None or known.deleted:
        _keep(connection, model, number, updated_at=at, deleted=True)
        report.unchanged += 1
        return
    _keep(connection, model, number, updated_at=known.updated_at, deleted=True)
    try:
        report.changed += _fall_back(connection, known, allowed)
    except TidegateError as error:
        report.problems.append(f"annotation {number}: {error}")


def _fall_back(connection: Connection, gone: Row[Any], allowed: Allowed) -> bool:
    """Whether the deleted annotation was what its person's answer said."""
    mine = (annotations.c.item_id == gone.item_id, annotations.c.annotator == gone.annotator)
    stored = connection.execute(select(annotations).where(*mine)).one_or_none()
    if stored is None or stored.source != "webhook" or stored.created_at > gone.updated_at:
        return False
    undo(connection, gone.item_id, gone.annotator)
    rest = _standing(connection, gone.model, gone.item_id, gone.annotator)
    if rest:
        said = max(rest, key=lambda row: (row.updated_at, row.number))
        more = (said.comment, said.seconds)
        answer(
            connection,
            said.item_id,
            said.annotator,
            said.verdict,
            said.label,
            said.updated_at,
            allowed,
            "webhook",
            *more,
        )
    return True


def _known(connection: Connection, model: str, number: str) -> Row[Any] | None:
    one = (table.c.model == model, table.c.number == number)
    return connection.execute(select(table).where(*one)).one_or_none()


def _standing(connection: Connection, model: str, item_id: str, annotator: str) -> list[Row[Any]]:
    theirs = (table.c.model == model, table.c.item_id == item_id, table.c.annotator == annotator)
    return list(connection.execute(select(table).where(*theirs, table.c.deleted.is_(False))).all())


def _keep(connection: Connection, model: str, number: str, **values: Any) -> None:
    if not insert_new(connection, table, {"model": model, "number": number, **values}):
        one = (table.c.model == model, table.c.number == number)
        connection.execute(update(table).where(*one).values(**values))
