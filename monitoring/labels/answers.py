"""Answers: what a person says of an item, stored once, and what follows for the item, in one transaction.

Who answers again changes their mind; answering twice the same changes nothing; so a click that was sent twice, a file
that is imported twice and a webhook that is delivered twice count once. An answer that comes after its lease ran out is
kept like any other: work is never thrown away. What is in a data set stays as it is.
Before: the page, `exchange`; after: `states`.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Literal

from sqlalchemy import Connection, Engine, Row, bindparam, delete, select, update

from monitoring.labels import items
from monitoring.labels.items import ACCEPTED, DISPUTED, IN_DATA_SET, State
from monitoring.labels.states import DECISION, LABEL, SKIP, settle
from monitoring.tables import insert_new, storable, turn
from tidegate.errors import InvalidInput, ItemNotFound, TidegateError
from tidegate.store import annotations
from tidegate.store import relabel_items as table

Verdict = Literal["label", "none", "skip"]
Source = Literal["page", "import", "webhook", "simulated", "decision"]
Outcome = Literal["stored", "changed", "unchanged"]
Allowed = Callable[[str, int], Sequence[str]]  # model and version to the labels that it takes

MAX_ANNOTATOR_CHARS = 128
UNNAMED = "import"
_PIECE = 500  # answers a transaction: some 0.2 s for which other writers wait

_MINE = select(annotations).where(
    annotations.c.item_id == bindparam("item"), annotations.c.annotator == bindparam("annotator")
)
_SAY = update(table).where(table.c.id == bindparam("item"))


@dataclass(frozen=True, slots=True)
class Label:
    """A person's label on its way back; `place` is where it stood in its file, for messages.

    Attributes:
        label: None says that the text is no case for these labels, or that it was skipped.
        at: Unix seconds at which it was given; None where nobody knows. An older answer never replaces a newer one.
        source: the way it first came; None for the way of the file.
        gold: whether it is the right label by which annotators are tested from now on.
    """

    place: str
    item_id: str
    label: str | None
    annotator: str = ""
    comment: str = ""
    seconds: float | None = None
    skipped: bool = False
    at: float | None = None
    source: Source | None = None
    gold: bool = False


@dataclass(slots=True)
class ImportReport:
    """What an import did; `problems` name the place and the value, one a label that was not taken."""

    labelled: int = 0
    changed: int = 0
    unchanged: int = 0
    problems: list[str] = field(default_factory=list)


def answer(
    connection: Connection,
    item_id: str,
    annotator: str,
    verdict: Verdict,
    label: str | None,
    at: float,
    allowed: Allowed,
    source: Source,
    comment: str = "",
    seconds: float | None = None,
) -> tuple[Outcome, State]:
    """Store what a person says of an item.

    Args:
        connection: in a transaction.
        item_id: of the item.
        annotator: who; 128 characters at most.
        verdict: a label, none of them, or skipped.
        label: with the verdict `label` alone.
        at: Unix time in seconds.
        allowed: what labels the item's model takes.
        source: the way it came.
        comment: what else the person says.
        seconds: that they looked at it.

    Returns:
        What became of the answer, and the item's state after it.

    Raises:
        ItemNotFound: no such item.
        InvalidInput: no label of the model, no annotator, or the item is in a data set already.
    """
    found = _checked(connection, item_id, annotator, verdict, label, allowed)
    given = {"verdict": verdict, "label": label, "comment": storable(comment), "source": source, "seconds": seconds}
    outcome = _store(connection, item_id, annotator, given, at)
    if outcome != "unchanged" or found.claimed_by == annotator:
        if found.claimed_by or found.leased_until is not None:
            _free(connection, item_id, annotator)
        said = {"annotator": annotator, "labelled_at": at} if verdict != SKIP and outcome != "unchanged" else {}
        if said:
            connection.execute(_SAY, {"item": item_id, **said})
    return outcome, settle(connection, item_id)


def undo(connection: Connection, item_id: str, annotator: str) -> State:
    """Take an answer back.

    Raises:
        ItemNotFound: that person has not answered that item.
        InvalidInput: the item is in a data set already.
    """
    found = items.find(connection, item_id)
    if found is not None and found.state == IN_DATA_SET:
        raise InvalidInput(f"item {item_id!r} is in data set {found.data_set} and cannot be changed any more")
    mine = (annotations.c.item_id == storable(item_id), annotations.c.annotator == annotator)
    if not connection.execute(delete(annotations).where(*mine)).rowcount:
        raise ItemNotFound(f"{annotator} has not answered item {item_id!r}")
    return settle(connection, item_id)


def doubt(connection: Connection, item_id: str, why: str) -> bool:
    """Ask one more annotator about an accepted item; whether it was done.

    An item that two people have agreed on is not doubted again, nor is one that somebody decided.
    """
    given = select(annotations).where(annotations.c.item_id == item_id, annotations.c.verdict != SKIP)
    answers = connection.execute(given).all()
    if len(answers) != 1 or answers[0].source == DECISION:
        return False
    accepted = (table.c.id == item_id, table.c.state == ACCEPTED)
    values = {"state": DISPUTED, "label": None, "doubt": storable(why), "wanted": 2}
    return bool(connection.execute(update(table).where(*accepted).values(**values)).rowcount)


def take_labels(
    database: Engine, labels: Iterable[Label], allowed: Allowed, at: float, source: Source = "import"
) -> ImportReport:
    """Take answers back from a file or a tool: the valid ones, some hundreds a transaction; the others change nothing.

    A process that dies has taken some of them; taking all of them again takes the rest.

    Args:
        database: the state database.
        labels: as read; taking the same ones twice changes nothing more.
        allowed: model and version to the labels that the model takes.
        at: Unix time in seconds.
        source: the way they came.
    """
    report = ImportReport()
    seen: dict[tuple[str, str], Label] = {}
    rest = iter(labels)
    while piece := list(islice(rest, _PIECE)):
        with turn(database) as connection:
            for label in piece:
                if not _contradicts(label, seen, report):
                    take_label(connection, label, allowed, at, source, report)
    return report


def take_label(
    connection: Connection, label: Label, allowed: Allowed, at: float, source: Source, report: ImportReport
) -> None:
    """Take one answer, in a transaction, and say in the report what became of it."""
    who = storable(label.annotator or UNNAMED)
    kind: Verdict = "skip" if label.skipped else "none" if label.label is None else "label"
    given_at = at if label.at is None else min(label.at, at)  # a clock that is ahead must not outlast later answers
    more = (label.comment, label.seconds)
    try:
        if label.at is not None and _is_older(connection, label, who):
            outcome: Outcome = "unchanged"
        else:
            how = label.source or source
            outcome, _ = answer(connection, label.item_id, who, kind, label.label, given_at, allowed, how, *more)
        if label.gold:
            _make_gold(connection, label)
    except TidegateError as error:
        report.problems.append(f"{label.place}: {error}")
        return
    report.labelled += outcome == "stored"
    report.changed += outcome == "changed"
    report.unchanged += outcome == "unchanged"


def _contradicts(label: Label, seen: dict[tuple[str, str], Label], report: ImportReport) -> bool:
    """Whether one person says two things of an item in one file, and nothing tells which came last."""
    first = seen.setdefault((label.item_id, label.annotator or UNNAMED), label)
    if (first.label, first.skipped) == (label.label, label.skipped) or first.at is not None or label.at is not None:
        return False
    report.problems.append(
        f"{label.place}: item {label.item_id!r} has two labels in this file; "
        f"{first.label!r} is kept, {label.label!r} is not"
    )
    return True


def _is_older(connection: Connection, label: Label, who: str) -> bool:
    stored = connection.execute(_MINE, {"item": storable(label.item_id), "annotator": who}).one_or_none()
    return stored is not None and label.at is not None and bool(stored.created_at >= label.at)


def _make_gold(connection: Connection, label: Label) -> None:
    found = items.find(connection, label.item_id)
    if found is None or found.gold == label.label:
        return
    if found.state == IN_DATA_SET:
        raise InvalidInput(f"item {label.item_id!r} is in data set {found.data_set}, and cannot test annotators")
    connection.execute(update(table).where(table.c.id == found.id).values(gold=label.label))
    settle(connection, found.id)


def _checked(
    connection: Connection, item_id: str, annotator: str, verdict: Verdict, label: str | None, allowed: Allowed
) -> Row[Any]:
    found = items.find(connection, item_id)
    if found is None:
        raise ItemNotFound(f"no item {item_id!r} on the queue")
    if not annotator or len(annotator) > MAX_ANNOTATOR_CHARS:
        raise InvalidInput(f"an annotator's name has 1 to {MAX_ANNOTATOR_CHARS} characters, this one {len(annotator)}")
    if (label is not None) != (verdict == LABEL):
        raise InvalidInput(f"the verdict {verdict!r} and the label {label!r} do not go together")
    if found.state == IN_DATA_SET and not _same(connection, item_id, annotator, label):
        raise InvalidInput(f"item {item_id!r} is in data set {found.data_set}, and takes no label any more")
    if label is not None:
        check_label(found, label, allowed)
    return found


def _same(connection: Connection, item_id: str, annotator: str, label: str | None) -> bool:
    given = connection.execute(_MINE, {"item": item_id, "annotator": annotator}).one_or_none()
    return given is not None and given.label == label


def check_label(found: Row[Any], label: str, allowed: Allowed) -> None:
    """Raise `InvalidInput` where an item's model has no such label."""
    try:
        known = allowed(found.model, found.version)
    except TidegateError as error:
        raise InvalidInput(f"the labels of {found.model}/{found.version} cannot be read: {error}") from None
    if label not in known:
        raise InvalidInput(f"{label!r} is no label of {found.model}; use one of: {', '.join(known)}")


def _store(connection: Connection, item_id: str, annotator: str, given: dict[str, Any], at: float) -> Outcome:
    key = {"item_id": item_id, "annotator": annotator}
    if insert_new(connection, annotations, {**key, **given, "created_at": at}):
        return "stored"
    before = connection.execute(_MINE, {"item": item_id, "annotator": annotator}).one()
    same = (before.verdict, before.label) == (given["verdict"], given["label"])
    if same and given["comment"] in ("", before.comment):
        return "unchanged"
    mine = (annotations.c.item_id == item_id, annotations.c.annotator == annotator)
    connection.execute(update(annotations).where(*mine).values(**given, created_at=at))
    return "changed"


def _free(connection: Connection, item_id: str, annotator: str) -> None:
    """End the person's own lease; somebody else's goes on, and their answer will count, too."""
    mine = (table.c.id == item_id, table.c.claimed_by.in_((annotator, "")))
    connection.execute(update(table).where(*mine).values(claimed_by="", leased_until=None))
