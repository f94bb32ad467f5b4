"""Labels needed: how many the product's policy asks for until a model is as good as random sampling's at half the pool.

Both arms start empty and grow by the same rounds; each round a classifier is fitted from scratch to all labels so far
and tried on the whole test split. The policy's first round is drawn at random: there is no model yet. Its count is the
first at which it reaches the target, interpolated between rounds; the target is the mean over repeats of the random
arm's last accuracy on the same split. A single random run against that target is the control: what the measure gives
to chance. Before: `pools`, `neighbours`; after: `tables`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.loop.pools import Pool
from monitoring.labels.policies import DIVERSE, MARGIN, UNIFORM, fill
from monitoring.labels.policies_information import Candidates, Labelled

ROUNDS = 30
NEVER = 1.2  # of the budget: what counts where the target is not reached within it
SHARES: Mapping[str, float] = {
    UNIFORM: 0.1,
    MARGIN: 0.8,
    DIVERSE: 0.1,
}  # no drift, no reports: their slots are margin's

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Curve:
    """Accuracy on the test split after each round."""

    labels: NDArray[np.int64]
    accuracy: Floats


def curve(pool: Pool, seed: int, chosen: bool, rounds: int = ROUNDS) -> Curve:
    """One arm over half the pool: chosen by the policy, or drawn at random."""
    total = len(pool.truths) // 2
    sizes = np.linspace(0, total, rounds + 1).round().astype(np.int64)[1:]
    order = np.random.default_rng(seed).permutation(len(pool.truths))
    labelled = np.zeros(0, dtype=np.int64)
    model: Any = None
    accuracy = []
    for size in sizes.tolist():
        if model is None or not chosen:
            labelled = order[:size]
        else:
            labelled = np.concatenate([labelled, _asked(pool, model, labelled, size - len(labelled), seed)])
        model = fitted(pool, labelled)
        accuracy.append(float((model.predict(pool.test_rows) == pool.test_truths).mean()))
    return Curve(sizes, np.array(accuracy))


def needed(found: Curve, target: float) -> float:
    """Labels until the target as a share of the budget; `NEVER` where it is not reached."""
    reached = np.flatnonzero(found.accuracy >= target)
    if not len(reached):
        return NEVER
    place = int(reached[0])
    if place == 0:
        return float(found.labels[0] / found.labels[-1])
    before, after = found.accuracy[place - 1], found.accuracy[place]
    labels = np.interp(target, [before, after], found.labels[place - 1 : place + 1].astype(np.float64))
    return float(labels / found.labels[-1])


def answered(pool: Pool, model: Any, rows: NDArray[np.int64]) -> Floats:
    """Probabilities, (rows, classes of the pool); 0 for classes that the model has not seen."""
    scores: Floats = np.zeros((len(rows), int(pool.truths.max()) + 1))
    scores[:, model.classes_] = model.predict_proba(pool.rows[rows])
    return scores


def candidates(pool: Pool, scores: Floats, rows: NDArray[np.int64]) -> Candidates:
    """Some rows of a pool as the policy sees them."""
    terms = [pool.terms[row] for row in rows] if pool.terms else ()
    none = np.zeros(len(rows))
    return Candidates(tuple(map(str, rows)), scores, pool.embedding[rows], none, none.astype(np.bool_), terms)


def _asked(pool: Pool, model: Any, labelled: NDArray[np.int64], budget: int, seed: int) -> NDArray[np.int64]:
    waiting = np.setdiff1d(np.arange(len(pool.truths)), labelled)
    terms = [pool.terms[row] for row in labelled] if pool.terms else ()
    reference = Labelled(pool.embedding[labelled], terms)
    given = candidates(pool, answered(pool, model, waiting), waiting)
    picks = fill(given, reference, budget, seed * 1_000 + len(labelled), SHARES, runs=0)
    return waiting[[pick.row for pick in picks]]


def fitted(pool: Pool, labelled: NDArray[np.int64]) -> Any:
    """Logistic regression from scratch, the same for both arms and all data sets.

    C is scikit-learn's default over embeddings; over terms 10, with which random sampling's models are better.
    """
    from sklearn.dummy import DummyClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.multiclass import OneVsRestClassifier

    rows, truths = pool.rows[labelled], pool.truths[labelled]
    if len(np.unique(truths)) < 2:
        return DummyClassifier().fit(rows, truths)
    if not pool.terms:
        return LogisticRegression(max_iter=500, tol=1e-3).fit(rows, truths)
    return OneVsRestClassifier(LogisticRegression(C=10.0, solver="liblinear")).fit(rows, truths)
