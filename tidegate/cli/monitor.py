"""`tidegate drift` and `relabel`: what monitoring found, and the queue that people work on.

All of them read the state database, so they work beside a running server and without one.
"""

import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from tidegate.bundle_store import BundleStore
from tidegate.cli import app, console
from tidegate.cli.options import AsJson, Home
from tidegate.cli.state import state_database
from tidegate.errors import UsageError
from tidegate.settings import Settings

relabel = typer.Typer(no_args_is_help=True, help="The relabel queue: texts out to annotators, labels back in.")
app.add_typer(relabel, name="relabel")

Format = Literal["jsonl", "csv", "labelstudio"]
State = Literal["new", "labelled"]
_FORMATS: dict[str, Format] = {".jsonl": "jsonl", ".csv": "csv", ".json": "labelstudio"}
_BAR_CHARS = 16  # half of it is the threshold
_TEXT_CHARS = 60


@app.command("drift")
def drift(model: str, as_json: AsJson = False, home: Home = None) -> None:
    """How far the champion's latest inputs and answers lie from what it was made for. Drift is no error: exit 0."""
    from monitoring.report import drift_report

    settings = Settings.load(home=home)
    version = BundleStore(settings.bundles_dir).resolve(model, "champion")
    report = drift_report(state_database(settings), model, version)
    if as_json:
        console.json(report)
        return
    _print_drift(report)


@relabel.command("list")
def list_items(
    model: Annotated[str | None, typer.Argument(help="one model; all when left out")] = None,
    as_json: AsJson = False,
    home: Home = None,
) -> None:
    """What waits for a label, oldest first."""
    from monitoring.relabel import NEW, list_items

    found = list_items(state_database(Settings.load(home=home)), model=model, state=NEW)
    if as_json:
        console.json([asdict(item) for item in found])
        return
    if not found:
        console.say("nothing waits for a label")
        return
    rows = [
        [i.id[:8], i.model, i.reason, i.predicted, f"{i.score:.2f}", i.label or "", _shorten(i.text)] for i in found
    ]
    console.table("waiting for a label", ["id", "model", "reason", "predicted", "score", "claimed", "text"], rows)


@relabel.command("stats")
def stats(
    model: Annotated[str | None, typer.Argument(help="one model; all when left out")] = None,
    as_json: AsJson = False,
    home: Home = None,
) -> None:
    """Items per model, state and reason."""
    from monitoring.relabel import stats

    rows = stats(state_database(Settings.load(home=home)), model)
    if as_json:
        console.json(rows)
        return
    columns = ["model", "state", "reason", "items"]
    console.table("relabel queue", columns, [[str(row[column]) for column in columns] for row in rows])


@relabel.command("export")
def export(
    model: str,
    format: Annotated[Format, typer.Option("--format", help="What the annotators' tool reads.")] = "jsonl",
    output: Annotated[Path | None, typer.Option("--output", help="File to write. [default: stdout]")] = None,
    state: Annotated[State, typer.Option(help="new: what waits for a label; labelled: training data.")] = "new",
    home: Home = None,
) -> None:
    """Write items of the queue: those that wait for a label, or those that have one.

    Fill `label` in and bring the file back with `relabel import`. Labelled items, as CSV, are what
    `examples/train_tfidf.py --data` reads.
    """
    from monitoring.exchange import WRITERS
    from monitoring.relabel import list_items

    items = list_items(state_database(Settings.load(home=home)), model=model, state=state)
    content = WRITERS[format](items)
    if output is None:
        typer.echo(content, nl=False)
    else:
        _write(output, content)
    console.say(f"{len(items)} {state} items of {model} as {format}")


@relabel.command("import")
def import_labels(
    file: Annotated[Path, typer.Argument(help="what `relabel export` wrote, labels filled in; or Label Studio's JSON")],
    format: Annotated[
        Format | None, typer.Option("--format", help="[default: by the suffix: .jsonl, .csv, .json for labelstudio]")
    ] = None,
    as_json: AsJson = False,
    home: Home = None,
) -> None:
    """Take labels back. Valid ones are kept even when others are not; those are listed, and the exit code is 1."""
    from monitoring.exchange import READERS
    from monitoring.labels import KnownLabels
    from monitoring.relabel import take_labels

    settings = Settings.load(home=home)
    labels, problems = READERS[format or _format_of(file)](_read(file))
    outcome = take_labels(state_database(settings), labels, KnownLabels(BundleStore(settings.bundles_dir)), time.time())
    problems += outcome.problems
    counts = {"labelled": outcome.labelled, "changed": outcome.changed, "unchanged": outcome.unchanged}
    if as_json:
        console.json(counts | {"problems": problems})
    else:
        console.say(", ".join(f"{count} {name}" for name, count in counts.items()))
        for problem in problems:
            console.fail(problem)
    if problems:
        raise typer.Exit(1)


def _print_drift(report: dict[str, Any]) -> None:
    windows = report["windows"]
    alert = " · ALERT" if report["alert"] else ""
    console.out(f"{report['model']}/{report['version']}: {report['status']}{alert} · {report['detail']}")
    trend = "".join(_spark(window["ratio"]) for window in windows)
    if trend.strip():
        console.out(f"last {len(windows)} windows, worst score against threshold: {trend}")
    if not report["features"]:
        return
    rows = [
        [f["name"], f"{f['score']:.3f}", f"{f['threshold']:.3f}", _bar(f["score"] / f["threshold"]), _change(f)]
        for f in report["features"]
    ]
    newest = next(window for window in reversed(windows) if window["status"] != "insufficient")
    title = f"newest window: {newest['rows']} rows{', still open' if newest['open'] else ''}"
    console.table(title, ["feature", "score", "threshold", "", "was -> is"], rows)


def _bar(ratio: float) -> str:
    """Score as a bar on which the threshold stands in the middle."""
    half = _BAR_CHARS // 2
    full = min(_BAR_CHARS, round(ratio * half))
    return "█" * min(full, half) + "·" * max(0, half - full) + "┃" + "█" * max(0, full - half)


def _spark(ratio: float | None) -> str:
    """One character a window: up to five eighths below the threshold, above it the rest and full."""
    if ratio is None:
        return " "
    return "▁▂▃▄▅"[min(4, int(ratio * 5))] if ratio <= 1 else "▇█"[ratio > 2]


def _change(feature: dict[str, Any]) -> str:
    """Means of a number; for the class, the one whose share moved most."""
    before, now = feature["reference"], feature["window"]
    if not isinstance(now, dict):
        return f"{before:.3g} -> {now:.3g}"
    moved = max(now, key=lambda name: abs(now[name] - before.get(name, 0.0)))
    return f"{moved} {before.get(moved, 0.0):.0%} -> {now[moved]:.0%}"


def _shorten(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _TEXT_CHARS else line[: _TEXT_CHARS - 1] + "…"


def _format_of(file: Path) -> Format:
    if file.suffix.lower() not in _FORMATS:
        raise UsageError(f"cannot tell the format of {file} by its suffix; say --format jsonl, csv or labelstudio")
    return _FORMATS[file.suffix.lower()]


def _read(file: Path) -> str:
    try:
        # newline="": a CSV cell may hold any kind of line end; -sig: spreadsheets write a byte order mark.
        with file.open(encoding="utf-8-sig", newline="") as source:
            return source.read()
    except OSError as error:
        raise UsageError(f"cannot read {file}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise UsageError(f"{file} is not UTF-8 (byte {error.start}); save it as UTF-8") from None


def _write(file: Path, content: str) -> None:
    try:
        with file.open("w", encoding="utf-8", newline="") as target:
            target.write(content)
    except OSError as error:
        raise UsageError(f"cannot write {file}: {error.strerror}") from None
