"""Argilla: a folder that `rg.Dataset.from_disk` takes, and its records back, nested or flattened.

What people said before goes along as metadata, since Argilla takes responses of its own users alone. Back: submitted
responses are answers of the user's id, discarded ones skips, drafts nothing. Argilla 2.8 leaves the status out of
`records.to_json`; there a response counts only in a record that is `completed`. `to_list(flatten=True)` has it all.
Source: argilla 2.8.0, `datasets/_io/_disk.py`, `records/_resource.py`, `records/_io/_generic.py`.
"""

from collections.abc import Iterator, Mapping
from itertools import zip_longest
from pathlib import Path
from typing import Any

import orjson

from monitoring.labels.answered import Answered
from monitoring.labels.answers import Label
from monitoring.labels.exchange.rows import NONE_OF_THESE, Found, Sheet, heard, opened, spoken
from tidegate.errors import UsageError

RECORDS = "records.json"
_MALFORMED = (AttributeError, KeyError, TypeError, ValueError)
_GUIDELINES = "Choose the label of the text. What is none of them is a case for the last one."


def to_records(sheet: Sheet) -> Iterator[str]:
    """A JSON list of records: text, metadata, vector, and the model's answer as suggestion."""
    yield "["
    for number, answered in enumerate(sheet.items):
        yield (",\n" if number else "\n") + orjson.dumps(_record(answered, sheet)).decode()
    yield "\n]\n"


def settings(sheet: Sheet) -> Mapping[str, str]:
    """The other files of the folder: what the data set is called, its fields and its questions.

    Raises:
        UsageError: a label is the very words that say "none of them".
    """
    if NONE_OF_THESE in sheet.labels:
        raise UsageError(f"the model has a label {NONE_OF_THESE!r}, which here says that no label fits; use JSONL")
    common = {
        "guidelines": _GUIDELINES,
        "allow_extra_metadata": True,
        "distribution": {"strategy": "overlap", "min_submitted": 1},
    }
    options = [{"value": label, "text": label} for label in (*sheet.labels, NONE_OF_THESE)]
    plain = {"type": "text", "use_markdown": False}
    vector = {"name": "embedding", "title": "Embedding", "dimensions": sheet.dimensions}
    form = {
        "fields": [{"name": "text", "title": "Text", "required": True, "settings": plain}],
        "questions": [
            {"name": "label", "required": True, "settings": {"type": "label_selection", "options": options}},
            {"name": "comment", "required": False, "settings": plain},
        ],
        "metadata": [{"name": "reason", "settings": {"type": "terms"}}],
        "vectors": [vector] if sheet.dimensions else [],
    }
    return {
        ".argilla/dataset.json": orjson.dumps({"name": sheet.model, **common}).decode(),
        ".argilla/settings.json": orjson.dumps(form | common).decode(),
    }


def from_records(path: Path) -> Iterator[Found]:
    """Answers of a folder as Argilla writes it, of its `records.json`, or of flattened records, a list or one a line.

    Raises:
        UsageError: it cannot be read, or holds no records.
    """
    with opened(path / RECORDS if path.is_dir() else path, newline="\n") as source:
        first = source.readline()
        if first.lstrip().startswith("{"):
            yield from _lines(first, source)
            return
        content = first + source.read()
    try:
        records = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise UsageError(f"{path} holds no records of Argilla: {error}") from None
    if not isinstance(records, list):
        raise UsageError(f"{path} holds no records of Argilla: a list of them is wanted, or one a line")
    for number, record in enumerate(records, start=1):
        yield from _found(f"record {number}", record)


def _lines(first: str, rest: Iterator[str]) -> Iterator[Found]:
    number, line = 1, first
    while line:
        try:
            record = orjson.loads(line) if line.strip() else None
        except orjson.JSONDecodeError as error:
            yield f"line {number}: not JSON: {error}"
            record = None
        if record is not None:
            yield from _found(f"line {number}", record)
        number, line = number + 1, next(rest, "")


def _record(answered: Answered, sheet: Sheet) -> dict[str, Any]:
    item = answered.item
    suggestion = {"value": item.predicted, "score": item.score, "agent": f"{item.model}@{item.version}"}
    fits = answered.vector is not None and len(answered.vector) == sheet.dimensions
    return {
        "id": item.id,
        "fields": {"text": item.text},
        "metadata": {
            "model": item.model,
            "version": item.version,
            "reason": item.reason,
            "predicted": item.predicted,
            "suggested": item.suggested or "",
            "annotations": orjson.dumps(spoken(answered.answers)).decode() if answered.answers else "",
        },
        "suggestions": {"label": suggestion} if item.predicted in sheet.labels else {},
        "responses": {},
        "vectors": {"embedding": answered.vector} if fits else {},
    }


def _found(place: str, record: Any) -> Iterator[Found]:
    try:
        item_id = record["id"]
        flat = "fields" not in record
        before = list(heard(place, item_id, (record if flat else record.get("metadata") or {}).get("annotations")))
        by_user = _flat(record) if flat else _nested(record)
        done = record.get("status") == "completed"
        found = [_answer(place, item_id, user, said, done=done) for user, said in by_user.items()]
    except _MALFORMED as error:
        yield f"{place}: not as Argilla writes it ({type(error).__name__}: {error})"
        return
    yield from before
    yield from (each for each in found if each is not None)


def _answer(place: str, item_id: str, user: str, said: Mapping[str, Any], *, done: bool) -> Found | None:
    label, status = said.get("label"), said.get("status")
    if status == "draft" or (label is None and status != "discarded"):
        return None
    if status is None and not done:
        return f"{place}: nothing says that {user} submitted the response; export with `to_list(flatten=True)`"
    if label is not None and not isinstance(label, str):
        return f"{place}: label {label!r} of item {item_id!r}: one string is wanted"
    skipped = status == "discarded"
    chosen = None if skipped or label == NONE_OF_THESE else label
    return Label(place, item_id, chosen, user, str(said.get("comment") or ""), skipped=skipped)


def _nested(record: Any) -> dict[str, dict[str, Any]]:
    by_user: dict[str, dict[str, Any]] = {}
    for question, responses in (record.get("responses") or {}).items():
        for response in responses:
            said = by_user.setdefault(str(response["user_id"]), {})
            said[question] = response["value"]
            if response.get("status"):
                said["status"] = response["status"]
    return by_user


def _flat(record: Any) -> dict[str, dict[str, Any]]:
    by_user: dict[str, dict[str, Any]] = {}
    for question in ("label", "comment"):
        key = f"{question}.responses"
        columns = [record.get(name) or [] for name in (key, f"{key}.users", f"{key}.status")]
        for value, user, status in zip_longest(*columns):
            said = by_user.setdefault(str(user), {})
            said[question] = value
            if status:
                said["status"] = status
    return by_user
