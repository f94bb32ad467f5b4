"""`tidegate monitor --backfill FILE`: past inputs answered by a served bundle and judged window by window.

With `--model` the file holds texts, which the champion's engine answers in this process, and the bundle's reference
judges them; with `--reference` the file holds columns, and another table says what is usual. Progress goes to stderr.
Drift is no error: exit 0.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tidegate.aliases import CHAMPION
from tidegate.cli import app, console
from tidegate.cli.options import AsJson, Home
from tidegate.errors import UsageError
from tidegate.moments import moment
from tidegate.settings import Settings

if TYPE_CHECKING:  # they load pandas and onnxruntime, which `--help` need not wait for
    import numpy as np
    from numpy.typing import NDArray

    from monitoring.backfill import Judged, PastWindow
    from monitoring.summary import Summary
    from tidegate.bundle import Bundle
    from tidegate.cli.past_inputs import PastInputs
    from tidegate.records import Record

_SHOWN_FEATURES = 3


@app.command("monitor", epilog="Example: tidegate monitor --backfill june.csv --model sentiment --time-column sent_at")
def monitor(
    backfill: Annotated[Path, typer.Option(help="Past inputs: CSV, JSON lines or Parquet.")],
    model: Annotated[str | None, typer.Option(help="The file holds texts, which this model answers.")] = None,
    reference: Annotated[
        Path | None, typer.Option(help="The file holds columns; this table says what is usual.")
    ] = None,
    window_rows: Annotated[int | None, typer.Option(min=50, help="Rows of a window.", show_default="as set")] = None,
    text_column: Annotated[str, typer.Option(help="Column of the texts.")] = "text",
    time_column: Annotated[
        str | None, typer.Option(help="Column of the times: Unix seconds or ISO 8601.", show_default="none")
    ] = None,
    record: Annotated[
        bool, typer.Option("--record", help="Keep windows and alerts in the state database, with their own times.")
    ] = False,
    as_json: AsJson = False,
    home: Home = None,
) -> None:
    """Score a file of past inputs window by window, as if they came in now."""
    if (model is None) == (reference is None):
        raise UsageError("say --model NAME for texts, or --reference TABLE for columns, and not both")
    if record and (model is None or time_column is None):
        raise UsageError("--record keeps windows of a model with their own times: it takes --model and --time-column")
    settings = Settings.load(home=home, window_rows=window_rows)
    if model is not None:
        judged = _judge_texts(settings, model, backfill, text_column, time_column, record=record)
    else:
        judged = _judge_columns(settings, Path(str(reference)), backfill, time_column)
    if as_json:
        console.json(_report(judged))
    else:
        _print(judged, timed=time_column is not None)


def _judge_texts(
    settings: Settings, model: str, file: Path, text_column: str, time_column: str | None, *, record: bool
) -> "list[Judged]":
    from monitoring.backfill import cut, replay
    from monitoring.features import Seen
    from monitoring.reference import load_reference
    from tidegate.bundle_store import BundleStore
    from tidegate.cli.past_inputs import read_past

    past = read_past(file, time_column, as_text=True)
    texts, seconds = past.texts(text_column), _times(past, settings)
    bundle = BundleStore(settings.bundles_dir).load(model, CHAMPION)
    reference, answer, seen = load_reference(bundle), _answerer(settings, bundle), Seen()

    def summarise(window: "PastWindow") -> "Summary":
        part = slice(window.start, window.stop)
        return reference.summarise(answer(texts[part]), seen)

    windows = cut(seconds, settings.window_rows, settings.window_seconds)
    judged = _with_progress(replay(windows, summarise, reference, settings.false_alarm_days), len(windows))
    if record:
        _record(settings, (model, bundle.manifest.version), judged)
    return judged


def _judge_columns(settings: Settings, usual: Path, file: Path, time_column: str | None) -> "list[Judged]":
    from monitoring.backfill import cut, replay
    from monitoring.tabular import Columns, tabular_reference
    from tidegate.cli.past_inputs import read_past

    past, table = read_past(file, time_column, as_text=False), read_past(usual, None, as_text=False).frame
    if time_column is not None:
        table = table.drop(columns=time_column, errors="ignore")
    columns = Columns.of(table)
    if columns.left_out:
        console.say(f"left out: {', '.join(columns.left_out)}")
    columns.rows(past.frame.iloc[:1])  # what does not fit is said before the long work
    console.say(f"learning what is usual from {len(table):,} rows")
    reference = tabular_reference(table, columns)

    def summarise(window: "PastWindow") -> "Summary":
        return reference.layout.summarise(columns.rows(past.frame.iloc[window.start : window.stop]))

    windows = cut(_times(past, settings), settings.window_rows, settings.window_seconds)
    return _with_progress(replay(windows, summarise, reference, settings.false_alarm_days), len(windows))


def _answerer(settings: Settings, bundle: "Bundle") -> "Callable[[Sequence[str]], list[Record]]":
    """Answers texts as the served bundle does; the records have no ids, since nobody is told them."""
    from tidegate.cli.answering import Answering

    answer = Answering(settings, bundle)
    return lambda texts: answer([""] * len(texts), texts, 0.0)


def _times(past: "PastInputs", settings: Settings) -> "NDArray[np.float64]":
    from monitoring.backfill import nominal_seconds

    if past.seconds is not None:
        return past.seconds
    return nominal_seconds(len(past.frame), settings.window_rows, settings.window_seconds)


def _with_progress(judged: "Iterator[Judged]", windows: int) -> "list[Judged]":
    from rich.progress import track

    return list(track(judged, "windows", total=windows, console=console.messages, transient=True))


def _record(settings: Settings, key: tuple[str, int], judged: "Sequence[Judged]") -> None:
    from monitoring.history import keep
    from tidegate.cli.state import state_database

    kept, alerts = keep(state_database(settings), key, judged)
    known = f"; {len(judged) - kept} were there already" if kept < len(judged) else ""
    console.say(f"kept {kept} windows and {alerts} {'alert' if alerts == 1 else 'alerts'} of {key[0]}/{key[1]}{known}")


def _report(judged: "Sequence[Judged]") -> dict[str, Any]:
    from monitoring.backfill import alarms

    return {
        "windows": [_document(each) for each in judged],
        "alarms": [{"first": run[0].window.start, "last": run[-1].window.stop - 1} for run in alarms(judged)],
    }


def _document(judged: "Judged") -> dict[str, Any]:
    verdict = judged.verdict
    scored = {"status": verdict.window.status, "surprise": verdict.window.surprise, "limit": verdict.window.limit}
    return (
        asdict(judged.window)
        | scored
        | {
            "alarm": verdict.alarm,
            "causes": list(verdict.causes),
            "features": verdict.window.document(),
            "breaches": [asdict(breach) | {"message": breach.message} for breach in verdict.breaches],
        }
    )


def _print(judged: "Sequence[Judged]", *, timed: bool) -> None:
    from monitoring.backfill import alarms

    found = alarms(judged)
    console.out(f"{len(judged)} windows, {len(found) or 'no'} {'alarm' if len(found) == 1 else 'alarms'}")
    for run in found:
        causes = sorted({cause for each in run for cause in each.verdict.causes})
        where = f"rows {run[0].window.start + 1} to {run[-1].window.stop}"
        when = f", {moment(run[0].window.started_at)} to {moment(run[-1].window.ended_at)}" if timed else ""
        console.out(f"alarm ({', '.join(causes)}): {where}{when}")
    rows = [
        [
            f"{each.window.start + 1}-{each.window.stop}",
            moment(each.window.started_at) if timed else "",
            each.verdict.window.status,
            f"{each.verdict.window.surprise:.1f} of {each.verdict.window.limit:.1f}",
            ", ".join(each.verdict.causes),
            _why(each),
        ]
        for each in judged
    ]
    console.table("windows", ["rows", "from", "status", "surprise", "alarm", "most changed"], rows)


def _why(judged: "Judged") -> str:
    breaches = [breach.message for breach in judged.verdict.breaches]
    drifted = [feature.name for feature in judged.verdict.window.features if feature.drifted]
    return "; ".join([", ".join(drifted[:_SHOWN_FEATURES]), *breaches] if drifted else breaches)
