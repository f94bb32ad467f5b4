"""People's tools, as far as files go: each takes what was written for it, has somebody label all, and gives it back."""

import csv
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from monitoring.labels.answered import Answered
from monitoring.labels.answers import Label
from monitoring.labels.exchange import COMPANIONS, FOLDERS, READERS, WRITERS
from monitoring.labels.exchange.plain import FIELDS, guard
from monitoring.labels.exchange.rows import Sheet

LABELS = ("negative", "positive", "unsure")


def write(format: str, answered: Sequence[Answered], folder: Path, labels: Sequence[str] = LABELS) -> Path:
    """What `relabel export` leaves in a folder; the path that is handed to the tool."""
    sheet = Sheet("m", labels, iter(answered), dimensions=2)
    inside = COMPANIONS[format](sheet) if format in FOLDERS else {}
    for name, content in inside.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(content, encoding="utf-8", newline="")
    file = folder / FOLDERS.get(format, "items")
    with file.open("w", encoding="utf-8", newline="") as target:
        target.writelines(WRITERS[format](sheet))
    return folder if format in FOLDERS else file


def read(format: str, path: Path) -> tuple[list[Label], list[str]]:
    """Answers and problems of a file or folder."""
    found = list(READERS[format](path))
    return [each for each in found if isinstance(each, Label)], [each for each in found if isinstance(each, str)]


def fill_jsonl(file: Path, label: str) -> None:
    """As a script does."""
    rows = [json.loads(line) for line in file.read_text(encoding="utf-8").split("\n") if line]
    lines = [json.dumps(row | {"label": label, "annotator": "ann@x"}, ensure_ascii=False) for row in rows]
    file.write_text("\n".join(lines), encoding="utf-8", newline="")


def fill_csv(file: Path, label: str) -> None:
    """As a careful tool does: read all cells as they are, fill one in behind a guard, write all again."""
    with file.open(encoding="utf-8", newline="") as source:
        rows = list(csv.DictReader(source))
    with file.open("w", encoding="utf-8", newline="") as target:
        writer = csv.DictWriter(target, FIELDS)
        writer.writeheader()
        writer.writerows([row | {"label": guard(label), "annotator": "ann@x"} for row in rows])


def fill_label_studio(file: Path, label: str) -> None:
    """As Label Studio exports it: the task with its data, and annotations beside."""
    tasks = json.loads(file.read_text(encoding="utf-8"))
    annotated = [task | {"id": n, "annotations": [annotation(label)]} for n, task in enumerate(tasks)]
    file.write_text(json.dumps(annotated), encoding="utf-8")


def annotation(*choices: str, cancelled: bool = False, who: Any = "ann@x", **more: Any) -> dict[str, Any]:
    """One annotation of Label Studio."""
    result = [{"from_name": "label", "to_name": "text", "type": "choices", "value": {"choices": list(choices)}}]
    person = {"id": 1, "email": who} if isinstance(who, str) else who
    return {
        "completed_by": person,
        "was_cancelled": cancelled,
        "ground_truth": False,
        "result": result if choices else [],
        **more,
    }


def fill_argilla(folder: Path, label: str) -> None:
    """As `records.to_json` of Argilla 2.8 writes it: responses without status."""
    records = json.loads((folder / "records.json").read_text(encoding="utf-8"))
    for record in records:
        said = {"label": [{"value": label, "user_id": "ann@x"}]}
        record |= {"responses": said, "status": "completed", "_server_id": "s"}
    (folder / "records.json").write_text(json.dumps(records), encoding="utf-8")


def fill_argilla_flat(folder: Path, label: str) -> None:
    """As `to_list(flatten=True)` of Argilla 2.8 gives it, a record a line."""
    lines = []
    for record in json.loads((folder / "records.json").read_text(encoding="utf-8")):
        flat = {"id": record["id"], "status": "pending", "_server_id": "s", **record["fields"], **record["metadata"]}
        said = {"label.responses": [label], "label.responses.users": ["ann@x"], "label.responses.status": ["submitted"]}
        lines.append(json.dumps(flat | said))
    (folder / "records.json").write_text("\n".join(lines), encoding="utf-8")


def fill_datasets(folder: Path, label: str) -> None:
    """As `load_dataset`, `map` and `to_json` do."""
    fill_jsonl(folder / "data.jsonl", label)


FILLERS: dict[str, tuple[str, Callable[[Path, str], None]]] = {
    "jsonl": ("jsonl", fill_jsonl),
    "csv": ("csv", fill_csv),
    "labelstudio": ("labelstudio", fill_label_studio),
    "argilla": ("argilla", fill_argilla),
    "argilla, flattened": ("argilla", fill_argilla_flat),
    "datasets": ("datasets", fill_datasets),
}
