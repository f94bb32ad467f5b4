"""Rows: one item as a flat document, and what a person filled in; shared by JSONL, CSV and data set folders.

A row has a `label` to fill in (or `verdict`: none, skip), who says so as `annotator`, and what was said before as
`annotations`. A `label` that is only what people had agreed on when the file was written (`agreed`), and that nobody
puts their name to, says nothing new. Before: `answered`; after: `answers.take_labels`.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any, cast, get_args

import orjson

from monitoring.labels.answered import Answer, Answered
from monitoring.labels.answers import Label, Source
from monitoring.labels.items import FINAL, Item
from monitoring.labels.states import LABEL, NONE, SKIP
from tidegate.errors import UsageError

Found = Label | str  # an answer, or what is wrong at a place

NONE_OF_THESE = "none of these labels"  # the choice, in tools that only know choices, for what is no case for them
_VERDICTS = (LABEL, NONE, SKIP)
_SOURCES = get_args(Source)


@dataclass(frozen=True, slots=True)
class Sheet:
    """What goes out.

    Attributes:
        model: whose items.
        labels: that people choose from.
        items: read once.
        dimensions: of the vectors that go along; None where none do.
    """

    model: str
    labels: Sequence[str] = ()
    items: Iterator[Answered] = field(default_factory=lambda: iter(()))
    dimensions: int | None = None


def row_of(answered: Answered) -> dict[str, Any]:
    """Every field of an item, what people said of it, and what is to be filled in: label, annotator, verdict."""
    item = answered.item
    agreed = agreed_of(item)
    fill_in = {"id": item.id, "label": agreed, "annotator": "", "verdict": "", "agreed": agreed}
    fields = {name: value for name, value in asdict(item).items() if name not in fill_in}
    return fill_in | fields | {"annotations": spoken(answered.answers)}


def agreed_of(item: Item) -> str:
    """The label that people agree on; empty where they do not yet."""
    return item.label or "" if item.state in FINAL else ""


def spoken(answers: Sequence[Answer]) -> list[dict[str, Any]]:
    """Answers as documents, as `heard` reads them."""
    return [asdict(answer) for answer in answers]


def read_row(place: str, row: Any) -> Iterator[Found]:
    """The answers in a row: those that travelled along, and the one that was filled in, if any."""
    if not isinstance(row, dict) or not isinstance(row.get("id"), str) or not row["id"]:
        yield f"{place}: no `id`, a string is wanted"
        return
    yield from heard(place, row["id"], row.get("annotations"))
    filled = _filled(place, row)
    if filled is not None:
        yield filled


def heard(place: str, item_id: str, answers: Any) -> Iterator[Found]:
    """Answers that travelled along with an item: a list, or JSON of one; None and empty are no answers."""
    if isinstance(answers, str) and answers:
        try:
            answers = orjson.loads(answers)
        except orjson.JSONDecodeError as error:
            yield f"{place}: `annotations` of item {item_id!r} are not JSON: {error}"
            return
    for number, answer in enumerate(answers if isinstance(answers, list) else [], start=1):
        yield _heard(f"{place}, annotation {number}", item_id, answer)


@contextmanager
def opened(path: Path, newline: str) -> Iterator[IO[str]]:
    """A file to read, in UTF-8 with or without a byte order mark, which spreadsheets write.

    Raises:
        UsageError: it cannot be read, or is not UTF-8.
    """
    try:
        with path.open(encoding="utf-8-sig", newline=newline) as source:
            yield source
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not UTF-8 (byte {error.start}); save it as UTF-8") from None


def _filled(place: str, row: dict[str, Any]) -> Found | None:
    label, verdict, annotator = row.get("label") or "", row.get("verdict") or "", row.get("annotator") or ""
    if not isinstance(label, str):
        return f"{place}: label {label!r} of item {row['id']!r}: one string is wanted"
    if not isinstance(annotator, str):
        return f"{place}: annotator {annotator!r} of item {row['id']!r}: one string is wanted"
    if verdict not in ("", *_VERDICTS):
        return f"{place}: verdict {verdict!r} of item {row['id']!r}: one of {', '.join(_VERDICTS)} is wanted"
    agreed = row.get("agreed") or ""
    if verdict in (NONE, SKIP):
        if label not in ("", agreed):
            return f"{place}: item {row['id']!r} has the label {label!r} and the verdict {verdict!r}; leave one out"
        return Label(place, row["id"], None, annotator, skipped=verdict == SKIP)
    if not label or (label == agreed and not annotator):
        return None
    return Label(place, row["id"], label, annotator)


def _heard(place: str, item_id: str, answer: Any) -> Found:
    if not isinstance(answer, dict) or not isinstance(answer.get("annotator"), str):
        return f"{place}: not an answer with an `annotator`"
    verdict, label = answer.get("verdict"), answer.get("label")
    if verdict not in _VERDICTS or (verdict == LABEL) != isinstance(label, str):
        return f"{place}: the verdict {verdict!r} and the label {label!r} do not go together"
    seconds, at, source = answer.get("seconds"), answer.get("created_at"), answer.get("source")
    if not _number(seconds) or not _number(at):
        return f"{place}: `seconds` {seconds!r} and `created_at` {at!r}: numbers are wanted"
    return Label(
        place,
        item_id,
        label,
        answer["annotator"],
        str(answer.get("comment") or ""),
        seconds,
        skipped=verdict == SKIP,
        at=at,
        source=cast(Source, source) if source in _SOURCES else None,
    )


def _number(value: Any) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))
