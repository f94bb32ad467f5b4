"""Windows and streams drawn from rows, and the figures taken of what contestants say of them. Pure functions.

A stream goes through the fresh rows without repeating one while there are others; where it is shifted each row is
affected with the shift's share. Change happens between two windows, for every contestant. Before: `sources` and the
contestants' answers; after: `replay` and `delay` collect.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Index = NDArray[np.int64]

CALM_WINDOWS = 3  # the product's own: after so many an alert is resolved by itself
_RESAMPLES = 1_000
_CANDIDATES = 200


@dataclass(frozen=True, slots=True)
class Rate:
    """A rate with its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Waited:
    """Rows until the alarm over many streams: quartiles, and the share of streams in which none came."""

    median: float
    low: float
    high: float
    never: float


def stream(
    rng: np.random.Generator, fresh: Index, size: int, windows: int, affected: Index | None = None, share: float = 0.0
) -> list[Index]:
    """Rows of consecutive windows: the fresh rows in random order, and again in another order when they are used up.

    Drawing each window from all of them anew would show a detector that remembers more rows than there are another
    population than the one they were drawn from, and no drift-free stream would be free of it.

    Args:
        rng: of this stream.
        fresh: rows that no contestant has seen.
        size: rows of each window.
        windows: how many.
        affected: rows that the shift brings in, gone through in the same way; None for a drift-free stream. Of as many
            rows as `fresh` where they are changed copies: then a row comes as it was or changed, never both.
        share: of rows that are affected.
    """
    count = size * windows
    order = _rounds(rng, len(fresh), count)
    rows = fresh[order]
    if affected is not None:
        hit = rng.random(count) < share
        brought = order if len(affected) == len(fresh) else _rounds(rng, len(affected), count)
        rows = np.where(hit, affected[brought], rows)
    return list(rows.reshape(windows, size))


def _rounds(rng: np.random.Generator, length: int, count: int) -> Index:
    """`count` places out of `length`: each once, in random order, before any comes again."""
    return np.concatenate([rng.permutation(length) for _ in range(-(-count // length))])[:count]


def rate(alarms: Sequence[int], chances: Sequence[int], rng: np.random.Generator) -> Rate:
    """Alarms per chance, with an interval that takes splits for what is independent, not their windows.

    Windows of one split share a model, a reference and a finite set of fresh rows, so they err together. Splits are
    resampled with replacement; without a single alarm the upper end is that of the rule of three.
    """
    counts, totals = np.asarray(alarms, dtype=np.float64), np.asarray(chances, dtype=np.float64)
    drawn = rng.integers(len(counts), size=(_RESAMPLES, len(counts)))
    rates = counts[drawn].sum(axis=1) / totals[drawn].sum(axis=1)
    low, high = np.quantile(rates, [0.025, 0.975])
    if not counts.sum():
        high = 3.0 / totals.sum()
    return Rate(float(counts.sum() / totals.sum()), float(low), float(high))


def opened(alarming: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Where alarms begin: windows (windows,) that alarm while none is open. One ends after three calm windows.

    What lasts is one alarm to a person, whoever raises it; so contestants are counted alike.
    """
    begins, calm = np.zeros(len(alarming), dtype=np.bool_), CALM_WINDOWS
    for number, alarm in enumerate(alarming):
        begins[number] = alarm and calm >= CALM_WINDOWS
        calm = 0 if alarm else calm + 1
    return begins


def threshold_at(streams: Sequence[NDArray[np.float64]], alarm_rate: float) -> float:
    """The lowest threshold at which drift-free streams raise alarms at no more than this rate a window.

    Rounded in the rival's favour: one alarm over all streams is always allowed, for a threshold that nothing exceeds
    would make it blind. A threshold so low that an alarm never ends is none.

    Args:
        streams: statistics of consecutive windows, one array a split.
        alarm_rate: alarms that begin, per window.
    """
    values = np.unique(np.concatenate(streams))
    allowed = max(1, round(alarm_rate * sum(map(len, streams))))
    candidates = np.unique(np.quantile(values, 1.0 - np.geomspace(0.5, 1.0 / len(values), _CANDIDATES), method="lower"))
    begun = np.array([sum(int(opened(each > limit).sum()) for each in streams) for limit in candidates])
    beyond = np.flatnonzero((begun <= allowed) & (np.arange(len(begun)) >= begun.argmax()))
    return float(candidates[beyond[0]]) if len(beyond) else float(values[-1])


def waited(rows: Sequence[float], limit: int) -> Waited:
    """Quartiles over streams; a stream without an alarm counts as `limit`."""
    values = np.minimum(np.asarray(rows, dtype=np.float64), limit)
    low, middle, high = np.quantile(values, [0.25, 0.5, 0.75])
    return Waited(float(middle), float(low), float(high), float((np.asarray(rows) > limit).mean()))


def rows_until(alarms: NDArray[np.bool_], size: int) -> float:
    """Rows of a stream until its first alarm, that window's included; infinity when none came."""
    first = np.flatnonzero(alarms)
    return float((first[0] + 1) * size) if len(first) else float("inf")


def streams_of(
    statistics: Sequence[NDArray[np.float64]], threshold: float, size: int, limit: int, rng: np.random.Generator
) -> list[float]:
    """Rows until the alarm of streams made of shifted windows that were scored one by one, 200 streams a split.

    The windows of a split are exchangeable, so a stream of them is one of draws with replacement: how many it takes
    until one exceeds the threshold is geometric.
    """
    rows: list[float] = []
    for split in statistics:
        chance = float((split > threshold).mean())
        if chance:
            rows += (rng.geometric(chance, 200) * float(size)).tolist()
        else:
            rows += [float("inf")] * 200
    return [value if value <= max(limit, size) else float("inf") for value in rows]
