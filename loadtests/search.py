"""The highest arrival rate that keeps an objective: climb by doubling, close in by bisection, confirm.

A pure function over `measure`, which `locustfile` makes of real requests and the tests of a simulated queue.
A rate that breaks on the way up is tried once more, so that one hiccup of the machine does not end the climb;
the rate that bisection ends on had luck on its side, so it must hold once more, for longer. Bounded: rates
within [LOWEST_RATE, HIGHEST_RATE], and no step is begun that would pass the time limit.
"""

import math
from collections.abc import Callable

from loadtests.measured import Limit, Outcome, Step

LIMIT_SECONDS = 120.0
CONFIRM_WINDOWS = 2  # the confirmation lasts as long as this many windows
LOWEST_RATE, FIRST_RATE, HIGHEST_RATE = 0.5, 8.0, 4096.0
PRECISION = 1.05  # bisection ends when broken / kept is below it
STEP_DOWN = 0.9  # after a rate that was not confirmed
CONFIRMATIONS = 4

Measure = Callable[[float, float], Step]  # (rate per second, window in seconds) -> step


def search(objective: str, measure: Measure, window_seconds: float) -> Outcome:
    """Find the highest rate that keeps the objective, as `measure` judges it in windows of that length."""
    path = _Path(measure, window_seconds)
    path.climb()
    path.descend()
    path.bisect()
    confirmed = path.confirm()
    return Outcome(
        objective=objective,
        rate=path.kept,
        confirmed=confirmed,
        limited_by=path.limited_by(),
        steps=tuple(path.steps),
    )


class _Path:
    """Where a search stands: the highest rate kept, the lowest rate above it that was not, and the time spent."""

    def __init__(self, measure: Measure, window_seconds: float) -> None:
        self.steps: list[Step] = []
        self.kept: float | None = None
        self.missed: Step | None = None
        self._measure = measure
        self._window_seconds = window_seconds
        self._confirm_seconds = CONFIRM_WINDOWS * window_seconds
        self._left_seconds = LIMIT_SECONDS
        self._out_of_time = False

    def climb(self) -> None:
        rate = FIRST_RATE
        while self._tries(rate) or self._tries(rate):
            if rate == HIGHEST_RATE:
                return
            rate = min(rate * 2, HIGHEST_RATE)

    def descend(self) -> None:
        while self.kept is None and self.missed and self.missed.rate > LOWEST_RATE and self._affords_step():
            self._keeps(max(self.missed.rate / 2, LOWEST_RATE))

    def bisect(self) -> None:
        while self.kept and self.missed and self.missed.rate / self.kept > PRECISION and self._affords_step():
            self._keeps(math.sqrt(self.kept * self.missed.rate))

    def confirm(self) -> bool:
        rate = self.kept
        for _ in range(CONFIRMATIONS):
            if not rate or not self._affords(self._confirm_seconds):
                break
            if self._keeps(rate, self._confirm_seconds):
                return True
            rate = max(rate * STEP_DOWN, LOWEST_RATE)
        self.kept = self._kept_below_missed()
        return False

    def limited_by(self) -> Limit:
        if self.missed is None or self._out_of_time:
            return "search"
        return "client" if self.missed.verdict == "client behind" else "server"

    def _tries(self, rate: float) -> bool:
        return self._affords_step() and self._keeps(rate)

    def _keeps(self, rate: float, window_seconds: float | None = None) -> bool:
        """Try a rate and note on which side of the limit it stands."""
        step = self._measure(rate, window_seconds or self._window_seconds)
        self.steps.append(step)
        self._left_seconds -= step.elapsed_seconds
        if step.verdict == "kept":
            self.kept = rate
            if self.missed and self.missed.rate <= rate:
                self.missed = None  # that breach was a hiccup
            return True
        self.missed = step
        return False

    def _kept_below_missed(self) -> float | None:
        """The highest rate that was kept and that no later breach speaks against."""
        limit = self.missed.rate if self.missed else math.inf
        return max((s.rate for s in self.steps if s.verdict == "kept" and s.rate < limit), default=None)

    def _affords_step(self) -> bool:
        """Time for a step, with what the confirmation needs kept back."""
        return self._affords(self._window_seconds + self._confirm_seconds)

    def _affords(self, seconds: float) -> bool:
        enough = self._left_seconds >= seconds
        self._out_of_time |= not enough
        return enough
