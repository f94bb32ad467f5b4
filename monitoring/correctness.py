"""Correctness: the chance that an answer is right, row by row: a logistic regression, fitted at export.

Fitted on the evaluation rows and on corrupted copies of them; rows add up, so a window keeps sums of it.
Before: `evidence`, which describes the rows; after: `accuracy`, which chooses how much of the evidence to use.
Sources: Platt 1999 (softened targets); NannyML's CBPE for the mean over rows.
"""

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from tidegate.bundle import Part

Floats = NDArray[np.float64]

RIDGE = 10.0  # pseudo-rows on each weight: from 3 to 30 nothing changed
_STEPS = 30  # Newton's method needs 5 to 8


class Correctness(Part):
    """P(right | inputs)."""

    weights: tuple[float, ...] = Field(description="One an input, the constant first.")
    covariance: tuple[tuple[float, ...], ...] = Field(description="Of the weights, from evaluation rows alone.")

    def chance(self, inputs: Floats) -> Floats:
        """P(right) of rows of inputs, from (rows, inputs) to (rows,)."""
        return _logistic(inputs @ np.asarray(self.weights))


def fit(inputs: Floats, right: NDArray[np.bool_], held: int) -> Correctness:
    """Fit by penalised maximum likelihood.

    Args:
        inputs: shape (rows, inputs), the first of them constant.
        right: whether the answer was the true label, (rows,).
        held: the first so many rows are the evaluation split as it is, the others corrupted copies of it. Copies
            weigh no more than the rows in sum, and count for nothing in the covariance: they repeat the same texts.
    """
    hits, misses = right.sum(), (~right).sum()
    target = np.where(right, (hits + 1.0) / (hits + 2.0), 1.0 / (misses + 2.0))  # finite where all are right
    weight = np.where(np.arange(len(right)) < held, 1.0, min(1.0, held / max(len(right) - held, 1)))
    penalty = np.diag(np.where(np.arange(inputs.shape[1]) > 0, RIDGE, 1e-6))
    weights = np.zeros(inputs.shape[1])
    for _ in range(_STEPS):
        chance = _logistic(inputs @ weights)
        slope = inputs.T @ (weight * (target - chance)) - penalty @ weights
        step = np.linalg.solve(_information(inputs, weight * chance * (1 - chance)) + penalty, slope)
        weights += np.clip(step, -2.0, 2.0)  # far from the optimum a full step may overshoot
    chance = _logistic(inputs[:held] @ weights)
    covariance = np.linalg.inv(_information(inputs[:held], chance * (1 - chance)) + penalty)
    return Correctness(weights=tuple(weights.tolist()), covariance=tuple(map(tuple, covariance.tolist())))


def _information(inputs: Floats, weight: Floats) -> Floats:
    product: Floats = inputs.T @ (weight[:, None] * inputs)
    return product


def _logistic(odds: Floats) -> Floats:
    chance: Floats = 1.0 / (1.0 + np.exp(-odds.clip(-30.0, 30.0)))
    return chance
