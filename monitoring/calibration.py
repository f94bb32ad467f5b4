"""Calibration: how far a window of n drift-free rows lies from the reference, per feature and jointly.

Two-stage bootstrap of held-out *documents* (rows stay whole, so dependence between features is kept): draw
the evaluation set anew, then a window from that draw, and measure its distances to the fixed reference. The
first stage is what a plain bootstrap forgets: the held-out rows are themselves a sample, and without it the
alarm rate was seven times the stated one at n=500. Features are made comparable by their own 99 % quantile,
and the quantile of the largest of them controls the family (Westfall & Young 1993, max-T).
Runs at export (2 s for 800 documents), before `reference`; read by `drift`.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field

from monitoring.bins import FeatureBins
from tidegate.bundle import Part

MIN_DOCUMENTS = 50  # below it the 99 % quantile of a distance is a guess
MIN_ROWS = 50  # below it a window shows nothing that could be believed
SIZES = (50, 70, 100, 140, 200, 300, 450, 700, 1_000, 2_000, 5_000)
LEVELS = (0.5, 0.9, 0.95, 0.99, 0.995)
LEVEL = 0.99  # one drift-free window in a hundred exceeds its threshold, whatever the number of features
REPLICATES = 2_000  # 20 replicates beyond the 99 % quantile
SEED = 20_261
MAX_DOCUMENTS = 4_000  # more would cost time and move thresholds by under 1 %
_RARE = 20  # from some 20 occurrences on the bootstrap and Jeffreys' posterior agree to a few per cent
_CHUNK = 250  # replicates at a time: 250 x 4,000 counts are 8 MB


class Calibration(Part):
    """`drift.json`, the null distribution: how far drift-free windows lie from the reference.

    Arrays: `null[feature][size][level]` are quantiles of one feature's distance, `family[size][level]` those
    of the largest ratio of a distance to its feature's 99 % quantile.
    """

    documents: int = Field(0, description="Held-out rows behind it.")
    seed: int = SEED
    replicates: int = REPLICATES
    levels: tuple[float, ...] = LEVELS
    sizes: tuple[int, ...] = Field((), description="Window sizes; empty when there were too few documents.")
    null: dict[str, tuple[tuple[float, ...], ...]] = Field(default_factory=dict)
    family: tuple[tuple[float, ...], ...] = ()

    def threshold(self, feature: str, rows: int) -> float:
        """Distance that the feature exceeds in a window of `rows` rows only when something has changed.

        The chance that any feature at all does so without drift is 1 - `LEVEL`. Interpolated in 1/sqrt(rows),
        in which distances are nearly straight; beyond the last size, that of the last size.
        """
        at = self.levels.index(LEVEL)
        own = self._interpolate([row[at] for row in self.null[feature]], rows)
        return own * self._interpolate([row[at] for row in self.family], rows)

    def _interpolate(self, values: Sequence[float], rows: int) -> float:
        places = 1.0 / np.sqrt(np.array(self.sizes[::-1], dtype=np.float64))
        return float(np.interp(1.0 / np.sqrt(rows), places, values[::-1]))


def calibrate(documents: pd.DataFrame, features: Sequence[FeatureBins], *, seed: int = SEED) -> Calibration:
    """Learn the null distribution from held-out rows that are like what the live model will see.

    Args:
        documents: one row a held-out document, a column for each feature.
        features: the reference that windows are compared with.
        seed: of the bootstrap.
    """
    if len(documents) < MIN_DOCUMENTS:
        return Calibration(documents=len(documents), seed=seed)
    rng = np.random.default_rng(seed)
    rows = _spread(documents)
    null, family = [], []
    for size in SIZES:
        distances = np.concatenate(list(_distances(rows, features, size, rng)))  # (replicates, features)
        quantiles = _quantiles(distances) + 0.5 / size  # half a row: no threshold on a value windows can take
        floors = [_floor(f.assign(rows[f.name]), f, size, rng) + 0.5 / size for f in features]
        own = np.maximum(quantiles[LEVELS.index(LEVEL)], floors)  # (features,)
        quantiles[LEVELS.index(LEVEL)] = own
        null.append(quantiles)
        family.append(tuple(_quantiles((distances / own).max(axis=1)).tolist()))
    stacked = np.stack(null)  # (sizes, levels, features)
    return Calibration(
        documents=len(rows),
        seed=seed,
        sizes=SIZES,
        null={f.name: tuple(map(tuple, stacked[:, :, i].tolist())) for i, f in enumerate(features)},
        family=tuple(family),
    )


def _distances(
    documents: pd.DataFrame, features: Sequence[FeatureBins], size: int, rng: np.random.Generator
) -> Iterator[NDArray[np.float64]]:
    """Distances of drift-free windows of `size` rows, in chunks of shape (replicates, features)."""
    count = len(documents)
    marks = [np.eye(len(f.shares), dtype=np.float32)[f.assign(documents[f.name])] for f in features]
    ends = np.cumsum([mark.shape[1] for mark in marks])[:-1]
    table = np.hstack(marks)  # (documents, bins of all features): 1 where a document falls
    for _ in range(0, REPLICATES, _CHUNK):
        worlds = rng.multinomial(count, np.full(count, 1.0 / count), size=_CHUNK) / count
        windows = rng.multinomial(size, worlds)  # (replicates, documents)
        shares = (windows.astype(np.float32) @ table).astype(np.float64) / size
        parts = np.split(shares, ends, axis=1)
        yield np.stack([f.distance(part) for f, part in zip(features, parts, strict=True)], axis=1)


def _floor(places: NDArray[np.int64], bins: FeatureBins, size: int, rng: np.random.Generator) -> float:
    """Distance that rows of a rare kind alone may cause in a drift-free window.

    A bootstrap cannot draw what did not occur, and draws too evenly what occurred a few times. Under Jeffreys'
    prior the rate of a kind seen in k of m documents is Beta(k + 1/2, m - k + 1/2), and its rows in a window
    are binomial. Kinds are either side of an edge, or a class, with k or m - k below `_RARE`.

    Args:
        places: bin of each held-out document, shape (documents,).
        bins: the feature's reference.
        size: rows of the window.
        rng: random numbers.
    """
    counts = np.bincount(places, minlength=len(bins.shares))
    shares = np.asarray(bins.shares)
    if not bins.categories:
        counts, shares = np.cumsum(counts)[:-1], np.cumsum(shares)[:-1]  # below each edge
    kinds = {(int(k), float(share)) for k, share in zip(counts, shares, strict=True)}
    distances = [0.0]
    for seen, share in sorted(kind for kind in kinds if min(kind[0], len(places) - kind[0]) < _RARE):
        rates = rng.beta(seen + 0.5, len(places) - seen + 0.5, size=REPLICATES)
        gaps = np.abs(rng.binomial(size, rates) / size - share)
        distances.append(float(np.quantile(gaps, LEVEL, method="higher")))
    return max(distances)


def _quantiles(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Quantiles at `LEVELS` along the first axis, none understated: shape (levels, ...)."""
    result: NDArray[np.float64] = np.quantile(values, LEVELS, axis=0, method="higher")
    return result


def _spread(documents: pd.DataFrame) -> pd.DataFrame:
    """All documents, or `MAX_DOCUMENTS` of them at even distances."""
    if len(documents) <= MAX_DOCUMENTS:
        return documents
    return documents.iloc[np.linspace(0, len(documents) - 1, MAX_DOCUMENTS).round().astype(int)]
