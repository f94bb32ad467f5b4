"""JSONL and CSV: files that people and scripts fill in, a line at a time, whatever their length.

JSONL has every field of an item; CSV those that a person looks at, and a cell that a spreadsheet would run as a formula
begins with an apostrophe. Before: `answered`; after: `answers.take_labels`.
Source: OWASP, "CSV Injection".
"""

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from monitoring.labels.exchange.rows import Found, Sheet, opened, read_row, row_of
from tidegate.errors import UsageError

FIELDS = (
    *("id", "label", "annotator", "verdict", "text", "suggested", "predicted", "score", "reason", "comment"),
    *("model", "version", "agreed", "annotations"),
)
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")  # what spreadsheets take for one
_MAX_CELL_CHARS = 2**31 - 1  # csv's own limit of 131,072 is below the longest text a server may be set to take


def to_jsonl(sheet: Sheet) -> Iterator[str]:
    """One JSON object a line, with every field of an item and every answer."""
    for answered in sheet.items:
        yield orjson.dumps(row_of(answered)).decode() + "\n"


def to_csv(sheet: Sheet) -> Iterator[str]:
    """A header and one row an item, with the columns `FIELDS`; `annotations` holds JSON."""
    yield _csv_line(FIELDS)
    for answered in sheet.items:
        row = row_of(answered)
        row["annotations"] = orjson.dumps(row["annotations"]).decode() if row["annotations"] else ""
        yield _csv_line([guard(row[name]) for name in FIELDS])


def from_jsonl(file: Path) -> Iterator[Found]:
    """Answers of a file of JSON objects with `id`, one a line.

    Raises:
        UsageError: the file cannot be read.
    """
    with opened(file, newline="\n") as lines:  # JSON may hold U+2028, and a line of it ends with a line feed alone
        for number, line in enumerate(lines, start=1):
            place = f"line {number}"
            try:
                row = orjson.loads(line) if line.strip() else None
            except orjson.JSONDecodeError as error:
                yield f"{place}: not JSON: {error}"
                continue
            if line.strip():
                yield from read_row(place, row)


def from_csv(file: Path) -> Iterator[Found]:
    """Answers of a CSV file with the columns `id` and `label`.

    Raises:
        UsageError: the file cannot be read, or one of the columns is missing.
    """
    csv.field_size_limit(_MAX_CELL_CHARS)
    with opened(file, newline="") as lines:  # a cell may hold any kind of line end
        reader = csv.DictReader(lines)
        missing = {"id", "label"} - set(reader.fieldnames or ())
        if missing:
            columns = reader.fieldnames or "none"
            raise UsageError(f"the CSV has no column {' and '.join(sorted(missing))}; it has: {columns}")
        try:
            for row in reader:
                plain = {name: _unguard(value) for name, value in row.items() if isinstance(value, str)}
                yield from read_row(f"line {reader.line_num}", plain)
        except csv.Error as error:
            yield f"line {reader.line_num}: not CSV from here on: {error}"


def _csv_line(cells: Any) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="\r\n").writerow(cells)
    return line.getvalue()


def guard(value: Any) -> Any:
    """An apostrophe before what looks like a formula, and before text that would read as guarded."""
    if isinstance(value, str) and value.lstrip("'").startswith(_FORMULA):
        return "'" + value
    return value


def _unguard(cell: str) -> str:
    return cell[1:] if cell.startswith("'") and cell.lstrip("'").startswith(_FORMULA) else cell
