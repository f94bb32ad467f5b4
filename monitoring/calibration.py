"""Calibration: how far drift-free windows of n rows lie from the reference, and what limit keeps a stated alarm rate.

Two-stage bootstrap of held-out *documents* (rows stay whole, so dependence between features is kept): draw a world, the
held-out set anew, then a stream of windows from that world, and measure their distances to the fixed reference. The
first stage is what a plain bootstrap forgets: the held-out rows are themselves a sample, and every window of a model
shares their luck. Distances become comparable by their own mean and spread; the largest of all features controls the
family (Westfall & Young 1993, max-T); what that may be at a stated rate of alarms is counted by `limits`.
Before: `building`, at export; after: `drift`, `alarm`.
Sources: Wilson & Hilferty 1931 (a gamma variable's cube root is nearly normal); Lowry et al. 1992 (multivariate EWMA).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from monitoring.layout import Distances, Floats, Layout
from monitoring.limits import (
    RATES,
    begun_alarms,
    beyond_limit,
    memory_limits,
    rates_together,
    two_of_three,
    window_limits,
)
from monitoring.worlds import STREAM, WORLDS, Worlds
from tidegate.bundle import Part

MIN_DOCUMENTS = 50  # below it nobody knows what is normal
MIN_ROWS = 50  # below it a window shows nothing that could be believed
SIZES = (50, 100, 200, 500, 2_000, 5_000, 1_000_000)  # what lies between is nearly straight in 1 / rows
LIMITED = 6  # sizes of windows; the last size is for slow windows, which remember many
SEED = 20_261
# What windows that forget forget at each step: they remember 1.5 and 19 windows. The quick one forgets so much that
# what came before a change hardly dilutes it: it sees as much as a window alone at once, and more from the second on.
RECENT, SLOW = 0.8, 0.1
SETTLED = 3  # windows after which the slow one is judged
_CHUNK = 25  # worlds at a time: 25 x 48 x 800 sums are 8 MB


class Calibration(Part):
    """The null distribution, a small grid; empty where there were too few documents.

    Attributes of grids: `mean[size][feature]` and `deviation[size][feature]` of the distances of drift-free windows;
    `window[size][rate]`, `recent` and `slow` are limits of the family's surprise for a rate of alarms per window.
    """

    documents: int = Field(0, description="Held-out rows behind it.")
    seed: int = SEED
    sizes: tuple[int, ...] = ()
    rates: tuple[float, ...] = RATES
    mean: tuple[tuple[float, ...], ...] = ()
    deviation: tuple[tuple[float, ...], ...] = ()
    window: tuple[tuple[float, ...], ...] = ()
    recent: tuple[tuple[float, ...], ...] = ()
    slow: tuple[tuple[float, ...], ...] = ()
    forget: float = Field(0.5, description="What the quick window forgets at each step; earlier references name none.")
    together: tuple[tuple[float, ...], ...] = Field(
        (), description="Alarms a window by any of the three rules where each is held to the rate; of old, three times."
    )

    def surprise(self, distances: Floats, rows: float) -> Floats:
        """Distances (..., features) of windows of `rows` rows in standard deviations of drift-free ones."""
        return standardised(distances, self._at(self.mean, rows), self._at(self.deviation, rows))

    def typical(self, rows: float) -> Floats:
        """Mean distance of each feature of drift-free windows, (features,)."""
        return self._at(self.mean, rows)

    def threshold(self, limit: float, rows: float) -> Floats:
        """Distance of each feature at which its surprise is `limit`, (features,)."""
        mean, shape = _shape(self._at(self.mean, rows), self._at(self.deviation, rows))
        root = 1.0 - 1.0 / (9.0 * shape) + limit / (3.0 * np.sqrt(shape))
        distance: Floats = mean * np.maximum(root, 0.0) ** 3
        return distance

    def window_limit(self, rows: float, rate: float) -> float:
        """Surprise that two of three windows exceed at most `rate` times a window without drift."""
        return self._limit(self.window, rows, rate)

    def memory_limit(self, forget: float, rows: float, rate: float) -> float:
        """The same of a window that forgets, `rows` being those of the windows that it is fed with."""
        return self._limit(self.slow if forget == SLOW else self.recent, rows, rate)

    def each(self, rows: float, rate: float) -> float:
        """The rate to hold each of the three rules to, so that all of them alarm three times `rate` together."""
        if not self.together:
            return rate
        rates = np.log(self.rates[::-1])
        return float(np.exp(np.interp(np.log(3.0 * rate), np.log(self._at(self.together, rows)[::-1]), rates)))

    def _limit(self, table: Sequence[Sequence[float]], rows: float, rate: float) -> float:
        limits = self._at(table, rows)
        return float(np.interp(-np.log10(rate), -np.log10(self.rates), limits))

    def _at(self, table: Sequence[Sequence[float]], rows: float) -> Floats:
        """A row of a grid, interpolated in 1 / rows; beyond its ends, that of its ends."""
        places = 1.0 / np.array(self.sizes[: len(table)][::-1], dtype=np.float64)
        grid = np.array(table[::-1])
        above = int(np.clip(np.searchsorted(places, 1.0 / rows), 1, len(places) - 1))
        share = np.clip((1.0 / rows - places[above - 1]) / (places[above] - places[above - 1]), 0.0, 1.0)
        between: Floats = grid[above - 1] * (1.0 - share) + grid[above] * share
        return between


def calibrate(documents: NDArray[np.float32], layout: Layout, distances: Distances, *, seed: int = SEED) -> Calibration:
    """Learn the null distribution from held-out rows that are like what the live model will see.

    Args:
        documents: `layout.matrix` of the held-out rows, (documents, width).
        layout: of the matrix.
        distances: from the reference that windows are compared with.
        seed: of the bootstrap.
    """
    if len(documents) < MIN_DOCUMENTS:
        return Calibration(documents=len(documents), seed=seed)
    rng = np.random.default_rng(seed)
    worlds = Worlds(documents, layout, distances, rng)
    sampled = [_sample(worlds, distances, size) for size in SIZES]
    moments = [(one.alone.mean(axis=(0, 1)), one.alone.std(axis=(0, 1))) for one in sampled]
    grid = Calibration(
        documents=len(documents),
        seed=seed,
        forget=RECENT,
        sizes=SIZES,
        mean=tuple(tuple(mean.tolist()) for mean, _ in moments),
        deviation=tuple(tuple(deviation.tolist()) for _, deviation in moments),
    )
    rules = [_rules(grid, layout, one, size) for size, one in zip(SIZES[:LIMITED], sampled, strict=False)]
    found = {name: tuple(each[name] for each in rules) for name in ("window", "recent", "slow", "together")}
    return grid.model_copy(update=found)


def _rules(grid: Calibration, layout: Layout, sampled: "_Sampled", size: int) -> dict[str, tuple[float, ...]]:
    """A row of each grid of limits, and of what they let pass together."""
    alone = layout.family(grid.surprise(sampled.alone, size))  # (worlds, stream)
    recent, slow = (_remembering(grid, layout, sampled.memories[forget], forget, size) for forget in (RECENT, SLOW))
    rows = {"window": window_limits(alone), "recent": memory_limits(recent), "slow": memory_limits(slow)}
    limits = zip(rows["window"], rows["recent"], rows["slow"], strict=True)
    alarming = (
        two_of_three(alone > one) | beyond_limit(recent, two) | beyond_limit(slow, three) for one, two, three in limits
    )
    begun = np.array([begun_alarms(each) for each in alarming])
    return rows | {"together": rates_together(begun, alone.size)}


@dataclass(frozen=True, slots=True)
class _Sampled:
    """Distances of drift-free windows, each (WORLDS, STREAM, features): alone, and of those that forget after each."""

    alone: Floats
    memories: dict[float, Floats]


def _sample(worlds: Worlds, distances: Distances, size: int) -> _Sampled:
    alone: list[Floats] = []
    memories: dict[float, list[Floats]] = {RECENT: [], SLOW: []}
    for first in range(0, WORLDS, _CHUNK):
        sums = worlds.windows(slice(first, first + _CHUNK), size)  # (_CHUNK, STREAM, width)
        alone.append(distances.of(np.float64(size), sums))
        for forget, found in memories.items():
            rows = size * np.cumsum((1.0 - forget) ** np.arange(STREAM))
            found.append(distances.of(rows, _forgetting(sums, forget)))
    return _Sampled(np.concatenate(alone), {forget: np.concatenate(found) for forget, found in memories.items()})


def _forgetting(sums: Floats, forget: float) -> Floats:
    """A window that forgets after each of a stream's windows, both (..., STREAM, width)."""
    kept = sums.copy()
    for step in range(1, sums.shape[-2]):
        kept[..., step, :] += (1.0 - forget) * kept[..., step - 1, :]
    return kept


def _remembered(size: float, forget: float) -> Floats:
    """Rows that it is worth after each window, (STREAM,): (sum of weights)^2 / sum of squared weights."""
    weights = (1.0 - forget) ** np.arange(STREAM)
    worth: Floats = size * np.cumsum(weights) ** 2 / np.cumsum(weights**2)
    return worth


def standardised(distances: Floats, mean: Floats, deviation: Floats) -> Floats:
    """Distances as standard normal variables would be: a gamma variable's cube root is nearly normal."""
    center, shape = _shape(mean, deviation)
    roots = np.cbrt(distances / center)
    surprise: Floats = (roots - (1.0 - 1.0 / (9.0 * shape))) * 3.0 * np.sqrt(shape)
    return surprise


def _shape(mean: Floats, deviation: Floats) -> tuple[Floats, Floats]:
    """Mean and shape of the gamma distribution with that mean and deviation."""
    center = np.maximum(mean, 1e-12)
    return center, np.clip((center / np.maximum(deviation, 1e-12)) ** 2, 0.05, 1e4)


def _remembering(grid: Calibration, layout: Layout, distances: Floats, forget: float, size: int) -> Floats:
    """Surprise of a window that forgets, (worlds, steps) from where it is judged; distances are of all features."""
    steps = enumerate(_remembered(size, forget).tolist())
    found = np.stack([layout.family(grid.surprise(distances[:, step], rows)) for step, rows in steps], axis=1)
    judged: Floats = found[:, SETTLED if forget == SLOW else 0 :]
    return judged
