"""Histograms from counts over the reference's bins: equal steps of the value, quantiles and means.

The bins of a number are quantiles of the reference, so that each holds about as many rows: good for judging, dull to
look at. Here they become steps of equal width, rows spread evenly within each bin; what lies beyond the reference's own
range, or has no value, stands apart at the ends. Before: `monitoring.data_health`; after: the views of data.
Limits: a quantile is as exact as its bin is narrow; a mean takes the reference's own mean of each bin.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

STEPS = 24
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
_SPLITS = ("training", "evaluation", "window")
_TAIL = 0.01  # of the rows of a split, left out of the axis on either side so that one long text does not flatten it


@dataclass(frozen=True, slots=True)
class Steps:
    """Shares of rows over steps of equal width between `low` and `high`.

    Attributes:
        shares: by split, (steps,).
        below, above: by split, the shares beyond the ends; values that are missing are above.
    """

    low: float
    high: float
    shares: dict[str, list[float]]
    below: dict[str, float]
    above: dict[str, float]


def is_flag(feature: Mapping[str, Any]) -> bool:
    """Whether a number is 0 or 1 alone: what matters is then the share of ones."""
    return feature["name"] in ("truncated", "empty", "duplicate", "abstained") or feature["name"].endswith(" missing")


def steps_of(feature: Mapping[str, Any]) -> Steps | None:
    """A number's steps; None where no split has rows, or the feature is no number with a range."""
    edges = np.asarray(feature["edges"], dtype=np.float64)
    counted = {name: np.asarray(feature[name], dtype=np.float64) for name in _SPLITS if feature[name] is not None}
    counted = {name: counts for name, counts in counted.items() if counts.sum() > 0}
    if len(edges) < 2 or not counted:
        return None
    below = {name: np.cumsum(counts)[:-1] / counts.sum() for name, counts in counted.items()}  # share below each edge
    low = min(_value(edges, shares, _TAIL) for shares in below.values())
    high = max(_value(edges, shares, 1.0 - _TAIL) for shares in below.values())
    if high <= low:
        low, high = float(edges[0]), float(edges[-1])
    cuts = np.linspace(low, high, STEPS + 1)
    known = {name: np.interp(cuts, edges, shares) for name, shares in below.items()}
    return Steps(
        low,
        high,
        {name: np.diff(shares).tolist() for name, shares in known.items()},
        {name: float(shares[0]) for name, shares in known.items()},
        {name: float(1.0 - shares[-1]) for name, shares in known.items()},
    )


def mean_of(feature: Mapping[str, Any], counts: Sequence[float] | None) -> float | None:
    """The mean of a number, or the share of ones of a flag; None where nothing is counted or it is no number."""
    if not counts or not sum(counts) or not feature["centers"]:
        return None
    return float(np.dot(counts, feature["centers"]) / sum(counts))


def quantiles_of(feature: Mapping[str, Any], counts: Sequence[float] | None) -> list[float | None]:
    """`QUANTILES` of a number, interpolated in its bins; None each where nothing is counted."""
    edges = np.asarray(feature["edges"], dtype=np.float64)
    if not counts or not sum(counts) or len(edges) < 2:
        return [None] * len(QUANTILES)
    below = np.cumsum(counts)[:-1] / sum(counts)
    return [_value(edges, below, level) for level in QUANTILES]


def beyond_of(counts: Sequence[float] | None) -> float | None:
    """Share of a number's rows beyond the reference's own range, missing values among them."""
    return None if not counts or not sum(counts) else (counts[0] + counts[-1]) / sum(counts)


def _value(edges: NDArray[np.float64], below: NDArray[np.float64], level: float) -> float:
    """The value that a share of the rows lies below; at most the last edge."""
    found = float(np.interp(level, below, edges))
    return 0.0 if abs(found) < 1e-5 else found  # the ends stand a hair outside the reference
