"""`python -m benchmarks demos ...`: demo pages at scale, and what a click costs; prints figures, keeps nothing."""

from collections.abc import Sequence
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from benchmarks.demos.latency import VISITORS, measure_latency
from benchmarks.demos.many import measure_crowd
from tidegate.cli import console

app = typer.Typer(no_args_is_help=True, help="Demo pages at scale, and what a click costs.")

_HEADER = ["measure", "bar", "found"]


@app.command()
def many(
    models: Annotated[int, typer.Option(min=2, help="Models on one server.")] = 50,
    visits: Annotated[int, typer.Option(min=1, help="Visits after every demo was opened.")] = 1_000,
) -> None:
    """Time to mount, memory a demo, growth over visits, idle CPU."""
    with TemporaryDirectory() as folder:
        found = measure_crowd(Path(folder), models, visits)
    rows = [
        ["mount", "< 2 s", f"{found.mount_seconds * 1e3:.1f} ms"],
        ["start to ready", "", f"{found.ready_seconds:.1f} s"],
        ["ready to the first page's first answer", "", f"{found.first_seconds:.1f} s"],
        ["open a demo and ask, median", "", f"{found.open_seconds * 1e3:.0f} ms"],
        ["memory a demo", "< 3 MiB", f"{found.demo_mib:.2f} MiB"],
        [f"memory after {found.visits:,} visits", "<= +5 %", f"{found.opened_mib:.0f} MiB, {found.growth:+.1%}"],
        ["CPU of one core once all have left", "< 1 %", f"{found.idle_cpu:.2%}"],
    ]
    console.table(f"{found.models} demos on one server", _HEADER, rows)


@app.command()
def latency(
    rate: Annotated[float, typer.Option(min=1, help="API requests a second.")] = 50.0,
    repeats: Annotated[int, typer.Option(min=1, help="Turns of each side; a claim needs at least 3.")] = 5,
    seconds: Annotated[float, typer.Option(min=1, help="Length of one turn.")] = 20.0,
) -> None:
    """A click beside the API's own answer, and the API's p99 with visitors, without, and with callers instead."""
    with TemporaryDirectory() as folder:
        found = measure_latency(Path(folder), rate, repeats, seconds)
    clicks = [median(turn.clicks) for turn in found.beside]
    rows = [
        ["p50 of a click", "", _milliseconds(clicks)],
        ["beyond the API's p50", "<= 100 ms", _milliseconds(found.added)],
        ["API p99 alone", "", _milliseconds([turn.api_p99 for turn in found.alone])],
        ["API p99 with visitors, over alone", "<= 1.10", _spread(found.moved, 1.0, 2)],
        ["the same, the API asked in their place", "", _spread(found.moved_by_questions, 1.0, 2)],
    ]
    console.table(f"{VISITORS} visitors, {rate:g} API requests/s, {repeats} turns of {seconds:g} s", _HEADER, rows)


def _milliseconds(values: Sequence[float]) -> str:
    return f"{_spread(values, 1e3, 1)} ms"


def _spread(values: Sequence[float], scale: float, digits: int) -> str:
    low, middle, high = (f"{value * scale:.{digits}f}" for value in (min(values), median(values), max(values)))
    return f"{middle} ({low} to {high})"
