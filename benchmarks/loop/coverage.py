"""Coverage: how often the interval of a model's accuracy, from labels that the policy chose, covers the truth.

Each simulation draws a pool and its model anew: a small random training set fits a classifier, the rest of the pool is
what may be asked about, the policy chooses a budget of it with all its default slots, and `weighted.estimate` speaks of
the accuracy over the whole rest. Beside it: the labels as they come, unweighted, and the random slot's labels alone.
Before: `pools`; after: `tables`.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.loop.labels_needed import answered, candidates, fitted
from benchmarks.loop.pools import Pool
from monitoring.labels.policies import UNIFORM, fill
from monitoring.labels.policies_information import Labelled
from monitoring.labels.weighted import estimate
from tidegate.intervals import wilson

TRAINING, BUDGET = 200, 100
_RUNS = 8


@dataclass(frozen=True, slots=True)
class Simulated:
    """One simulation: the truth and what was said of it; shares in [0, 1]."""

    truth: float
    unweighted: float
    weighted: float
    covered: bool
    width: float
    random_covered: bool
    random_width: float


def simulate(pool: Pool, seed: int, training: int = TRAINING, budget: int = BUDGET) -> Simulated:
    """Choose, label, estimate, once."""
    order = np.random.default_rng([seed, 1]).permutation(len(pool.truths))
    known, rest = order[:training], order[training:]
    model = fitted(pool, known)
    right: NDArray[np.bool_] = model.predict(pool.rows[rest]) == pool.truths[rest]
    terms = [pool.terms[row] for row in known] if pool.terms else ()
    given = candidates(pool, answered(pool, model, rest), rest)
    picks = fill(given, Labelled(pool.embedding[known], terms), budget, seed, runs=_RUNS)
    rows = np.array([pick.row for pick in picks])
    said = estimate(right[rows], np.array([pick.probability for pick in picks]))
    even = right[[pick.row for pick in picks if pick.slot == UNIFORM]]
    low, high = wilson(float(even.mean()), len(even))
    truth = float(right.mean())
    return Simulated(
        truth,
        float(right[rows].mean()),
        said.accuracy,
        said.low <= truth <= said.high,
        said.high - said.low,
        low <= truth <= high,
        high - low,
    )
