"""Data sets: the training data of a model's next run, a folder and a row of the state database each.

`<home>/data_sets/<model>/<N>/` holds training, validation, evaluation and random.csv, and data_set.json with digest,
lineage and counts. It is written beside its place; then, in one transaction that first checks that the queue still
says the same, the folder is renamed, the row is written and the items go from accepted to in_data_set: killed anywhere,
there is all of it or nothing that counts. Items of an earlier data set whose run never became the live one are taken in
again.
Before: `answers`, and the splits of the parent run; after: training, and the gate, which alone reads random.csv.
"""

import csv
import hashlib
import json
import os
import shutil
import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, Row, func, insert, select, update

from monitoring.labels.items import ACCEPTED, FINAL, IN_DATA_SET, LABELLED
from monitoring.labels.mixing import SPLITS, Labelled, Mixed, mix
from monitoring.labels.states import LABEL
from monitoring.tables import clean, turn
from tidegate.errors import TidegateError, UsageError
from tidegate.store import annotations, data_sets, random_draws, relabel_items

MANIFEST = "data_set.json"
_STAGING = ".staging-"
_TRIES = 5  # of people answering while files are written
_IDS_AT_ONCE = 500  # SQLite takes 32,766 variables in a statement, older ones 999

Splits = Mapping[str, Sequence[tuple[str, str]]]


@dataclass(frozen=True, slots=True)
class DataSet:
    """A published data set.

    Attributes:
        digest: sha256 over its files and the parent run.
        rows: of all splits together; added: labels from the queue that are new to training or validation.
        detail: alerts, counts, conflicts and what was left out, in numbers; `data_set.json` holds all of it.
    """

    model: str
    number: int
    digest: str
    rows: int
    added: int
    parent_run: str
    created_at: float
    detail: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Source:
    """What a data set begins with: the parent run, and its rows by split."""

    run: str
    splits: Splits


def build(database: Engine, folder: Path, model: str, source: Source, at: float) -> DataSet:
    """Make the next data set of a model; the newest one where it would be the same.

    Args:
        database: the state database.
        folder: of this model's data sets.
        model: whose queue.
        source: the parent run's own data.
        at: Unix time in seconds.

    Raises:
        UsageError: there is no label that the parent run has not seen, or it kept no training or evaluation rows.
        TidegateError: people kept changing labels while it was written.
    """
    missing = [name for name in ("training", "evaluation") if not source.splits.get(name)]
    if missing:
        raise UsageError(
            f"the run of {model} kept no {' and no '.join(missing)} rows (data/<split>.csv); train it with the "
            "examples, or log them as artifacts, so that the new run can be compared on the same rows"
        )
    sweep(folder)
    for _ in range(_TRIES):
        with database.connect() as connection:
            items = labelled(connection, model)
        mixed = mix(source.splits, items)
        if not mixed.added:
            raise UsageError(_nothing(model, items, mixed))
        found = _publish(database, folder, model, source, items, mixed, at)
        if found is not None:
            return found
    raise TidegateError(f"labels of {model} changed {_TRIES} times while its data set was written; run it again")


def labelled(connection: Connection, model: str) -> list[Labelled]:
    """The labels of a model's queue that are training data: what people agree on, gold items left out.

    An item that lacks only a second annotator counts while a model has one annotator alone.
    """
    table = relabel_items
    states = [*FINAL, LABELLED] if _annotators(connection, model) == 1 else FINAL
    drawn = select(random_draws.c.item_id).where(random_draws.c.model == model)
    query = select(table, table.c.id.in_(drawn).label("random")).where(
        table.c.model == model, table.c.state.in_(states), table.c.gold.is_(None)
    )
    rows = connection.execute(query.order_by(table.c.id)).all()
    alone = _answers(connection, [row.id for row in rows if row.state == LABELLED])
    return [_labelled(row, row.label or alone[row.id]) for row in rows if row.label or row.id in alone]


def list_data_sets(database: Engine, model: str | None = None) -> list[DataSet]:
    """Data sets of one model or all, newest first."""
    query = select(data_sets).order_by(data_sets.c.model, data_sets.c.number.desc())
    if model is not None:
        query = query.where(data_sets.c.model == model)
    with database.connect() as connection:
        return [DataSet(**row._mapping) for row in connection.execute(query)]


def sweep(folder: Path) -> None:
    """Delete what a process that was killed left half written."""
    for staged in folder.glob(f"{_STAGING}*"):
        shutil.rmtree(staged, ignore_errors=True)


def _publish(
    database: Engine, folder: Path, model: str, source: Source, items: Sequence[Labelled], mixed: Mixed, at: float
) -> DataSet | None:
    """Write, then commit; None where the queue says something else by then."""
    staged = folder / f"{_STAGING}{uuid.uuid4().hex}"
    staged.mkdir(parents=True, mode=0o700)
    try:
        digest = _write_splits(staged, source, mixed)
        with turn(database) as connection:
            if labelled(connection, model) != list(items):
                return None
            newest = _newest(connection, model)
            if newest is not None and newest.digest == digest and (folder / str(newest.number)).is_dir():
                return newest
            made = _described(connection, model, source, items, mixed, digest, at)
            _write_manifest(staged, made, items, mixed)
            _put(staged, folder / str(made.number))
            connection.execute(insert(data_sets).values(**asdict(made)))
            _move(connection, items, mixed, made.number)
        return made
    finally:
        shutil.rmtree(staged, ignore_errors=True)


def _described(
    connection: Connection,
    model: str,
    source: Source,
    items: Sequence[Labelled],
    mixed: Mixed,
    digest: str,
    at: float,
) -> DataSet:
    used = [item for item in items if item.id in mixed.placed]
    counts = {
        "rows": {split: len(mixed.rows[split]) for split in SPLITS},
        "classes": {split: dict(sorted(Counter(label for _, label in mixed.rows[split]).items())) for split in SPLITS},
        "annotators": dict(sorted(Counter(item.annotator for item in used).items())),
        "reasons": dict(sorted(Counter(item.reason for item in used).items())),
        "labels": len(used),
        "conflicts": len(mixed.conflicts),
        "left_out": dict(sorted(Counter(mixed.left_out.values()).items())),
        "alerts": sorted({item.alert_id for item in used if item.alert_id is not None}),
    }
    number = (connection.scalar(select(func.max(data_sets.c.number)).where(data_sets.c.model == model)) or 0) + 1
    rows = sum(map(len, mixed.rows.values()))
    return DataSet(model, number, digest, rows, len(mixed.added), source.run, at, clean(counts))


def _move(connection: Connection, items: Sequence[Labelled], mixed: Mixed, number: int) -> None:
    """Items that a split holds now are part of a data set; those of an earlier one keep its number."""
    table = relabel_items
    for item in items:
        if item.id in mixed.placed:
            waits = (table.c.id == item.id, table.c.state.in_((ACCEPTED, LABELLED)))
            values = {"state": IN_DATA_SET, "data_set": number, "label": item.label}
            connection.execute(update(table).where(*waits).values(**values))


def _annotators(connection: Connection, model: str) -> int:
    """How many people have ever answered items of a model."""
    of_model = annotations.join(relabel_items, relabel_items.c.id == annotations.c.item_id)
    people = select(func.count(annotations.c.annotator.distinct())).select_from(of_model)
    return int(connection.scalar(people.where(relabel_items.c.model == model)) or 0)


def _answers(connection: Connection, ids: Sequence[str]) -> dict[str, str]:
    """The label of items that have one answer."""
    found: dict[str, str] = {}
    for start in range(0, len(ids), _IDS_AT_ONCE):
        some = annotations.c.item_id.in_(ids[start : start + _IDS_AT_ONCE])
        query = select(annotations.c.item_id, annotations.c.label).where(some, annotations.c.verdict == LABEL)
        found |= {row.item_id: row.label for row in connection.execute(query)}
    return found


def _labelled(row: Row[Any], label: str) -> Labelled:
    return Labelled(row.id, row.text, label, row.reason, row.annotator, row.alert_id, bool(row.random))


def _newest(connection: Connection, model: str) -> DataSet | None:
    query = select(data_sets).where(data_sets.c.model == model).order_by(data_sets.c.number.desc()).limit(1)
    row = connection.execute(query).one_or_none()
    return DataSet(**row._mapping) if row is not None else None


def _write_splits(staged: Path, source: Source, mixed: Mixed) -> str:
    """Write the four files; their digest, with the parent run in it."""
    hashed = hashlib.sha256(source.run.encode())
    for split in SPLITS:
        file = staged / f"{split}.csv"
        with file.open("w", newline="", encoding="utf-8") as stream:
            csv.writer(stream, lineterminator="\n").writerows([("text", "label"), *mixed.rows[split]])
        hashed.update(b"\0" + split.encode() + b"\0" + file.read_bytes())
    return hashed.hexdigest()


def _write_manifest(staged: Path, made: DataSet, items: Sequence[Labelled], mixed: Mixed) -> None:
    document = asdict(made) | {
        "items": [
            {"id": item.id, "split": mixed.placed[item.id], "label": item.label, "reason": item.reason}
            for item in items
            if item.id in mixed.placed
        ],
        "conflicts": [asdict(conflict) for conflict in mixed.conflicts],
        "left_out": mixed.left_out,
    }
    (staged / MANIFEST).write_text(json.dumps(document, indent=1, ensure_ascii=False), encoding="utf-8")


def _put(staged: Path, place: Path) -> None:
    """Rename into place, over what a process left there that was killed before it could say so."""
    for path in (*staged.iterdir(), staged):
        descriptor = os.open(path, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)
    aside = place.with_name(f"{_STAGING}{uuid.uuid4().hex}")
    if place.exists():
        place.rename(aside)
    staged.rename(place)
    shutil.rmtree(aside, ignore_errors=True)


def _nothing(model: str, items: Sequence[Labelled], mixed: Mixed) -> str:
    told = "".join(f"; {count} left out: {why}" for why, count in Counter(mixed.left_out.values()).items())
    held = sum(split == "random" for split in mixed.placed.values())
    return (
        f"no label of {model} is new to its run ({len(items)} are accepted, {held} held out for the gate{told}); "
        f"label items first: tidegate relabel list {model}"
    )
