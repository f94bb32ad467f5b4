"""Exchange: relabel items out to people's tools and their labels back in, as JSONL, CSV or Label Studio JSON.

Before: `relabel.list_items`; after: `relabel.take_labels`. An exported `label` is empty, for a person to fill:
a caller's claim travels as `suggested`, so that a file sent back untouched labels nothing. Reading never
fails for one bad row: it is reported by its place and the rest goes on.
Source: Label Studio's task format (https://labelstud.io/guide/tasks) and JSON export.
"""

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import orjson

from monitoring.labels.answers import Label
from monitoring.labels.items import FINAL, Item
from tidegate.errors import UsageError

FIELDS = ("id", "label", "text", "suggested", "predicted", "score", "reason", "comment", "model", "version")
Read = tuple[list[Label], list[str]]  # labels, problems

# What spreadsheets take for a formula. Source: OWASP, "CSV Injection".
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
_MAX_CELL_CHARS = 2**31 - 1  # csv's own limit of 131,072 is below the longest text a server may be set to take


def to_jsonl(items: Iterable[Item]) -> str:
    """One JSON object a line, with `FIELDS` and the probability of each class."""
    lines = [orjson.dumps(_row(item) | {"scores": item.scores}).decode() for item in items]
    return "".join(line + "\n" for line in lines)


def to_csv(items: Iterable[Item]) -> str:
    """A header and one row an item; a cell that a spreadsheet would run as a formula begins with an apostrophe."""
    target = io.StringIO()
    writer = csv.DictWriter(target, FIELDS, lineterminator="\r\n")
    writer.writeheader()
    for item in items:
        writer.writerow({name: guard(value) for name, value in _row(item).items()})
    return target.getvalue()


def to_labelstudio(items: Iterable[Item]) -> str:
    """Label Studio tasks with the model's answer as prediction; `from_name` is `label`, `to_name` is `text`."""
    return orjson.dumps([_task(item) for item in items], option=orjson.OPT_INDENT_2).decode() + "\n"


def from_jsonl(content: str) -> Read:
    """Labels of a file of JSON objects with `id` and `label`, one a line; empty labels are skipped."""
    labels: list[Label] = []
    problems: list[str] = []
    for number, line in enumerate(content.split("\n"), start=1):  # not splitlines: JSON may hold U+2028 as it is
        if not line.strip():
            continue
        place = f"line {number}"
        try:
            row = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            problems.append(f"{place}: not JSON: {error}")
            continue
        _collect(place, row, labels, problems)
    return labels, problems


def from_csv(content: str) -> Read:
    """Labels of a CSV file with the columns `id` and `label`; empty labels are skipped.

    Raises:
        UsageError: one of the columns is missing.
    """
    csv.field_size_limit(_MAX_CELL_CHARS)
    reader = csv.DictReader(io.StringIO(content, newline=""))
    missing = {"id", "label"} - set(reader.fieldnames or ())
    if missing:
        raise UsageError(
            f"the CSV has no column {' and '.join(sorted(missing))}; it has: {reader.fieldnames or 'none'}"
        )
    labels: list[Label] = []
    problems: list[str] = []
    try:
        for row in reader:
            plain = {name: _unguard(value) for name, value in row.items() if isinstance(value, str)}
            _collect(f"line {reader.line_num}", plain, labels, problems)
    except csv.Error as error:
        problems.append(f"line {reader.line_num}: not CSV from here on: {error}")
    return labels, problems


def from_labelstudio(content: str) -> Read:
    """Labels of Label Studio's JSON export; cancelled annotations and tasks without any are skipped.

    Raises:
        UsageError: not JSON, or not a list of tasks.
    """
    try:
        tasks = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise UsageError(f"not a Label Studio JSON export: {error}; export with the format JSON") from None
    if not isinstance(tasks, list):
        raise UsageError("not a Label Studio JSON export: a list of tasks is wanted; export with the format JSON")
    labels: list[Label] = []
    problems: list[str] = []
    for number, task in enumerate(tasks, start=1):
        try:
            rows = list(_annotations(task))
        except (AttributeError, KeyError, TypeError, IndexError) as error:
            problems.append(f"task {number}: not as Label Studio exports it ({type(error).__name__}: {error})")
            continue
        if len({str(row["label"]) for row in rows}) > 1:
            given = ", ".join(repr(row["label"]) for row in rows)
            problems.append(f"task {number}: annotators disagree ({given}); settle it in Label Studio")
        elif rows:
            _collect(f"task {number}", rows[-1], labels, problems)
    return labels, problems


WRITERS: Mapping[str, Callable[[Iterable[Item]], str]] = {
    "jsonl": to_jsonl,
    "csv": to_csv,
    "labelstudio": to_labelstudio,
}
READERS: Mapping[str, Callable[[str], Read]] = {
    "jsonl": from_jsonl,
    "csv": from_csv,
    "labelstudio": from_labelstudio,
}


def _row(item: Item) -> dict[str, Any]:
    return {
        "id": item.id,
        "label": item.label if item.state in FINAL else "",
        "text": item.text,
        "suggested": item.suggested or "",
        "predicted": item.predicted,
        "score": item.score,
        "reason": item.reason,
        "comment": item.comment,
        "model": item.model,
        "version": item.version,
    }


def _task(item: Item) -> dict[str, Any]:
    row = _row(item)
    choice = {"from_name": "label", "to_name": "text", "type": "choices", "value": {"choices": [item.predicted]}}
    return {
        "data": {"text": item.text, "tidegate_id": item.id},
        "meta": {name: row[name] for name in ("model", "version", "reason", "suggested", "comment")},
        "predictions": [
            {"model_version": f"{item.model}@{item.version}", "score": item.score, "result": [choice]},
        ],
    }


def _annotations(task: Any) -> Iterator[dict[str, Any]]:
    """Each annotation of a task that counts, as a row with id, label and annotator."""
    for annotation in task["annotations"]:
        if annotation.get("was_cancelled"):
            continue
        choices = [
            c for result in annotation["result"] if result["type"] == "choices" for c in result["value"]["choices"]
        ]
        if choices:
            label = choices[0] if len(choices) == 1 else choices
            yield {"id": task["data"]["tidegate_id"], "label": label, "annotator": _person(annotation)}


def _person(annotation: Mapping[str, Any]) -> str:
    """Who labelled: Label Studio gives a user id, or an object with an e-mail address."""
    person = annotation.get("completed_by", "")
    return str(person.get("email", person.get("id", "")) if isinstance(person, dict) else person)


def _collect(place: str, row: Any, labels: list[Label], problems: list[str]) -> None:
    if not isinstance(row, dict) or not isinstance(row.get("id"), str) or not row["id"]:
        problems.append(f"{place}: no `id`, a string is wanted")
        return
    label = row.get("label")
    if label is None or label == "":
        return
    if not isinstance(label, str):
        problems.append(f"{place}: label {label!r} of item {row['id']!r}: one string is wanted")
        return
    labels.append(Label(place, row["id"], label, str(row.get("annotator") or "")))


def guard(value: Any) -> Any:
    """An apostrophe before what looks like a formula, and before text that would read as guarded."""
    if isinstance(value, str) and value.lstrip("'").startswith(_FORMULA):
        return "'" + value
    return value


def _unguard(cell: str) -> str:
    return cell[1:] if cell.startswith("'") and cell.lstrip("'").startswith(_FORMULA) else cell
