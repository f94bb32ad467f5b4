"""Label Studio: tasks with the model's answer as pre-annotation, the labelling interface, and its JSON export back.

What people said before goes along in `meta`, which Label Studio keeps and does not show: as annotations of its own it
refuses those of people whom it does not know. A cancelled annotation is a skip, `ground_truth` makes an item test
annotators, `lead_time` is the seconds it took. Of several annotations of one person the newest counts.
Source: task and export format (https://labelstud.io/guide/tasks, https://labelstud.io/guide/export).
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

import orjson

from monitoring.labels.answered import Answered
from monitoring.labels.answers import Label
from monitoring.labels.exchange.rows import NONE_OF_THESE, Found, Sheet, heard, opened, spoken
from tidegate.errors import UsageError

MALFORMED = (AttributeError, KeyError, TypeError, IndexError, ValueError)
_META = ("model", "version", "reason", "suggested", "comment")


def config(labels: Sequence[str]) -> str:
    """The labelling interface: one choice of a model's labels or none of them, and a comment.

    Raises:
        UsageError: a label is the very words that say "none of them".
    """
    if NONE_OF_THESE in labels:
        raise UsageError(f"the model has a label {NONE_OF_THESE!r}, which here says that no label fits; use JSONL")
    choices = "".join(f"    <Choice value={quoteattr(label)}/>\n" for label in (*labels, NONE_OF_THESE))
    return (
        '<View>\n  <Text name="text" value="$text"/>\n'
        f'  <Choices name="label" toName="text" choice="single" required="true">\n{choices}  </Choices>\n'
        '  <TextArea name="comment" toName="text" placeholder="comment" maxSubmissions="1"/>\n</View>\n'
    )


def to_tasks(sheet: Sheet) -> Iterator[str]:
    """A JSON list of tasks; `from_name` is `label`, `to_name` is `text`."""
    yield "["
    for number, answered in enumerate(sheet.items):
        yield (",\n" if number else "\n") + orjson.dumps(_task(answered)).decode()
    yield "\n]\n"


def from_export(file: Path) -> Iterator[Found]:
    """Answers of Label Studio's JSON export; tasks without any say nothing.

    Raises:
        UsageError: the file cannot be read, is not JSON, or no list of tasks.
    """
    with opened(file, newline="") as source:
        content = source.read()
    try:
        tasks = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise UsageError(f"not a Label Studio JSON export: {error}; export with the format JSON") from None
    if not isinstance(tasks, list):
        raise UsageError("not a Label Studio JSON export: a list of tasks is wanted; export with the format JSON")
    for number, task in enumerate(tasks, start=1):
        yield from _found(f"task {number}", task)


def read_annotation(place: str, item_id: str, annotation: Any) -> Found | None:
    """One annotation of an item as an answer; None where nobody chose anything.

    Raises:
        KeyError, TypeError, AttributeError, ValueError: it is not as Label Studio writes it.
    """
    skipped = bool(annotation.get("was_cancelled"))
    values = [] if skipped else _values(annotation["result"], "choices", "choices")
    if not values and not skipped:
        return None
    if len(values) > 1 or not all(isinstance(value, str) for value in values):
        return f"{place}: label {values!r} of item {item_id!r}: one string is wanted"
    label = None if skipped or values == [NONE_OF_THESE] else values[0]
    seconds = annotation.get("lead_time")
    return Label(
        place,
        item_id,
        label,
        person(annotation),
        "\n".join(map(str, _values(annotation.get("result") or [], "textarea", "text"))),
        None if seconds is None else float(seconds),
        skipped=skipped,
        at=moment(annotation.get("updated_at") or annotation.get("created_at")),
        gold=bool(annotation.get("ground_truth")) and label is not None,
    )


def person(annotation: Any) -> str:
    """Who labelled: Label Studio gives a user's id, or an object with an e-mail address."""
    who = annotation.get("completed_by")
    if isinstance(who, dict):
        who = who.get("email") or who.get("id")
    return "" if who is None else str(who)


def moment(written: Any) -> float | None:
    """Unix seconds of a time in ISO 8601, in UTC where it does not say.

    Raises:
        ValueError, TypeError: it is none.
    """
    if not written:
        return None
    time = datetime.fromisoformat(written)
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()


def _task(answered: Answered) -> dict[str, Any]:
    item = answered.item
    choice = {"from_name": "label", "to_name": "text", "type": "choices", "value": {"choices": [item.predicted]}}
    meta = {name: getattr(item, name) or "" for name in _META}
    return {
        "data": {"text": item.text, "tidegate_id": item.id},
        "meta": meta | {"annotations": spoken(answered.answers)},
        "predictions": [{"model_version": f"{item.model}@{item.version}", "score": item.score, "result": [choice]}],
    }


def _found(place: str, task: Any) -> Iterator[Found]:
    try:
        item_id = str(task["data"]["tidegate_id"])
        annotations = task["annotations"]
        found = [read_annotation(place, item_id, annotation) for annotation in annotations]
        before = list(heard(place, item_id, (task.get("meta") or {}).get("annotations")))
    except MALFORMED as error:
        yield f"{place}: not as Label Studio exports it ({type(error).__name__}: {error})"
        return
    yield from before
    newest: dict[str, Label] = {}
    for label in sorted((each for each in found if isinstance(each, Label)), key=lambda label: label.at or 0.0):
        newest[label.annotator] = label
    yield from (each for each in found if isinstance(each, str))
    yield from newest.values()


def _values(results: Any, kind: str, name: str) -> list[Any]:
    return [value for result in results if result["type"] == kind for value in result["value"][name]]
