"""Calibration: how far drift-free windows of n rows lie from the reference, and what limit keeps a stated alarm rate.

Two-stage bootstrap of held-out *documents* (rows stay whole, so dependence between features is kept): draw a world, the
held-out set anew, then a stream of windows from that world, and measure their distances to the fixed reference. The
first stage is what a plain bootstrap forgets: the held-out rows are themselves a sample, and every window of a model
shares their luck. Distances become comparable by their own mean and spread; the largest of all features controls the
family (Westfall & Young 1993, max-T); and since worlds are kept apart, the rate at which two of three windows of one
stream exceed a limit is counted, not derived from a product. Before: `building`, at export; after: `drift`, `alarm`.
Sources: Wilson & Hilferty 1931 (a gamma variable's cube root is nearly normal); Lowry et al. 1992 (multivariate EWMA).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from monitoring.layout import Distances, Floats, Layout
from tidegate.bundle import Part

MIN_DOCUMENTS = 50  # below it nobody knows what is normal
MIN_ROWS = 50  # below it a window shows nothing that could be believed
SIZES = (50, 100, 200, 500, 2_000, 5_000, 1_000_000)  # what lies between is nearly straight in 1 / rows
RATES = (0.1, 0.03, 0.01, 0.003, 0.001, 0.0003, 0.0001, 1e-5, 1e-6, 1e-7)  # false alarms a window
LIMITED = 6  # sizes of windows; the last size is for slow windows, which remember many
WORLDS, STREAM = 150, 48  # streams, and windows of each: 7,200 windows a size
MAX_DOCUMENTS = 2_000  # more would cost time and move limits by under 1 %
SEED = 20_261
RECENT, SLOW = 0.5, 0.1  # what windows that forget forget at each step: they remember 3 and 19 windows
SETTLED = {RECENT: 0, SLOW: 3}  # windows after which they are judged
_RARE = 3  # occurrences from which on the bootstrap can be left to itself; redrawing more would forget their world
_EXACT = 1_000  # rows of windows that are drawn one by one; counts of larger ones are nearly normal
_CHUNK = 25  # worlds at a time: 25 x 48 x 800 sums are 8 MB
_SEEN = 12  # alarms that a simulated rate must rest on; rarer ones are extrapolated


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
        return self._limit(self.recent if forget == RECENT else self.slow, rows, rate)

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
    worlds = Worlds(_spread(documents), layout, rng)
    sampled = [_sample(worlds, distances, size) for size in SIZES]
    moments = [(one.alone.mean(axis=(0, 1)), one.alone.std(axis=(0, 1))) for one in sampled]
    grid = Calibration(
        documents=len(documents),
        seed=seed,
        sizes=SIZES,
        mean=tuple(tuple(mean.tolist()) for mean, _ in moments),
        deviation=tuple(tuple(deviation.tolist()) for _, deviation in moments),
    )
    judged = list(zip(SIZES[:LIMITED], sampled, strict=False))
    windows = tuple(_window_limits(layout.family(grid.surprise(one.alone, size))) for size, one in judged)
    recent, slow = (
        tuple(_memory_limits(grid, layout, one.memories[forget], forget, size) for size, one in judged)
        for forget in (RECENT, SLOW)
    )
    return grid.model_copy(update={"window": windows, "recent": recent, "slow": slow})


@dataclass(frozen=True, slots=True)
class _Sampled:
    """Distances of drift-free windows, each (WORLDS, STREAM, features): alone, and of those that forget after each."""

    alone: Floats
    memories: dict[float, Floats]


def _sample(worlds: "Worlds", distances: Distances, size: int) -> _Sampled:
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


class Worlds:
    """Drift-free populations, drawn from held-out documents, and windows drawn from them."""

    def __init__(self, documents: NDArray[np.float32], layout: Layout, rng: np.random.Generator) -> None:
        self._documents = documents
        self._rng = rng
        count = len(documents)
        self._drawn = rng.integers(0, count, size=(WORLDS, count))  # documents of each world
        counted = [block for block in layout.blocks if block.kind in ("number", "class")]
        self._rare = [rare for block in counted for rare in self._rare_places(block.start, block.stop)]
        self._rates = [rng.beta(k + 0.5, count - k + 0.5, size=WORLDS) for _, _, k in self._rare]

    def windows(self, worlds: slice, size: int) -> Floats:
        """Sums of STREAM windows of `size` rows in each of some worlds, (worlds, STREAM, width)."""
        drawn = self._drawn[worlds]
        counts = np.concatenate([self._counts(documents, size) for documents in drawn])
        sums = (counts @ self._documents).astype(np.float64).reshape(len(drawn), STREAM, -1)
        for (place, common, _), rates in zip(self._rare, self._rates, strict=True):
            found = self._rng.binomial(size, rates[worlds, None], size=sums.shape[:2])
            sums[..., common] = np.maximum(sums[..., common] + sums[..., place] - found, 0.0)
            sums[..., place] = found
        return sums

    def _counts(self, world: NDArray[np.int64], size: int) -> NDArray[np.float32]:
        """How often each document is in each window of a world, (STREAM, documents)."""
        count = len(self._documents)
        if size <= _EXACT:
            places = world[self._rng.integers(0, count, size=(STREAM, size))]
            flat = (np.arange(STREAM)[:, None] * count + places).ravel()
            return np.bincount(flat, minlength=STREAM * count).reshape(STREAM, count).astype(np.float32)
        expected = (np.bincount(world, minlength=count) * (size / count)).astype(np.float32)
        # Normal numbers are ten times cheaper than multinomial ones; their sum is set to `size`.
        noise = self._rng.standard_normal((STREAM, count), dtype=np.float32) * np.sqrt(expected)
        noise -= noise.sum(axis=1, keepdims=True) * (expected / size)
        counts: NDArray[np.float32] = expected + noise
        return counts

    def _rare_places(self, start: int, stop: int) -> list[tuple[int, int, float]]:
        """Places of a block that few documents fall into: the place, that of most documents, how many.

        A bootstrap cannot draw what did not occur, so these are drawn anew: under Jeffreys' prior the rate of a kind
        seen in k of m documents is Beta(k + 1/2, m - k + 1/2).
        """
        seen = self._documents[:, start:stop].sum(axis=0)
        common = int(seen.argmax())
        return [(start + at, start + common, float(k)) for at, k in enumerate(seen) if k < _RARE and at != common]


def _window_limits(surprise: Floats) -> tuple[float, ...]:
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


def _memory_limits(grid: Calibration, layout: Layout, distances: Floats, forget: float, size: int) -> tuple[float, ...]:
    """Limit for each of RATES, from distances (worlds, stream, features) of a window that forgets.

    An alarm is a step across the limit.
    """
    steps = enumerate(_remembered(size, forget).tolist())
    found = np.stack([layout.family(grid.surprise(distances[:, step], rows)) for step, rows in steps], axis=1)
    surprise = found[:, SETTLED[forget] :]  # (worlds, steps)
    candidates = _candidates(surprise)
    before = np.pad(surprise[:, :-1], ((0, 0), (1, 0)), constant_values=-np.inf)
    rates = np.array([((surprise > limit) & (before <= limit)).mean() for limit in candidates])
    return _invert(candidates, rates, _SEEN / surprise.size)


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


def _spread(documents: NDArray[np.float32]) -> NDArray[np.float32]:
    """All documents, or `MAX_DOCUMENTS` of them at even distances."""
    if len(documents) <= MAX_DOCUMENTS:
        return documents
    chosen: NDArray[np.float32] = documents[np.linspace(0, len(documents) - 1, MAX_DOCUMENTS).round().astype(int)]
    return chosen
