"""`tidegate relabel`: the queue that people work on.

All commands read the state database, so they work beside a running server and without one.
"""

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar, get_args

import typer

from tidegate.aliases import CHAMPION
from tidegate.bundle_store import BundleStore
from tidegate.cli import app, console
from tidegate.cli.options import AnyModel, AsJson, Home, Model
from tidegate.cli.state import state_database
from tidegate.errors import UsageError
from tidegate.settings import Settings

if TYPE_CHECKING:
    from monitoring.labels.answers import Label
    from monitoring.labels.exchange.rows import Found, Sheet

T = TypeVar("T")

relabel = typer.Typer(no_args_is_help=True, help="The relabel queue: texts out to annotators, labels back in.")
app.add_typer(relabel, name="relabel")

Format = Literal["jsonl", "csv", "labelstudio", "argilla", "datasets"]
State = Literal["new", "claimed", "labelled", "disputed", "accepted", "in_data_set", "discarded", "all"]
_FORMATS: dict[str, Format] = {".jsonl": "jsonl", ".csv": "csv", ".json": "labelstudio"}
_STATES = tuple(state for state in get_args(State) if state != "all")
_TEXT_CHARS = 60


@relabel.command("list")
def list_items(
    model: AnyModel = None,
    state: Annotated[State | None, typer.Option(help="Only those; all that wait for a person when left out.")] = None,
    as_json: AsJson = False,
    home: Home = None,
) -> None:
    """What waits for a person, or what is in a state; oldest first."""
    from monitoring.labels.items import WAITING, list_items

    wanted = None if state == "all" else state or WAITING
    found = list_items(state_database(Settings.load(home=home)), model=model, state=wanted)
    if as_json:
        console.json([asdict(item) for item in found])
        return
    if not found:
        console.say("nothing waits for a label" if state is None else f"no item is {state}")
        return
    rows = [
        [
            *(i.id[:8], i.model, "gold" if i.gold is not None else i.state, i.reason, i.predicted, f"{i.score:.2f}"),
            *(i.label or "", i.suggested or "", _shorten(i.text)),
        ]
        for i in found
    ]
    columns = ["id", "model", "state", "reason", "predicted", "score", "label", "reported", "text"]
    console.table("waiting for a label" if state is None else state, columns, rows)


@relabel.command("stats")
def stats(
    model: AnyModel = None,
    as_json: AsJson = False,
    home: Home = None,
) -> None:
    """Items per model, state and reason; of one model also its accuracy by labels, and how many labels were saved."""
    from monitoring.labels.items import stats
    from monitoring.labels.worth import worth_of

    database = state_database(Settings.load(home=home))
    rows = stats(database, model)
    with database.connect() as connection:
        worth = None if model is None else worth_of(connection, model)
    if as_json:
        console.json(rows if model is None else {"items": rows, "labels": worth})
        return
    columns = ["model", "state", "reason", "items"]
    console.table("relabel queue", columns, [[str(row[column]) for column in columns] for row in rows])
    if worth is not None:
        _say_worth(worth)


@relabel.command("export", epilog="Example: tidegate relabel export sentiment --format labelstudio --output tasks.json")
def export(
    model: Model,
    format: Annotated[Format, typer.Option("--format", help="What the annotators' tool reads.")] = "jsonl",
    output: Annotated[
        Path | None,
        typer.Option("--output", help="File to write; a folder for argilla and datasets.", show_default="stdout"),
    ] = None,
    state: Annotated[
        State, typer.Option(help="new: waits for a label; accepted: people agree on it; all: whatever its state.")
    ] = "new",
    home: Home = None,
) -> None:
    """Write items of the queue: those that wait for a label, or those that have one.

    Fill `label` in and bring the file back with `relabel import`. Labelled items, as CSV, are what
    `examples/train_tfidf.py --data` reads. Beside Label Studio's tasks goes its labelling interface, as .xml.
    """
    from monitoring.labels.answered import count_items, dimensions, read_answered
    from monitoring.labels.exchange import COMPANIONS, FOLDERS, WRITERS
    from monitoring.labels.exchange.rows import Sheet

    settings = Settings.load(home=home)
    database, states = state_database(settings), _STATES if state == "all" else (state,)
    # A vector was made of the text before it was redacted, and tells of it.
    length = dimensions(database, model) if format == "argilla" and not settings.redact else None
    labels = _choices(settings, model) if format in COMPANIONS else ()
    rows, total = (
        read_answered(database, model, states, vectors=length is not None),
        count_items(database, model, states),
    )
    sheet = Sheet(model, labels, iter(_shown(rows, total)), length)
    if output is None:
        if format in FOLDERS:
            raise UsageError(f"{format} is a folder; say where with --output")
        for piece in WRITERS[format](sheet):
            typer.echo(piece, nl=False)
    else:
        _write_all(sheet, format, output)
    console.say(f"{total} {'' if state == 'all' else state + ' '}items of {model} as {format}")


@relabel.command("import", epilog="Example: tidegate relabel import labelled.json")
def import_labels(
    file: Annotated[
        Path, typer.Argument(help="What `relabel export` wrote, labels filled in; or the tool's own export.")
    ],
    format: Annotated[
        Format | None,
        typer.Option(
            "--format",
            help="What it is: a suffix tells .jsonl, .csv and .json (labelstudio), a folder argilla or datasets.",
            show_default="by its name",
        ),
    ] = None,
    as_json: AsJson = False,
    home: Home = None,
) -> None:
    """Take labels back. Valid ones are kept even when others are not; those are listed, and the exit code is 1.

    A second time changes nothing, and an answer never replaces a newer one of the same person.
    """
    from monitoring.labels.answers import take_labels
    from monitoring.labels.exchange import READERS
    from monitoring.labels.known import KnownLabels

    settings = Settings.load(home=home)
    problems: list[str] = []
    labels = _sorted_out(READERS[format or _format_of(file)](file), problems)
    known = KnownLabels(BundleStore(settings.bundles_dir))
    outcome = take_labels(state_database(settings), _shown(labels, None), known, time.time())
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


def _say_worth(worth: dict[str, Any]) -> None:
    for name, by in (("random", "random labels"), ("weighted", "all labels by their probability")):
        told = worth[name]
        figures = "too few to tell"
        if told["accuracy"] is not None:
            figures = f"{told['accuracy']:.1%}, 95 % interval {told['low']:.1%} to {told['high']:.1%}"
        console.say(f"accuracy of version {worth['version']} by {told['labels']} {by}: {figures}")
    saved = worth["saved"]
    figures = saved["why"] or f"{saved['labels']:.0f}, 95 % interval {saved['low']:.0f} to {saved['high']:.0f}"
    console.say(f"labels saved by {saved['chosen']} chosen ones: {figures}")


def _shorten(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _TEXT_CHARS else line[: _TEXT_CHARS - 1] + "…"


def _choices(settings: Settings, model: str) -> Sequence[str]:
    """The labels that people choose from: the champion's."""
    from monitoring.labels.known import KnownLabels

    bundles = BundleStore(settings.bundles_dir)
    return KnownLabels(bundles)(model, bundles.load(model, CHAMPION).manifest.version)


def _shown(rows: Iterable[T], total: int | None) -> Iterable[T]:
    """The rows, while a bar shows how many there were."""
    from rich.progress import track

    shown = console.messages.is_terminal
    return track(rows, "items", total=total, console=console.messages, transient=True, disable=not shown)


def _sorted_out(found: "Iterator[Found]", problems: list[str]) -> "Iterator[Label]":
    """The answers, with what is wrong put aside."""
    for each in found:
        if isinstance(each, str):
            problems.append(each)
        else:
            yield each


def _format_of(file: Path) -> Format:
    from monitoring.labels.exchange import FOLDERS

    if file.is_dir():
        return "argilla" if (file / FOLDERS["argilla"]).is_file() else "datasets"
    if file.suffix.lower() not in _FORMATS:
        raise UsageError(f"cannot tell the format of {file} by its suffix; say --format {', '.join(get_args(Format))}")
    return _FORMATS[file.suffix.lower()]


def _write_all(sheet: "Sheet", format: Format, output: Path) -> None:
    from monitoring.labels.exchange import COMPANIONS, FOLDERS, WRITERS

    try:
        folder = format in FOLDERS
        for name, content in COMPANIONS[format](sheet).items() if format in COMPANIONS else ():
            file = output / name if folder else output.with_suffix(name)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(content, encoding="utf-8", newline="")
        with (output / FOLDERS[format] if folder else output).open("w", encoding="utf-8", newline="") as target:
            target.writelines(WRITERS[format](sheet))
    except OSError as error:
        raise UsageError(f"cannot write {output}: {error.strerror}") from None
