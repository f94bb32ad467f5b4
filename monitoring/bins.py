"""Bins: what is known of one feature's reference distribution, and how far a window lies from it.

Edges stand between distinct reference values, so that no value in common use falls on one and ties cost
nothing; two more stand just outside the reference range, so that values never seen before have a place.
Before: `features`; after: `calibration` (how far is normal) and `drift` (how far is this window).
Sources: Kolmogorov-Smirnov distance at fixed points; total variation for classes.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field

from tidegate.bundle import Part

QUANTILE_EDGES = 20  # KS over 20 quantiles loses under 5 % of the distance; more only makes files larger


class FeatureBins(Part):
    """The reference distribution of one feature over bins; `edges` for a number, `categories` for the class."""

    name: str
    edges: tuple[float, ...] = Field((), description="Increasing; bin i holds edges[i-1] <= value < edges[i].")
    categories: tuple[str, ...] = Field((), description="Classes; one more bin, the last, holds any other.")
    shares: tuple[float, ...] = Field(description="Reference share per bin; they sum to 1.")
    rows: int = Field(ge=1, description="Reference rows.")
    mean: float | None = Field(None, description="Reference mean of a number.")

    def distance(self, shares: NDArray[np.float64]) -> NDArray[np.float64]:
        """Distance of distributions over the bins from the reference, in [0, 1].

        Args:
            shares: shape (..., bins), summing to 1 along the last axis.

        Returns:
            Shape (...). Numbers: largest gap of the cumulative distributions (Kolmogorov-Smirnov). Classes:
            share of rows that would have to change class (total variation).
        """
        gaps = shares - np.asarray(self.shares)
        if self.categories:
            variation: NDArray[np.float64] = np.abs(gaps).sum(axis=-1) / 2.0
            return variation
        steps: NDArray[np.float64] = np.abs(np.cumsum(gaps, axis=-1)).max(axis=-1)
        return steps

    def assign(self, values: pd.Series) -> NDArray[np.int64]:
        """Bin of each value, shape (len(values),)."""
        if self.categories:
            place = {name: index for index, name in enumerate(self.categories)}
            return np.array([place.get(value, len(place)) for value in values], dtype=np.int64)
        return np.searchsorted(self.edges, values.to_numpy(np.float64), side="right").astype(np.int64)

    def from_cumulative(self, cumulative: NDArray[np.float64]) -> NDArray[np.float64]:
        """Shares per bin from the share below each edge."""
        return np.diff(cumulative, prepend=0.0, append=1.0)

    def from_counts(self, counts: Mapping[str, int]) -> NDArray[np.float64]:
        """Shares per bin from rows per class."""
        known = [float(counts.get(name, 0)) for name in self.categories]
        rows = np.array([*known, float(sum(counts.values())) - sum(known)])
        shares: NDArray[np.float64] = rows / max(rows.sum(), 1.0)
        return shares


def numeric_bins(name: str, values: NDArray[np.float64]) -> FeatureBins:
    """Bins of a number from its reference values, shape (rows,), rows >= 1, finite."""
    edges = _edges(values)
    index = np.searchsorted(edges, values, side="right")
    shares = np.bincount(index, minlength=len(edges) + 1) / len(values)
    return FeatureBins(name=name, edges=tuple(edges), shares=tuple(shares), rows=len(values), mean=float(values.mean()))


def category_bins(name: str, values: Sequence[str], categories: Sequence[str]) -> FeatureBins:
    """Bins of the class from the reference's classes; `categories` may hold some that never occur."""
    known = tuple(dict.fromkeys([*categories, *sorted(set(values))]))
    counts = dict.fromkeys(known, 0)
    for value in values:
        counts[value] += 1
    shares = tuple(counts[value] / len(values) for value in known)
    return FeatureBins(name=name, categories=known, shares=(*shares, 0.0), rows=len(values))


def _edges(values: NDArray[np.float64]) -> list[float]:
    """Cuts nearest to the quantiles k/21, each midway between two neighbouring distinct values, and both ends."""
    distinct, counts = np.unique(values, return_counts=True)
    below = np.cumsum(counts)[:-1] / len(values)  # share below the cut after each distinct value
    levels = np.arange(1, QUANTILE_EDGES + 1) / (QUANTILE_EDGES + 1)
    cuts = {int(np.abs(below - level).argmin()) for level in levels} if len(below) else set()
    inner = [float(distinct[cut] + distinct[cut + 1]) / 2.0 for cut in sorted(cuts)]
    # Padding absorbs the last digits that another CPU may compute differently.
    low, high = float(distinct[0]), float(distinct[-1])
    return [low - 1e-6 * max(1.0, abs(low)), *inner, high + 1e-6 * max(1.0, abs(high))]
