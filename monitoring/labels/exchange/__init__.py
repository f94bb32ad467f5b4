"""Exchange: relabel items out to people's tools and their labels back in; the registry of what can be written and read.

Before: `answered`; after: `answers.take_labels`. What people have said already travels along in every format, so a
round trip loses nothing. A `label` to fill in goes out empty, or as what people agree on: a caller's claim travels as
`suggested`. So a file that is sent back untouched says nothing new. Reading never fails for one bad row: it is told by
its place, and the rest goes on.
"""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from monitoring.labels.exchange import argilla, data_folder, label_studio, plain
from monitoring.labels.exchange.rows import Found, Sheet

WRITERS: Mapping[str, Callable[[Sheet], Iterator[str]]] = {
    "jsonl": plain.to_jsonl,
    "csv": plain.to_csv,
    "labelstudio": label_studio.to_tasks,
    "argilla": argilla.to_records,
    "datasets": plain.to_jsonl,
}
READERS: Mapping[str, Callable[[Path], Iterator[Found]]] = {
    "jsonl": plain.from_jsonl,
    "csv": plain.from_csv,
    "labelstudio": label_studio.from_export,
    "argilla": argilla.from_records,
    "datasets": data_folder.from_folder,
}
# Formats that are a folder, and the file in it that `WRITERS` writes.
FOLDERS: Mapping[str, str] = {"argilla": argilla.RECORDS, "datasets": data_folder.DATA}
# Small files beside the items: of a folder by their path in it, of a file by the suffix that takes its own's place.
COMPANIONS: Mapping[str, Callable[[Sheet], Mapping[str, str]]] = {
    "labelstudio": lambda sheet: {".xml": label_studio.config(sheet.labels)},
    "argilla": argilla.settings,
    "datasets": data_folder.card,
}
