"""The alarm: when drifted windows are worth a person's attention, given how many false alarms that person can bear.

The budget is stated in time (one false alarm in so many days), and each closed window may spend as much of it as time
has passed since the one before: so the rate holds whatever the traffic. Three rules share it: two of the last three
windows beyond the calibrated limit, and two windows that forget, exponentially weighted means of all sums (not of
scores: their direction is kept): one of the last window or two, which sees at once what is overwhelming, and one of
some twenty, in which a small change adds up. Often they alarm together, so each may have more than a third, by as much
as calibration found. Contracts need none of it.
Pure: state in, state and verdict out, so that a database, a file of past inputs and a simulation run the same rule.
Before: `drift`, `contracts`; after: `closing`, `backfill`. Sources: Lowry et al. 1992; Westfall & Young 1993.
"""

from dataclasses import dataclass, replace
from typing import Any, Literal, Self

import numpy as np

from monitoring.calibration import MIN_ROWS, RECENT, SETTLED, SLOW
from monitoring.contracts import Breach, breaches
from monitoring.drift import WindowScore, score
from monitoring.reference import Reference
from monitoring.summary import Summary

CONFIRM_WINDOWS, CONFIRM_DRIFTED = 3, 2
DAY_SECONDS = 86_400.0
_HIGHEST_RATE, _LOWEST_RATE = (
    0.1,
    1e-7,
)  # what calibration knows; the lowest is a window a second, `spacing` allows less
_PACE = 0.1  # of the mean time between windows: it remembers some 20

Cause = Literal["window", "recent", "slow", "contract"]
_RULES = 3


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is to be thought of the window that was closed.

    Attributes:
        alarm: whether there is drift, confirmed; it goes on being true while it lasts.
        causes: which rules say so.
        window: the window against the reference.
        recent: the window that forgets quickly, against the reference ...
        slow: ... and the one that forgets slowly.
        breaches: contracts that the window breaks.
        rate: false alarms a window that the budget allowed each of the three rules.
    """

    alarm: bool
    causes: tuple[Cause, ...]
    window: WindowScore
    recent: WindowScore
    slow: WindowScore
    breaches: tuple[Breach, ...]
    rate: float


@dataclass(frozen=True, slots=True)
class Memory:
    """A window that forgets.

    Attributes:
        forget: share of what it holds that each new window takes the place of.
        summary: the sum of its windows, each by its weight; None before the first.
        squares: the sum of their rows, each by its squared weight.
    """

    forget: float
    summary: Summary | None = None
    squares: float = 0.0

    @property
    def worth(self) -> float:
        """Independent rows that it is worth: (sum of weights)^2 / sum of squared weights."""
        return self.summary.rows**2 / self.squares if self.summary is not None and self.squares else 0.0

    def after(self, window: Summary) -> Self:
        """With one more window."""
        keep = 1.0 - self.forget
        summary = window if self.summary is None else self.summary.scaled(keep) + window
        return replace(self, summary=summary, squares=self.squares * keep**2 + window.rows)

    def judge(self, reference: Reference, rate: float) -> WindowScore:
        """Hold it against the reference."""
        if self.summary is None or not self.worth or not reference.calibrated:
            return WindowScore("insufficient")
        typical = self.squares * self.forget * (2.0 - self.forget)  # rows of the windows that it is fed with
        calibration = reference.calibration
        limit = calibration.memory_limit(self.forget, typical, calibration.each(typical, rate))
        return score(self.summary, reference, limit, worth=self.worth)


@dataclass(frozen=True, slots=True)
class Detector:
    """What is remembered of a model version's closed windows.

    Attributes:
        drifted: of the last two windows, whether each was beyond its limit, oldest first.
        recent, slow: the windows that forget.
        windows: closed so far.
        pace: mean seconds from one window to the next; 0 before the first.
    """

    drifted: tuple[bool, ...] = ()
    recent: Memory = Memory(RECENT)
    slow: Memory = Memory(SLOW)
    windows: int = 0
    pace: float = 0.0

    def observe(
        self, summary: Summary, seconds: float, reference: Reference, budget_days: float
    ) -> tuple[Self, Verdict]:
        """Take in a closed window.

        Args:
            summary: of the window.
            seconds: since the window before was closed; of the first one, how long it was open.
            reference: of the model version.
            budget_days: days in which one false alarm may be.
        """
        after = self._with(summary, seconds, reference)
        rate = after.rate(budget_days)
        window = score(summary, reference, limit_of(reference, summary.rows, rate))
        recent, slow = after._judge(after.recent, reference, rate), after._judge(after.slow, reference, rate)
        drifted = (*self.drifted, window.status == "drift")[-CONFIRM_WINDOWS:]
        broken = breaches(summary, reference)
        causes: list[Cause] = ["window"] if sum(drifted) >= CONFIRM_DRIFTED else []
        causes += ["recent"] if recent.status == "drift" else []
        causes += ["slow"] if slow.status == "drift" else []
        alarm = bool(causes)
        causes += ["contract"] if broken else []
        verdict = Verdict(alarm, tuple(causes), window, recent, slow, broken, rate)
        return replace(after, drifted=drifted[1 - CONFIRM_WINDOWS :]), verdict

    def rate(self, budget_days: float) -> float:
        """False alarms a window that each of the three rules may raise at this pace."""
        share = min(self.pace, DAY_SECONDS) / (budget_days * DAY_SECONDS) / _RULES
        return float(np.clip(share, _LOWEST_RATE, _HIGHEST_RATE))

    def renewed(self) -> Self:
        """Without what has drifted so far, as after somebody has seen to it; the pace is kept."""
        return type(self)(pace=self.pace)

    def document(self) -> dict[str, Any]:
        """As JSON takes it, but for the sums of the windows that forget, which are stored as bytes."""
        squares = {"recent": self.recent.squares, "slow": self.slow.squares}
        return {"drifted": list(self.drifted), "squares": squares, "windows": self.windows, "pace": self.pace}

    @classmethod
    def load(cls, document: dict[str, Any], recent: Summary | None, slow: Summary | None) -> Self:
        """What `document` and the two sums were made of."""
        squares = document["squares"]
        return cls(
            drifted=tuple(document["drifted"]),
            recent=Memory(RECENT, recent, squares["recent"]),
            slow=Memory(SLOW, slow, squares["slow"]),
            windows=document["windows"],
            pace=document["pace"],
        )

    def _with(self, summary: Summary, seconds: float, reference: Reference) -> Self:
        pace = seconds if not self.windows else self.pace + _PACE * (seconds - self.pace)
        recent = replace(self.recent, forget=reference.calibration.forget).after(summary)
        slow = self.slow.after(summary)
        return replace(self, recent=recent, slow=slow, windows=self.windows + 1, pace=pace)

    def _judge(self, memory: Memory, reference: Reference, rate: float) -> WindowScore:
        settled = memory.forget != SLOW or self.windows > SETTLED
        return memory.judge(reference, rate) if settled else WindowScore("insufficient")


def limit_of(reference: Reference, rows: float, rate: float) -> float:
    """Surprise beyond which a window of `rows` rows has drifted; infinite where nobody knows.

    Args:
        reference: of the model version.
        rows: of the window.
        rate: a third of the false alarms a window that the budget allows.
    """
    if not reference.calibrated or rows < MIN_ROWS:
        return float("inf")
    return reference.calibration.window_limit(rows, reference.calibration.each(rows, rate))
