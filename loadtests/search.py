"""The highest arrival rate that keeps an objective: climb by doubling, close in by bisection, confirm.

A pure function over `measure`, which `locustfile` makes of real requests and the tests of a simulated queue.
A rate that breaks on the way up is tried once more, so that one hiccup of the machine does not end the climb;
the rate that bisection ends on had luck on its side, so it must hold once more, for longer. Bounded: rates
within [LOWEST_RATE, HIGHEST_RATE], and no step is begun that would pass the time limit.
"""

import math
from collections.abc import Callable

from loadtests.measured import Limit, Outcome, Step

WINDOW_SECONDS = 5.0
CONFIRM_SECONDS = 10.0
LIMIT_SECONDS = 120.0
LOWEST_RATE, FIRST_RATE, HIGHEST_RATE = 0.5, 8.0, 4096.0
PRECISION = 1.05  # bisection ends when broken / kept is below it
STEP_DOWN = 0.9  # after a rate that was not confirmed
CONFIRMATIONS = 4

Measure = Callable[[float, float], Step]  # (rate per second, window in seconds) -> step


def search(objective: str, measure: Measure, limit_seconds: float = LIMIT_SECONDS) -> Outcome:
    """Find the highest rate that keeps the objective, as `measure` judges it."""
    path = _Path(measure, limit_seconds)
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

    def __init__(self, measure: Measure, limit_seconds: float) -> None:
        self.steps: list[Step] = []
        self.kept: float | None = None
        self.missed: Step | None = None
        self._measure = measure
        self._left_seconds = limit_seconds

    def climb(self) -> None:
        rate = FIRST_RATE
        while self._affords(WINDOW_SECONDS) and (self._keeps(rate) or self._keeps(rate)):
            if rate == HIGHEST_RATE:
                return
            rate = min(rate * 2, HIGHEST_RATE)

    def descend(self) -> None:
        while self.kept is None and self.missed and self.missed.rate > LOWEST_RATE and self._affords(WINDOW_SECONDS):
            self._keeps(max(self.missed.rate / 2, LOWEST_RATE))

    def bisect(self) -> None:
        while self.kept and self.missed and self.missed.rate / self.kept > PRECISION and self._affords(WINDOW_SECONDS):
            self._keeps(math.sqrt(self.kept * self.missed.rate))

    def confirm(self) -> bool:
        for _ in range(CONFIRMATIONS):
            if not self.kept or self._left_seconds < CONFIRM_SECONDS:
                return False
            if self._keeps(self.kept, CONFIRM_SECONDS):
                return True
            self.kept *= STEP_DOWN
        return False

    def limited_by(self) -> Limit:
        # a wider gap than bisection and a step down leave means that time ran out before
        if self.missed is None or (self.kept and self.missed.rate / self.kept > PRECISION / STEP_DOWN + 0.01):
            return "search"
        return "client" if self.missed.verdict == "client behind" else "server"

    def _keeps(self, rate: float, window_seconds: float = WINDOW_SECONDS) -> bool:
        """Try a rate and note on which side of the limit it stands."""
        step = self._measure(rate, window_seconds)
        self.steps.append(step)
        self._left_seconds -= step.elapsed_seconds
        if step.verdict == "kept":
            self.kept = rate
            if self.missed and self.missed.rate <= rate:
                self.missed = None  # that breach was a hiccup
            return True
        self.missed = step
        return False

    def _affords(self, window_seconds: float) -> bool:
        """Time for such a step, with what the confirmation needs kept back."""
        return self._left_seconds >= window_seconds + CONFIRM_SECONDS
