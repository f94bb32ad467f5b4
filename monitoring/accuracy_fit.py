"""Fitting the accuracy estimate at export: what to go by, and how far it errs when things change.

Corrupted copies of the evaluation rows come kind after kind. Each kind is left out in turn, predicted by a fit to the
others, and so shows how far the estimate errs on damage that it does not know: that chooses how much of the evidence
to use, and sets the width of the interval. Halves of the evaluation split by each number are shifts, too.
Before: the deployed variant's answers; after: `accuracy`. Runs in a second or two.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from monitoring import correctness
from monitoring.accuracy import BASE_ERROR, MIN_ROWS, AccuracyReference
from monitoring.class_shift import measure_classes
from monitoring.correctness import Correctness, Floats
from monitoring.evidence import Evidence, places
from monitoring.features import LABEL, Rows

DAMAGES = 7  # kinds of damage in the copies (`exporters.perturb.KINDS`); a test compares the two
GROUPS = (1, 2, 3)
_BETTER = 0.95  # more evidence must bring the error down by a twentieth: what brings nothing only adds noise


@dataclass(frozen=True, slots=True)
class _Table:
    """Rows as matrices, (rows, ...): scores and position of `evidence`, whether surer than ATC's threshold, right."""

    scores: Floats
    position: Floats
    sure: NDArray[np.bool_]
    right: NDArray[np.bool_]

    def taken(self, rows: NDArray[np.int64]) -> Self:
        """Some of the rows."""
        return type(self)(self.scores[rows], self.position[rows], self.sure[rows], self.right[rows])


@dataclass(frozen=True, slots=True)
class _Trial:
    """What an estimate did on labelled rows: its error, ATC less the estimate, mean position, variance by chance."""

    error: float
    gap: float
    position: Floats
    rows: int
    noise: float


def fit(
    labels: Sequence[str], held: Rows, truths: Sequence[str], copies: Rows | None, copy_truths: Sequence[str]
) -> AccuracyReference | None:
    """Learn to estimate accuracy; None with fewer than 50 evaluation rows.

    Args:
        labels: classes in the order of the scores' columns.
        held: the evaluation split as the deployed variant answers it.
        truths: its true labels.
        copies: corrupted copies as it answers them, kind after kind, each from weak to strong
            (`exporters.perturb.perturbed`). With none, or fewer than 50 of each half of a kind, only natural shifts
            set the interval and only the scores are used.
        copy_truths: true labels of the copies.
    """
    if len(held) < MIN_ROWS:
        return None
    copies = _nothing(held) if copies is None else copies
    right = _right(held, truths)
    evidence = Evidence.measure(labels, held, right, copies)
    threshold = float(np.quantile(held.scores.max(axis=1), 1.0 - right.mean()))
    clean = _table(evidence, held, right, threshold)
    damaged = _table(evidence, copies, _right(copies, copy_truths), threshold)
    groups, trials = _choose(evidence, clean, damaged)
    fitted = _fitted(evidence, clean, damaged, groups)
    trials += [_try(evidence, fitted, groups, half) for half in _halves(clean)]
    reference = AccuracyReference(
        rows=len(held),
        accuracy=float(right.mean()),
        evidence=evidence,
        groups=groups,
        correctness=fitted,
        threshold=threshold,
        classes=measure_classes(held.scores, places(truths, labels), clean.position),
        shift_error=0.0,
        tried=_tried(trials),
        disagreement=float(np.sqrt(np.mean([max(0.0, trial.gap**2 - trial.noise) for trial in trials]))),
    )
    return reference.model_copy(update={"shift_error": _shift_error(reference, trials)})


def _nothing(like: Rows) -> Rows:
    """No rows, with the columns of some."""
    return Rows(
        numbers={name: values[:0] for name, values in like.numbers.items()},
        classes={name: values[:0] for name, values in like.classes.items()},
        scores=like.scores[:0],
        tokens=like.tokens[:0],
        counts=like.counts[:0],
        embedding=like.embedding[:0],
    )


def _right(rows: Rows, truths: Sequence[str]) -> NDArray[np.bool_]:
    answered = rows.classes[LABEL]
    return np.array([given == true for given, true in zip(answered, truths, strict=True)], dtype=np.bool_)


def _table(evidence: Evidence, rows: Rows, right: NDArray[np.bool_], threshold: float) -> _Table:
    if not len(rows):
        return _Table(np.zeros((0, 6)), np.zeros((0, len(evidence.names))), right, right)
    return _Table(evidence.scores(rows), evidence.position(rows), rows.scores.max(axis=1) > threshold, right)


def _choose(evidence: Evidence, clean: _Table, damaged: _Table) -> tuple[int, list[_Trial]]:
    """How many groups of the evidence err least on kinds of damage left out, and those trials."""
    best, least, kept = 1, float("inf"), list[_Trial]()
    for groups in GROUPS if len(damaged.right) >= 2 * DAMAGES * MIN_ROWS else ():
        trials = _leave_out(evidence, clean, damaged, groups)
        error = float(np.mean([abs(trial.error) for trial in trials]))
        if error < _BETTER * least:
            best, least, kept = groups, error, trials
    return best, kept


def _leave_out(evidence: Evidence, clean: _Table, damaged: _Table, groups: int) -> list[_Trial]:
    """Weak and strong copies of each kind, estimated by a fit to all other kinds."""
    every = np.arange(len(damaged.right))
    trials = []
    for kind in np.array_split(every, DAMAGES):
        fitted = _fitted(evidence, clean, damaged.taken(np.setdiff1d(every, kind)), groups)
        trials += [_try(evidence, fitted, groups, damaged.taken(half)) for half in np.array_split(kind, 2)]
    return trials


def _halves(clean: _Table) -> list[_Table]:
    """Halves of the evaluation split by each number of the position: shifts that it holds in itself."""
    orders = [np.argsort(column, kind="stable") for column in clean.position.T if column.min() < column.max()]
    return [clean.taken(half) for order in orders for half in np.array_split(order, 2)]


def _fitted(evidence: Evidence, clean: _Table, damaged: _Table, groups: int) -> Correctness:
    inputs = [evidence.inputs(table.scores, table.position, groups) for table in (clean, damaged)]
    return correctness.fit(np.concatenate(inputs), np.concatenate([clean.right, damaged.right]), len(clean.right))


def _try(evidence: Evidence, fitted: Correctness, groups: int, table: _Table) -> _Trial:
    chance = fitted.chance(evidence.inputs(table.scores, table.position, groups))
    rows, expected = len(chance), float(chance.mean())
    noise = float((chance * (1.0 - chance)).sum()) / rows**2
    gap = float(table.sure.mean()) - expected
    return _Trial(expected - float(table.right.mean()), gap, table.position.mean(axis=0), rows, noise)


def _shift_error(reference: AccuracyReference, trials: Sequence[_Trial]) -> float:
    """Error beyond noise in proportion to the size of the shift: root of mean squares over all trials."""
    excess = sum(max(0.0, trial.error**2 - trial.noise - BASE_ERROR**2) for trial in trials)
    squares = sum(reference.size(trial.position, trial.rows) ** 2 for trial in trials)
    return float(np.sqrt(excess / squares)) if squares else 0.0


def _tried(trials: Sequence[_Trial]) -> tuple[tuple[float, float], ...]:
    means = np.stack([trial.position for trial in trials])  # (trials, numbers)
    return tuple(zip(means.min(axis=0).tolist(), means.max(axis=0).tolist(), strict=True))
