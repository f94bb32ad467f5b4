"""Accuracy and macro-F1 with bootstrap intervals, on label indices. Used by `verify`; numpy only.

Sources: macro-F1 as scikit-learn's `f1_score(average="macro", zero_division=0)`; percentile bootstrap, Efron
and Tibshirani 1993, chapter 13.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Labels = NDArray[np.int64]  # label index of each row, (rows,)
Score = Callable[[Labels, Labels], float]

RESAMPLES = 1000  # the interval's ends move by less than 0.1 points beyond it


def accuracy(truth: Labels, answered: Labels) -> float:
    """Share of rows answered right, in [0, 1]."""
    return float((truth == answered).mean())


def macro_f1(truth: Labels, answered: Labels) -> float:
    """Mean F1 of the classes that occur in either, in [0, 1]."""
    size = int(max(truth.max(), answered.max())) + 1
    hits = np.bincount(truth[truth == answered], minlength=size)  # (classes,)
    support = np.bincount(truth, minlength=size) + np.bincount(answered, minlength=size)
    present = support > 0
    return float((2 * hits[present] / support[present]).mean())


def interval(score: Score, truth: Labels, answered: Labels, seed: int = 0) -> tuple[float, float]:
    """95 % percentile bootstrap interval of a score, over rows."""
    rng = np.random.default_rng(seed)
    rows = len(truth)
    draws = (rng.integers(0, rows, rows) for _ in range(RESAMPLES))
    values = [score(truth[draw], answered[draw]) for draw in draws]
    low, high = np.quantile(values, [0.025, 0.975])
    return float(low), float(high)
