"""Limits: what drift-free windows exceed at most at a stated rate of alarms, counted over simulated streams.

Worlds are kept apart: the rate at which two of three windows of one stream exceed a limit is counted within each, not
derived from a product, since windows of one world go wrong together. Rates too rare to be seen continue the curve.
Before: `calibration` has the surprise of windows, (worlds, stream); after: its grids of limits.
"""

import numpy as np
from numpy.typing import NDArray

from monitoring.layout import Floats
from monitoring.worlds import STREAM

RATES = (0.1, 0.03, 0.01, 0.003, 0.001, 0.0003, 0.0001, 1e-5, 1e-6, 1e-7)  # false alarms a window
_CALM = 3  # windows without cause after which an alert resolves itself; see `alerts`
_SEEN = 12  # alarms that a simulated rate must rest on; rarer ones are extrapolated


def window_limits(surprise: Floats) -> tuple[float, ...]:
    """Limit for each of RATES, from the surprise of windows (worlds, stream).

    Two of three windows are beyond it, and were not just before, 2 p^2 (1 - p)^2 times a window in a world where one
    is with chance p; the unbiased estimate of that product over the windows of a world uses every pair of them.
    """
    candidates = _candidates(surprise)
    beyond = (surprise[None] > candidates[:, None, None]).sum(axis=2).astype(np.float64)  # (candidates, worlds)
    rest, length = surprise.shape[1] - beyond, surprise.shape[1]
    draws = length * (length - 1) * (length - 2) * (length - 3)
    rates = 2.0 * (beyond * (beyond - 1) * rest * (rest - 1)).mean(axis=1) / draws
    return _invert(candidates, rates, _SEEN / surprise.size)


def memory_limits(surprise: Floats) -> tuple[float, ...]:
    """Limit for each of RATES, from the surprise (worlds, steps) of a window that forgets.

    An alarm is a step across the limit.
    """
    candidates = _candidates(surprise)
    before = np.pad(surprise[:, :-1], ((0, 0), (1, 0)), constant_values=-np.inf)
    rates = np.array([((surprise > limit) & (before <= limit)).mean() for limit in candidates])
    return _invert(candidates, rates, _SEEN / surprise.size)


def two_of_three(beyond: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Where two of the last three windows are beyond their limit, (worlds, stream)."""
    counts = beyond.astype(int)
    counts[:, 1:] += beyond[:, :-1]
    counts[:, 2:] += beyond[:, :-2]
    two: NDArray[np.bool_] = counts >= 2
    return two


def beyond_limit(surprise: Floats, limit: float) -> NDArray[np.bool_]:
    """Where a window that forgets is beyond its limit, (worlds, stream); not before it is judged."""
    return np.pad(surprise > limit, ((0, 0), (STREAM - surprise.shape[1], 0)))


def begun_alarms(alarming: NDArray[np.bool_]) -> int:
    """Alarms that begin: after so many calm windows as resolve one."""
    before = np.zeros_like(alarming)
    for back in range(1, _CALM + 1):
        before[:, back:] |= alarming[:, :-back]
    return int((alarming & ~before).sum())


def rates_together(begun: NDArray[np.int64], windows: int) -> tuple[float, ...]:
    """Alarms a window at each of RATES; rarer ones than were seen are in proportion to the rate."""
    rates, seen = np.array(RATES), begun >= _SEEN
    shares = np.clip(begun / windows / rates, 1.0, 3.0)
    shares[~seen] = shares[seen][-1] if seen.any() else 3.0
    return tuple(np.minimum.accumulate(shares * rates).tolist())


def _candidates(surprise: Floats) -> Floats:
    return np.unique(np.quantile(surprise, 1.0 - np.geomspace(0.5, 1.0 / surprise.size, 100)))


def _invert(limits: Floats, rates: Floats, lowest: float) -> tuple[float, ...]:
    """Limits for RATES from a falling curve; a straight line in log(rate) beyond what was simulated."""
    peak = int(rates.argmax())  # a very low limit is always exceeded, which is one alarm, not many
    limits, rates = limits[peak:], rates[peak:]
    solid = rates >= lowest
    limits, logs = limits[solid], -np.log10(rates[solid])
    tail = logs >= logs[-1] - 0.7
    slope = max(float(np.polyfit(logs[tail], limits[tail], 1)[0]), 0.1) if tail.sum() > 2 else 1.0
    wanted = -np.log10(np.array(RATES))
    inside = np.interp(wanted, logs, limits)
    return tuple(np.where(wanted > logs[-1], limits[-1] + slope * (wanted - logs[-1]), inside).tolist())
