"""Bins: what is known of one feature's reference distribution.

Edges stand between distinct reference values, so that no value in common use falls on one and ties cost
nothing; two more stand just outside the reference range, so that values never seen before have a place.
Before: `features`; after: `layout`, which counts rows per bin.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from tidegate.bundle import Part
from tidegate.errors import InvalidInput

QUANTILE_EDGES = 20  # a cumulative distribution at 20 quantiles loses under 5 % of a distance; more makes files larger


class FeatureBins(Part):
    """The reference distribution of one feature over bins; `edges` for a number, `categories` for the class."""

    name: str
    edges: tuple[float, ...] = Field((), description="Increasing; bin i holds edges[i-1] <= value < edges[i].")
    categories: tuple[str, ...] = Field((), description="Classes; one more bin, the last, holds any other.")
    shares: tuple[float, ...] = Field(description="Reference share per bin; they sum to 1.")
    rows: int = Field(ge=1, description="Reference rows.")
    centers: tuple[float, ...] = Field((), description="Of a number: mean reference value per bin; an edge where none.")
    watched: bool = Field(
        True, description="Whether it may raise a drift alarm; contracts may rest on it all the same."
    )

    @property
    def width(self) -> int:
        """How many bins."""
        return len(self.shares)

    def assign(self, values: NDArray[Any]) -> NDArray[np.int64]:
        """Bin of each value, shape (len(values),); a missing number (NaN) falls beyond the last edge."""
        if self.categories:
            place = {name: index for index, name in enumerate(self.categories)}
            return np.array([place.get(value, len(place)) for value in values.tolist()], dtype=np.int64)
        return np.searchsorted(self.edges, values, side="right").astype(np.int64)


def numeric_bins(name: str, values: NDArray[np.float64], *, watched: bool = True) -> FeatureBins:
    """Bins of a number from its reference values, shape (rows,), rows >= 1; NaN where one is missing.

    Raises:
        InvalidInput: no value is finite.
    """
    known = values[np.isfinite(values)]
    if not len(known):
        raise InvalidInput(f"column {name!r} has no finite number among {len(values)} reference rows; leave it out")
    edges = _edges(known)
    index = np.searchsorted(edges, values, side="right")
    shares = np.bincount(index, minlength=len(edges) + 1) / len(values)
    sums = np.bincount(index, weights=np.nan_to_num(values, nan=edges[-1]), minlength=len(edges) + 1)
    beside = np.array([edges[0], *edges])  # where no reference value tells better
    centers = np.divide(sums, shares * len(values), out=beside, where=shares > 0)
    return FeatureBins(
        name=name,
        edges=tuple(edges),
        shares=tuple(shares.tolist()),
        rows=len(values),
        centers=tuple(centers.tolist()),
        watched=watched,
    )


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
