"""How likely each label is wrong, given what models say and how its annotator errs. Pure numpy.

Each annotator has a matrix of what is given where what is meant; it is learned together with the true labels, by
expectation maximisation, and drawn towards everybody's where an annotator gave few labels. So one who turns a class
into another is suspected in the next label of that kind, though the models alone would let it pass.
Before: `quality_models`; after: `quality`. Limits: an error that models and all annotators share cannot be seen.
Source: Dawid & Skene 1979, with a model's probabilities in place of the class frequencies (Raykar et al. 2010).
"""

import numpy as np

from monitoring.labels.quality_models import Floats, Index

_ROUNDS = 30  # expectation maximisation moves less than 0.001 after about 20
_RIGHT = 0.93  # what is believed of annotators before anything is known
_BELIEF_ROWS = 100.0  # a class: labels that this counts for; less finds noise in a small batch that has none
_SHARED_ROWS = 30.0  # a class: labels that everybody's errors count for in one annotator's


def chance_wrong(expected: Floats, given: Index, annotators: Index) -> tuple[Floats, Floats]:
    """The chance of each label to be wrong, and the truth behind it.

    Args:
        expected: (rows, classes), the models' probabilities, blind to the label.
        given: (rows,), the class that the annotator gave.
        annotators: (rows,), 0 to the number of annotators less one.

    Returns:
        (rows,) chances, and (rows, classes) probabilities of the true class.
    """
    classes, people = expected.shape[1], int(annotators.max()) + 1
    belief = np.full((classes, classes), (1.0 - _RIGHT) / max(classes - 1, 1))
    np.fill_diagonal(belief, _RIGHT)
    errs = np.repeat(belief[None], people, axis=0)  # (annotators, true class, given class)
    truth = expected
    for _ in range(_ROUNDS):
        truth = expected * errs[annotators, :, given]  # (rows, true class)
        truth = truth / truth.sum(axis=1, keepdims=True)
        counted = np.zeros((people * classes, classes))  # (annotators and given class, true class)
        np.add.at(counted, annotators * classes + given, truth)
        counts = counted.reshape(people, classes, classes).transpose(0, 2, 1)
        shared = _shares(_BELIEF_ROWS * belief + counts.sum(axis=0))
        errs = _shares(_SHARED_ROWS * shared + counts)
    return 1.0 - truth[np.arange(len(given)), given], truth


def longest(chances: Floats, least_share: float) -> Index:
    """The rows to look at, likeliest first: as many as keep the expected share of wrong ones at `least_share`."""
    order = np.argsort(-chances, kind="stable")
    expected_share = np.cumsum(chances[order]) / np.arange(1, len(order) + 1)  # falls from row to row
    return order[: int((expected_share >= least_share).sum())]


def _shares(counts: Floats) -> Floats:
    found: Floats = counts / counts.sum(axis=-1, keepdims=True)
    return found
