"""Labelled texts from CSV files, and what an export takes from them: evaluation rows, training rows, samples.

Used by `pipeline` and by the training scripts, so that both read a file alike. Limits: UTF-8 with a header;
whole files in memory; evaluation and training are sampled down to `MAX_ROWS` (seeded), because beyond it more
rows cost minutes and move the numbers by less than their own interval.
"""

import csv
from collections.abc import Sequence
from pathlib import Path
from random import Random

from tidegate.errors import UsageError

Row = tuple[str, str]  # (text, label)
MAX_ROWS = 2000
SAMPLES = 12
_SAMPLE_CHARS = 160  # longer ones do not fit a demo's example list
_UNLABELLED = "-"
_FIELD_BYTES = 10_000_000  # csv's own limit of 131,072 is below what people paste


def read_rows(file: Path, text_column: str = "text", label_column: str | None = "label") -> list[Row]:
    """Read (text, label) rows; without a label column every label is a dash.

    Raises:
        UsageError: unreadable, not UTF-8, no such column, no rows, or an empty text or label; names the line.
    """
    csv.field_size_limit(_FIELD_BYTES)
    try:
        with file.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream, strict=True)
            columns = reader.fieldnames or []
            for column in (text_column, label_column):
                if column is not None and column not in columns:
                    raise UsageError(f"{file} has no column {column!r}; it has: {', '.join(columns) or 'none'}")
            rows = [
                _row(file, reader.line_num, line[text_column], line[label_column] if label_column else _UNLABELLED)
                for line in reader
            ]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"cannot read {file} as a UTF-8 CSV file: {error}") from None
    if not rows:
        raise UsageError(f"{file} has a header and no rows")
    return rows


def _row(file: Path, line: int, text: str | None, label: str | None) -> Row:
    if not (text or "").strip() or not (label or "").strip():
        empty = "label" if (text or "").strip() else "text"
        raise UsageError(f"{file} line {line}: the {empty} is empty; fill it in or delete the row")
    return str(text), str(label).strip()


def sample_rows(rows: Sequence[Row], limit: int = MAX_ROWS, seed: int = 0) -> list[Row]:
    """At most `limit` of the rows, in their order; the same ones for the same seed."""
    if len(rows) <= limit:
        return list(rows)
    kept = sorted(Random(seed).sample(range(len(rows)), limit))
    return [rows[index] for index in kept]


def choose_samples(rows: Sequence[Row], count: int = SAMPLES, seed: int = 0) -> tuple[str, ...]:
    """Short, distinct texts to show in a demo, taking turns between the labels so that each is there."""
    queues = [_shown_first(rows, label, seed) for label in sorted({label for _, label in rows})]
    taken: dict[str, None] = {}
    for turn in range(max(map(len, queues))):
        for queue in queues:
            if turn < len(queue) and len(taken) < count:
                taken.setdefault(queue[turn])
    return tuple(taken)


def _shown_first(rows: Sequence[Row], label: str, seed: int) -> list[str]:
    """The short texts of a label in random order; its shortest one where none is short."""
    own = [text for text, given in rows if given == label]
    short = [text for text in own if len(text) <= _SAMPLE_CHARS]
    Random(seed).shuffle(short)
    return short or [min(own, key=len)]
