"""The alarm: when drifted windows are worth a person's attention, given how many false alarms that person can bear.

The budget is stated in time (one false alarm in so many days), and each closed window may spend as much of it as time
has passed since the one before: so the rate holds whatever the traffic. Half goes to the rule for sudden changes (two
of the last three windows beyond the calibrated limit), half to a window that forgets slowly, in which a small change
adds up (an exponentially weighted mean of all sums, not of scores: its direction is kept). Contracts need neither.
Pure: state in, state and verdict out, so that a database, a file of past inputs and a simulation run the same rule.
Before: `drift`, `contracts`; after: `writer`, `backfill`. Sources: Lowry et al. 1992; Westfall & Young 1993.
"""

from dataclasses import dataclass, replace
from typing import Any, Literal, Self

import numpy as np

from monitoring.calibration import FORGET, MIN_ROWS, SETTLED
from monitoring.contracts import Breach, breaches
from monitoring.drift import WindowScore, score
from monitoring.reference import Reference
from monitoring.summary import Summary

CONFIRM_WINDOWS, CONFIRM_DRIFTED = 3, 2
DAY_SECONDS = 86_400.0
_HIGHEST_RATE, _LOWEST_RATE = 0.1, 1e-6  # what calibration knows
_PACE = 0.1  # of the mean time between windows: it remembers some 20

Cause = Literal["window", "slow", "contract"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is to be thought of the window that was closed.

    Attributes:
        alarm: whether there is drift, confirmed; it goes on being true while it lasts.
        causes: which rules say so.
        window: the window against the reference.
        slow: the window that forgets, against the reference.
        breaches: contracts that the window breaks.
        rate: false alarms a window that the budget allowed each of the two rules.
    """

    alarm: bool
    causes: tuple[Cause, ...]
    window: WindowScore
    slow: WindowScore
    breaches: tuple[Breach, ...]
    rate: float


@dataclass(frozen=True, slots=True)
class Detector:
    """What is remembered of a model version's closed windows.

    Attributes:
        drifted: of the last two windows, whether each was beyond its limit, oldest first.
        slow: the window that forgets ...
        squares: ... and the sum of its windows' squared weights by their rows, for what it is worth.
        windows: closed so far.
        pace: mean seconds from one window to the next; 0 before the first.
    """

    drifted: tuple[bool, ...] = ()
    slow: Summary | None = None
    squares: float = 0.0
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
        after = self._with(summary, seconds)
        rate = after.rate(budget_days)
        window = score(summary, reference, limit_of(reference, summary.rows, rate))
        slow = after._score_slow(reference, rate)
        drifted = (*self.drifted, window.status == "drift")[-CONFIRM_WINDOWS:]
        broken = breaches(summary, reference)
        causes: list[Cause] = ["window"] if sum(drifted) >= CONFIRM_DRIFTED else []
        causes += ["slow"] if slow.status == "drift" else []
        causes += ["contract"] if broken else []
        verdict = Verdict(causes not in ([], ["contract"]), tuple(causes), window, slow, broken, rate)
        return replace(after, drifted=drifted[1 - CONFIRM_WINDOWS :]), verdict

    def rate(self, budget_days: float) -> float:
        """False alarms a window that each of the two rules may raise at this pace."""
        share = min(self.pace, DAY_SECONDS) / (budget_days * DAY_SECONDS) / 2.0
        return float(np.clip(share, _LOWEST_RATE, _HIGHEST_RATE))

    def renewed(self) -> Self:
        """Without what has drifted so far, as after somebody has seen to it; the pace is kept."""
        return type(self)(pace=self.pace)

    def document(self) -> dict[str, Any]:
        """As JSON takes it, but for `slow`, which is stored as bytes."""
        return {"drifted": list(self.drifted), "squares": self.squares, "windows": self.windows, "pace": self.pace}

    @classmethod
    def load(cls, document: dict[str, Any], slow: bytes | None) -> Self:
        """What `document` and `slow.to_bytes()` were made of."""
        values = document | {"drifted": tuple(document["drifted"])}
        return cls(slow=None if slow is None else Summary.from_bytes(slow), **values)

    def _with(self, summary: Summary, seconds: float) -> Self:
        keep = 1.0 - FORGET
        slow = summary if self.slow is None else self.slow.scaled(keep) + summary
        pace = seconds if not self.windows else self.pace + _PACE * (seconds - self.pace)
        squares = self.squares * keep**2 + summary.rows
        return replace(self, slow=slow, squares=squares, windows=self.windows + 1, pace=pace)

    def _score_slow(self, reference: Reference, rate: float) -> WindowScore:
        if self.slow is None or not self.slow.rows or self.windows <= SETTLED or not reference.calibrated:
            return WindowScore("insufficient")
        typical = self.squares * FORGET * (2.0 - FORGET)  # rows of the windows that it is fed with
        limit = reference.calibration.slow_limit(typical, rate)
        return score(self.slow, reference, limit, worth=self.slow.rows**2 / self.squares)


def limit_of(reference: Reference, rows: float, rate: float) -> float:
    """Surprise beyond which a window of `rows` rows has drifted; infinite where nobody knows."""
    judged = reference.calibrated and rows >= MIN_ROWS
    return reference.calibration.window_limit(rows, rate) if judged else float("inf")
