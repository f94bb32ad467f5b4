"""Meter: how many labels choosing has saved against drawing at random, from the product's own labelled items.

A light model (logistic regression over embeddings) is fitted to growing numbers of the chosen labels and of the
random stream's, and both are tried on random labels that neither has seen. What the chosen ones reach, at so many
labels, is looked up on the random curve, which is fitted as `accuracy = a + b log(labels)`. Splits are drawn anew
`SPLITS` times; their 95 % range is the interval, so it tells chance apart. "Cannot tell" below `MIN_RANDOM` random
and `MIN_CHOSEN` chosen labels, and where random labels themselves teach nothing.
Before: labelled items with embeddings; after: the dashboard, `tidegate relabel stats`. Limits: it measures what labels
are worth to a light model, not to the one that is retrained; no curve is followed beyond `FURTHEST` times its labels.
Source: Lowell et al. 2019: savings differ from data to data, so they are measured, never promised.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MIN_RANDOM, MIN_CHOSEN = 60, 30  # a third of the random ones test: 20, below which accuracy moves in steps of 5 points
SPLITS = 40
FURTHEST = 4.0
_FLAT = 0.005  # accuracy that e times as many labels add; below it there is no curve to look up on
_STEPS = 4  # points of the random curve
_TESTING = 1.0 / 3.0

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Saved:
    """Labels saved by choosing: `labels` is random labels needed for the same accuracy, minus those chosen.

    Attributes:
        chosen: labels that were chosen.
        labels, low, high: saved, with the 95 % interval; negative where choosing cost labels.
        why: it cannot be told, or "".
    """

    chosen: int
    labels: float = 0.0
    low: float = 0.0
    high: float = 0.0
    why: str = ""


def saved(embedding: NDArray[np.float32], labels: NDArray[np.str_], random: NDArray[np.bool_], seed: int = 0) -> Saved:
    """How many labels were saved.

    Args:
        embedding: of each labelled item, (rows, dimensions).
        labels: what people said, (rows,).
        random: whether the item comes from the random stream, (rows,); the others were chosen.
        seed: of the splits.
    """
    drawn, chosen = np.flatnonzero(random), np.flatnonzero(~random)
    if len(drawn) < MIN_RANDOM or len(chosen) < MIN_CHOSEN:
        have = f"{len(drawn)} random and {len(chosen)} chosen labels"
        return Saved(len(chosen), why=f"{have}; {MIN_RANDOM} and {MIN_CHOSEN} are needed")
    from threadpoolctl import threadpool_limits

    rng = np.random.default_rng(seed)
    with threadpool_limits(1):  # its vectors are short: threads that wait for each other cost seven times as much
        found = [_once(embedding, labels, rng.permutation(drawn), rng.permutation(chosen)) for _ in range(SPLITS)]
    told = np.array([one for one in found if one is not None])
    if len(told) < SPLITS // 2:
        return Saved(len(chosen), why="random labels teach the light model nothing yet: there is no curve to save on")
    low, middle, high = np.quantile(told, [0.025, 0.5, 0.975]) * len(chosen)
    return Saved(len(chosen), float(middle), float(low), float(high))


def _once(
    embedding: NDArray[np.float32], labels: NDArray[np.str_], drawn: NDArray[np.intp], chosen: NDArray[np.intp]
) -> float | None:
    """Saved labels as a share of the chosen ones in one split; None where the random curve does not rise."""
    testing = round(_TESTING * len(drawn))
    test, training = drawn[:testing], drawn[testing:]
    sizes = np.geomspace(max(8, len(training) // 8), len(training), _STEPS).astype(int)
    reached = [_accuracy(embedding, labels, training[:size], test) for size in sizes]
    slope, start = np.polyfit(np.log(sizes), reached, 1)
    if slope <= _FLAT:
        return None
    # The chosen alone are lopsided; as in the product they stand beside random ones, half and half.
    half = min(len(training), len(chosen)) // 2
    mixed = np.concatenate([training[:half], chosen[:half]])
    accuracy = _accuracy(embedding, labels, mixed, test)
    needed = float(np.exp(min((accuracy - start) / slope, np.log(FURTHEST * len(mixed)))))
    return (needed - len(mixed)) / half


def _accuracy(
    embedding: NDArray[np.float32], labels: NDArray[np.str_], training: NDArray[np.intp], test: NDArray[np.intp]
) -> float:
    """Share of the test rows that a light model of the training rows gets right."""
    from sklearn.linear_model import LogisticRegression

    if len(np.unique(labels[training])) < 2:
        return float((labels[test] == labels[training[0]]).mean())
    model = LogisticRegression(C=10.0, max_iter=1_000).fit(embedding[training], labels[training])
    return float((model.predict(embedding[test]) == labels[test]).mean())
