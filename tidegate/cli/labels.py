"""`tidegate labels`: which labels of a run's own data are likely wrong, for a person to review; and data sets.

The run's splits are fetched by the export child; the audit runs here, where cleanlab is. Nothing is changed: what a
person corrects goes into the data that the next run learns from.
"""

import csv
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich import progress

from tidegate.cli import app, console
from tidegate.cli.export import fetch_splits
from tidegate.cli.options import AnyModel, AsJson, Home, LabelColumn, Run, TextColumn
from tidegate.errors import UsageError
from tidegate.settings import Settings

if TYPE_CHECKING:
    from monitoring.labels.quality import Audit

labels = typer.Typer(no_args_is_help=True, help="The labels that a run learned from.")
app.add_typer(labels, name="labels")

_TEXT_CHARS = 70
_PAIRS_SHOWN = 8
_COLUMNS = ("rank", "split", "row", "label", "suggested", "score", "why", "text")


@dataclass(frozen=True, slots=True)
class _Row:
    """A labelled text, and its place: data rows of a CSV file are counted from 1."""

    split: str
    number: int
    text: str
    label: str


@labels.command("audit", epilog="Example: tidegate labels audit models:/sentiment@champion --output suspects.csv")
def audit_run(
    run: Run = "",
    top: Annotated[int, typer.Option(min=1, help="Suspects to print; --output and --json have all.")] = 20,
    data: Annotated[
        Path | None, typer.Option("--data", help="CSV to audit in place of a run's splits.", show_default=False)
    ] = None,
    text_column: TextColumn = "text",
    label_column: LabelColumn = "label",
    output: Annotated[
        Path | None, typer.Option("--output", help="CSV file to write every suspect to.", show_default=False)
    ] = None,
    as_json: AsJson = False,
    home: Home = None,
) -> None:
    """Rank the labels of a run's training and evaluation split that are likely wrong."""
    if bool(run) == bool(data):
        raise UsageError("name a run to audit, or a file with --data, and not both")
    rows = _read(data, text_column, label_column) if data else _fetch(Settings.load(home=home), run)
    found = _audit(rows)
    suspects = _ranked(found, rows)
    if output is not None:
        _write(output, suspects)
    if as_json:
        console.json(_document(found, rows, suspects))
        return
    _show(found, rows, suspects[:top])
    console.say(_next(len(suspects), output))


@labels.command("datasets")
def list_data_sets(
    model: AnyModel = None,
    as_json: AsJson = False,
    home: Home = None,
) -> None:
    """The data sets that retrainings made of people's labels, newest first."""
    from monitoring.labels.data_sets import list_data_sets
    from tidegate.cli.state import state_database

    found = list_data_sets(state_database(Settings.load(home=home)), model)
    if as_json:
        console.json([asdict(each) for each in found])
        return
    if not found:
        console.say("no data set was made yet; `tidegate retrain M` makes one of accepted labels")
        return
    columns = ["model", "number", "rows", "added", "labels", "conflicts", "parent run", "digest"]
    rows = [
        [e.model, str(e.number), str(e.rows), str(e.added), str(e.detail["labels"]), str(e.detail["conflicts"]),
         e.parent_run, e.digest[:12]]
        for e in found
    ]  # fmt: skip
    console.table("data sets", columns, rows)


def _fetch(settings: Settings, run: str) -> list[_Row]:
    with tempfile.TemporaryDirectory(prefix="tidegate-labels-") as work:
        splits = fetch_splits(settings, run, Path(work))
        if not splits:
            raise UsageError(f"{run} logged no data/training.csv and no data/evaluation.csv; name a file with --data")
        return [row for split, file in splits.items() for row in _read(file, "text", "label", split)]


def _read(file: Path, text_column: str, label_column: str, split: str = "") -> list[_Row]:
    from exporters.texts import read_rows

    rows = read_rows(file, text_column, label_column)
    return [_Row(split, number, text, label) for number, (text, label) in enumerate(rows, start=1)]


def _audit(rows: Sequence[_Row]) -> "Audit":
    from monitoring.labels.quality import Given, audit
    from monitoring.labels.quality_models import FOLDS

    columns = (progress.TextColumn("{task.description}"), progress.BarColumn(), progress.TimeElapsedColumn())
    with progress.Progress(*columns, console=console.messages, transient=True) as shown:
        task = shown.add_task(f"auditing {len(rows):,} labels", total=FOLDS)
        return audit([Given(row.text, row.label) for row in rows], step=lambda: shown.advance(task))


def _ranked(found: "Audit", rows: Sequence[_Row]) -> list[dict[str, Any]]:
    return [
        {
            "rank": rank,
            "split": rows[suspect.row].split,
            "row": rows[suspect.row].number,
            "label": suspect.given,
            "suggested": suspect.suggested,
            "score": round(suspect.score, 4),
            "why": "; ".join(suspect.why),
            "text": rows[suspect.row].text,
        }
        for rank, suspect in enumerate(found.suspects, start=1)
    ]


def _pairs(suspects: Sequence[dict[str, Any]]) -> list[tuple[str, str, int]]:
    """Given label, suggested label and how many, most first."""
    counts = Counter((suspect["label"], suspect["suggested"]) for suspect in suspects)
    return [(given, suggested, count) for (given, suggested), count in counts.most_common()]


def _document(found: "Audit", rows: Sequence[_Row], suspects: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return {
        "rows": len(rows),
        "expected_wrong": round(_expected_wrong(found), 1),
        "unjudged_labels": list(found.unjudged),
        "pairs": [{"label": given, "suggested": other, "suspects": count} for given, other, count in _pairs(suspects)],
        "suspects": list(suspects),
    }


def _expected_wrong(found: "Audit") -> float:
    return float(sum(score for score in found.scores if score == score))  # NaN is unequal to itself


def _show(found: "Audit", rows: Sequence[_Row], top: Sequence[dict[str, Any]]) -> None:
    if top:
        cells = [
            [str(each["rank"]), each["split"], str(each["row"]), each["label"], each["suggested"],
             f"{each['score']:.2f}", _shorten(each["text"])]
            for each in top
        ]  # fmt: skip
        console.table(
            f"labels to look at again: {len(top)} of {len(found.suspects)}",
            ["rank", "split", "row", "label", "suggested", "score", "text"],
            cells,
        )
        pairs = [[*pair[:2], str(pair[2])] for pair in _pairs(_ranked(found, rows))[:_PAIRS_SHOWN]]
        console.table("by pair of classes", ["label", "suggested", "suspects"], pairs)
    console.out(
        f"{len(found.suspects)} of {len(rows)} labels are suspect; about {_expected_wrong(found):.0f} are expected "
        "to be wrong"
    )
    if found.unjudged:
        console.out(f"not judged, too few rows: {', '.join(found.unjudged)}")


def _next(suspects: int, output: Path | None) -> str:
    if not suspects:
        return "nothing to review"
    if output is None:
        return "--output FILE.csv writes all of them; many a suspect is right after all, so a person decides"
    return (
        f"wrote {output}; correct `label` in the data where a person agrees, train again, and audit again: "
        "many a suspect is right after all"
    )


def _write(file: Path, suspects: Sequence[dict[str, Any]]) -> None:
    from monitoring.labels.exchange.plain import guard

    try:
        with file.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, _COLUMNS)
            writer.writeheader()
            for suspect in suspects:
                writer.writerow({name: guard(value) for name, value in suspect.items()})
    except OSError as error:
        raise UsageError(f"cannot write {file}: {error}") from None


def _shorten(text: str) -> str:
    plain = " ".join(text.split())
    return plain if len(plain) <= _TEXT_CHARS else plain[: _TEXT_CHARS - 1] + "…"
