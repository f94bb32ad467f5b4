"""`python -m benchmarks drift ...`: false alarms, and rows until the alarm, ours beside the rivals.

Each command replaces its own part of the results file; what rivals said is kept in the work folder, so that a run that
was stopped goes on where it was. The whole takes some 40 minutes on two cores, `--quick` some minutes and says little.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.drift import delay, replay
from benchmarks.drift.models import Case
from benchmarks.drift.rivals.catalog import RIVALS, Rival, find
from benchmarks.results import read_results, write_results
from benchmarks.workspace import Workspace
from tidegate.cli import console
from tidegate.environments import CHECKOUT
from tidegate.errors import UsageError

app = typer.Typer(no_args_is_help=True, help="Drift alarms: false ones, and how soon true ones come.")

Work = Annotated[Path, typer.Option(help="Work folder.")]
Environments = Annotated[Path, typer.Option(help="Where the rivals' environments are made.")]
Out = Annotated[Path, typer.Option(help="Results file; other parts of it stay.")]
Chosen = Annotated[str, typer.Option("--cases", help="DATA/MODEL, separated by commas.", show_default="all")]
Against = Annotated[str, typer.Option("--rivals", help="Names, separated by commas.", show_default="all")]
Quick = Annotated[bool, typer.Option("--quick", help="A few splits and windows: does it run, not what it finds.")]

REPLAYED = (
    Case("financial", "tfidf"),
    Case("movies", "tfidf"),
    Case("headlines", "tfidf"),
    Case("financial", "transformer"),
)
CONTESTED = (Case("financial", "tfidf"), Case("financial", "transformer"), Case("movies", "tfidf"))
_WORK, _ENVIRONMENTS, _OUT = CHECKOUT / ".bench", CHECKOUT / ".venv-rivals", Path("benchmarks-results.json")


@app.command("false-alarms")
def false_alarms(
    cases: Chosen = "",
    quick: Quick = False,
    work: Work = _WORK,
    environments: Environments = _ENVIRONMENTS,
    out: Out = _OUT,
) -> None:
    """Drift-free windows replayed: ours against the stated budget, the rivals as they are shipped."""
    read_results(out)
    effort = replay.QUICK if quick else replay.Effort()
    part = replay.replay(_cases(cases, REPLAYED), Workspace(work), effort, environments)
    write_results(out, read_results(out).model_copy(update={"replay": part}))
    for line in part.ours:
        console.say(f"  {line.case} n={line.size} budget {line.budget:.0f} windows: {line.alarms} of {line.windows},"
                    f" {line.ratio:.2f} x the budget ({line.low:.2f} to {line.high:.2f})")  # fmt: skip


@app.command("delay")
def rows_until_alarm(
    cases: Chosen = "",
    rivals: Against = "",
    quick: Quick = False,
    work: Work = _WORK,
    environments: Environments = _ENVIRONMENTS,
    out: Out = _OUT,
) -> None:
    """Streams that shift: rows until the alarm, everybody at the same measured false-alarm rate."""
    read_results(out)
    effort = delay.QUICK if quick else delay.Effort()
    for case in _cases(cases, CONTESTED):
        part = delay.contest(case, Workspace(work), effort, environments, _rivals(rivals))
        results = read_results(out)
        write_results(out, results.model_copy(update={"contests": results.contests | {case.title: part}}))


@app.command("all")
def everything(
    quick: Quick = False, work: Work = _WORK, environments: Environments = _ENVIRONMENTS, out: Out = _OUT
) -> None:
    """False alarms, then rows until the alarm."""
    false_alarms("", quick, work, environments, out)
    rows_until_alarm("", "", quick, work, environments, out)


def _cases(names: str, every: Sequence[Case]) -> list[Case]:
    known = {case.title: case for case in every}
    wanted = [name.strip() for name in names.split(",")] if names else list(known)
    strange = [name for name in wanted if name not in known]
    if strange:
        raise UsageError(f"--cases {', '.join(strange)}: there are {', '.join(known)}")
    return [known[name] for name in wanted]


def _rivals(names: str) -> list[Rival]:
    try:
        return [find(name.strip()) for name in names.split(",")] if names else list(RIVALS)
    except KeyError as error:
        raise UsageError(f"--rivals: {error.args[0]}") from None
