"""What tuning found, as a table: every trial, the best for the goal first, and a line on what each winner beat."""

from collections.abc import Callable
from typing import get_args

from tidegate import tunings
from tidegate.bundle import Manifest
from tidegate.cli import console
from tidegate.plan import Goal
from tidegate.tunings import Trial, Tuning

_COLUMNS = ["plan", "texts", "agree %", "max diff", "flips", "p50 ms", "texts /s", "of best", "verdict"]


def show_tuning(manifest: Manifest, tuning: Tuning, goal: Goal, *, as_message: bool = False) -> None:
    """The table on stdout, or as a message (stderr) where stdout is for something else; the lines are messages."""
    best = tuning.best(goal)
    trials = sorted(tuning.trials, key=_order(best, goal))
    title = f"{manifest.name}/{manifest.version} on {tuning.hardware}; held against {tuning.against}"
    console.table(title, _COLUMNS, [_cells(trial, best, goal) for trial in trials], as_message=as_message)
    for named in goals(goal):
        winner = tuning.best(named)
        if winner is not None:
            console.say(f"{named}: {winner.plan}; {tunings.explain(tuning, winner, named)}")


def goals(first: Goal) -> list[Goal]:
    """Both goals."""
    return sorted(get_args(Goal), key=lambda goal: goal != first)


def _cells(trial: Trial, best: Trial | None, goal: Goal) -> list[str]:
    verdict = "accepted" if trial.accepted else trial.refusal
    if not trial.rows:
        return [str(trial.plan), "", "", "", "", "", "", "", verdict]
    share = f"{tunings.ratio(trial, best, goal):.2f}" if best else ""
    return [
        str(trial.plan),
        str(trial.rows),
        f"{trial.agreement * 100:.2f}",
        f"{trial.max_abs_error:.3f}",
        str(trial.flips),
        f"{trial.latency_p50_seconds * 1e3:.2f}",
        f"{trial.throughput_texts_per_second:.0f}",
        share,
        f"best for {goal}" if trial == best else verdict,
    ]


def _order(best: Trial | None, goal: Goal) -> Callable[[Trial], tuple[bool, bool, float]]:
    def key(trial: Trial) -> tuple[bool, bool, float]:
        return trial != best, not trial.accepted, -tunings.ratio(trial, best, goal) if best else 0.0

    return key
