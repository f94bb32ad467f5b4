"""`tidegate loadtest`: calls a running server as many callers would, and says what it held.

With `--slo` it searches for the highest arrival rate that keeps the objective. Works on any Tidegate server that
can be reached, and aims at the URL given and nowhere else. The load itself comes from a Locust child process.
"""

import os
import shlex
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tidegate import __version__
from tidegate.bundle_store import checked_name
from tidegate.cli import app, console
from tidegate.cli.options import AsJson
from tidegate.errors import TidegateError, UsageError
from tidegate.settings import Settings

if TYPE_CHECKING:
    from loadtests.locust_child import Plan
    from loadtests.measured import Progress, Result
    from loadtests.report import Report

DEFAULT_USERS = 16
DEFAULT_DURATION = "30s"
SHORTEST_SECONDS, LONGEST_SECONDS = 1.0, 3600.0
PLAIN_LINE_EVERY = 5  # seconds; where stderr is no terminal there is no line to draw over


class Scenario(StrEnum):
    """What callers send."""

    single = "single"
    batches = "batches"
    mixed = "mixed"


@app.command(epilog="Example: tidegate loadtest http://127.0.0.1:8080 --model sentiment --slo p99=100ms")
def loadtest(
    url: Annotated[
        str, typer.Argument(help="Server to call, such as http://127.0.0.1:8080; its key: TIDEGATE_API_KEY.")
    ],
    model: Annotated[str, typer.Option(help="Model to call.")],
    scenario: Annotated[
        Scenario, typer.Option(help="One text a request, lists of 8 to 32, or texts of skewed lengths.")
    ] = Scenario.single,
    users: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=1000,
            help="Callers who each wait for their answer.",
            show_default=str(DEFAULT_USERS),
        ),
    ] = None,
    duration: Annotated[str | None, typer.Option(help="1s to 60m.", show_default=DEFAULT_DURATION)] = None,
    slo: Annotated[
        str,
        typer.Option(help="Find the highest arrival rate that keeps this, such as p99=100ms; takes up to 2 minutes."),
    ] = "",
    report: Annotated[Path, typer.Option(help="Folder for the JSON and HTML report.")] = Path("reports"),
    as_json: AsJson = False,
) -> None:
    """Put a running server under load and measure what it holds."""
    from loadtests.report import check_folder, write_report

    api_key = Settings.load().api_key.get_secret_value()
    plan = _plan(url, model, scenario, users, duration, slo)
    check_folder(report)
    document = _run(plan, api_key)
    files = write_report(document, report)
    if as_json:
        console.json(document.model_dump(mode="json"))
    else:
        _show(document)
    console.say("report: " + " and ".join(map(str, files)))
    _check(document.result)


def _plan(url: str, model: str, scenario: Scenario, users: int | None, duration: str | None, slo: str) -> "Plan":
    """What to do, or the error that says why not."""
    from loadtests.durations import parse_seconds
    from loadtests.locust_child import Plan
    from loadtests.slo import parse_slo
    from loadtests.target import checked_url

    if slo and (users is not None or duration is not None):
        raise UsageError("--slo finds its own rate and ends by itself; leave out --users and --duration")
    return Plan(
        url=checked_url(url),
        model=checked_name(model),
        scenario=scenario.value,
        users=users or DEFAULT_USERS,
        duration_seconds=parse_seconds(duration or DEFAULT_DURATION, "--duration", SHORTEST_SECONDS, LONGEST_SECONDS),
        slo=parse_slo(slo).text if slo else "",
    )


def _run(plan: "Plan", api_key: str) -> "Report":
    """Look at the server, put it under load, and put together what was seen."""
    from loadtests.conditions import Conditions
    from loadtests.locust_child import SEED, check_installed, run_locust
    from loadtests.report import Report
    from loadtests.target import inspect
    from tidegate.devices import hardware

    check_installed()
    target = inspect(plan.url, plan.model, api_key)
    conditions = Conditions(
        date=datetime.now(UTC),
        tidegate_version=__version__,
        machine=hardware(),
        command=shlex.join(["tidegate", *sys.argv[1:]]),
        url=plan.url,
        model=plan.model,
        model_version=target.version,
        scenario=plan.scenario,
        users=None if plan.slo else plan.users,
        seed=SEED,
    )
    with console.messages.status(f"calling {plan.model} at {plan.url}") as status:
        result = run_locust(plan, os.environ, _narrator(status.update))
    return Report(conditions=conditions, result=result)


def _narrator(update: Callable[[str], None]) -> Callable[["Progress"], None]:
    """Draws the progress line: over itself on a terminal, now and then as a line of its own elsewhere."""

    def narrate(progress: "Progress") -> None:
        line = _line(progress)
        if console.messages.is_terminal:
            update(line)
        elif round(progress.point.elapsed_seconds) % PLAIN_LINE_EVERY == 0:
            console.say(line)

    return narrate


def _line(progress: "Progress") -> str:
    point = progress.point
    times = ", ".join(
        f"{name} {'-' if seconds is None else f'{seconds * 1e3:.1f} ms'}"
        for name, seconds in (("p50", point.p50_seconds), ("p99", point.p99_seconds))
    )
    note = f"; {progress.note}" if progress.note else ""
    rate = f"{point.requests_per_second:.0f} answers/s"
    return f"{point.elapsed_seconds:.0f} s: {rate}, {times}, {point.failures} failed{note}"


def _show(document: "Report") -> None:
    """The numbers that matter, on stdout."""
    from loadtests.page import sentence

    measured, outcome = document.result.measured, document.result.outcome
    if outcome:
        console.out(sentence(outcome))
    if measured is None:
        return
    rows = [
        ["requests/s", f"{measured.requests_per_second:.1f}"],
        ["texts/s", f"{measured.texts_per_second:.1f}"],
        ["requests", str(measured.requests)],
        ["failed", str(measured.failed)],
    ]
    if measured.latency_seconds:
        rows += [[f"{name} ms", f"{seconds * 1e3:.1f}"] for name, seconds in measured.latency_seconds]
    rows += [[f"server {stage} p50 ms", f"{times.p50 * 1e3:.2f}"] for stage, times in measured.server_seconds.items()]
    conditions = document.conditions
    console.table(f"{conditions.model}, {conditions.scenario}", ["measure", "value"], rows)


def _check(result: "Result") -> None:
    """A load test that met failures, or an objective that never held, has failed."""
    from loadtests.page import sentence

    if result.outcome and result.outcome.rate is None:
        raise TidegateError(sentence(result.outcome))
    if result.outcome is None and result.measured and result.measured.failures:
        kinds = ", ".join(f"{kind} ({number})" for kind, number in result.measured.failures.items())
        raise TidegateError(f"{result.measured.failed} of {result.measured.requests} requests failed: {kinds}")
