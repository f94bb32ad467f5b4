"""Weighted: accuracy from labels that were not chosen evenly, each counted by one over its chance of being chosen.

Before: picks of `policies_slots`, their labels; after: retraining's gate, the meter. The mean is Hajek's, a ratio of
two weighted sums, whose error shrinks where the policy asks about what the model gets wrong. The interval is Wilson's
of as many even draws as the weighted ones are worth, with a few answers assumed, so that it also holds for a handful
of labels and for those that are all right. Limits: an item that could not be chosen at all is not spoken for, which
is why the random slots exist; finite pools make the interval a little wide, never narrow.
Sources: Hajek 1971; Saerndal et al. 1992, ch. 5 (variance of a ratio); Wilson 1927; Kish 1965 (effective rows).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tidegate.intervals import wilson

MIN_LABELS = 10
_ASSUMED = 2.0  # answers of each kind that the variance is steadied by. Source: Agresti and Coull 1998


@dataclass(frozen=True, slots=True)
class Weighted:
    """Accuracy with its 95 % interval, shares in [0, 1], and what the labels are worth in even draws."""

    rows: int
    accuracy: float
    low: float
    high: float
    worth: float

    @property
    def trusted(self) -> bool:
        """Whether there are labels enough."""
        return self.rows >= MIN_LABELS


def estimate(right: NDArray[np.bool_], chance: NDArray[np.float64]) -> Weighted:
    """Accuracy over everything that could have been chosen.

    Args:
        right: whether the model's answer was the label, (rows,).
        chance: with which each row was chosen, in (0, 1], (rows,).

    Raises:
        ValueError: a chance is not in (0, 1]; such a row says nothing about the others.
    """
    if not len(right):
        return Weighted(0, 0.0, 0.0, 1.0, 0.0)
    if not (0.0 < chance.min() <= chance.max() <= 1.0):
        raise ValueError(
            f"chances from {chance.min()} to {chance.max()}: all are in (0, 1]; leave out rows whose chance is unknown"
        )
    weight = 1.0 / chance
    share = float(weight @ right / weight.sum())
    worth = _worth(right, weight)
    return Weighted(len(right), share, *wilson(share, worth), worth)


def _worth(right: NDArray[np.bool_], weight: NDArray[np.float64]) -> float:
    """How many even draws would be as sure: `p (1 - p)` over the variance of the ratio, answers assumed in both."""
    total, mean = float(weight.sum()), float(weight.mean())
    center = (float(weight @ right) + _ASSUMED * mean) / (total + 2.0 * _ASSUMED * mean)
    squares = float((weight**2 * (right - center) ** 2).sum())
    assumed = _ASSUMED * float((weight**2).mean()) * (center**2 + (1.0 - center) ** 2)
    variance = (squares + assumed) / (total + 2.0 * _ASSUMED * mean) ** 2
    return center * (1.0 - center) / variance
