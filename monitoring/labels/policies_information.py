"""Information: how much a label of each candidate would tell a linear model about all candidates.

The expected fall in the variance of the model's answers (V-optimal design with the Fisher information of a logistic
regression): high for what is like many uncertain others and unlike all that is labelled. The information matrix is
taken as diagonal, over sparse terms as they are, over embeddings along their principal axes: a whole one cost ten
times the time in benchmarks/loop. Before: records; after: `policies`. Limits: one variance stands for all classes
of a row (`1 - sum of squared probabilities`); a candidate costs its terms, or its dimensions, at every draw.
Sources: Schein and Ungar 2007, "Active learning for logistic regression"; Ash et al. 2021, "Gone fishing" (BAIT).
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

_PRIOR = 3.0  # precision of a weight before any label; 1 to 10 did alike in benchmarks/loop
_LEAST_VARIANCE = 0.01  # of an answer: a row that the model is sure of still tells something

Floats = NDArray[np.float64]
Terms = tuple[NDArray[np.int64], NDArray[np.float32]]  # columns and weights of a row's terms, as the model sees them


def _no_rows() -> NDArray[np.float32]:
    return np.zeros((0, 0), dtype=np.float32)


@dataclass(frozen=True, slots=True)
class Candidates:
    """What can be asked about, as columns.

    Attributes:
        ids: one a row.
        scores: probabilities, (rows, classes).
        embedding: (rows, dimensions) float32; (rows, 0) where there is none.
        witness: how far each row pulls the window away from the reference, (rows,); 0 or less does not.
        reported: whether somebody reported the answer, (rows,); they are taken in this order.
        terms: sparse rows of a bag of words, one a row; empty for models that read none.
    """

    ids: tuple[str, ...]
    scores: Floats
    embedding: NDArray[np.float32]
    witness: Floats
    reported: NDArray[np.bool_]
    terms: Sequence[Terms] = ()


@dataclass(frozen=True, slots=True)
class Labelled:
    """What is labelled already; all empty at the beginning.

    Attributes:
        embedding: (rows, dimensions) float32.
        terms: sparse rows.
    """

    embedding: NDArray[np.float32] = field(default_factory=_no_rows)
    terms: Sequence[Terms] = ()


class Information(Protocol):
    """What is known, as candidates are chosen."""

    def scores(self) -> Floats:
        """What each candidate would tell, (candidates,), larger is more."""
        ...

    def add(self, row: int) -> None:
        """Count a candidate as labelled."""
        ...

    def copy(self) -> Self:
        """The same, of which `add` changes nothing here."""
        ...


def information(candidates: Candidates, reference: Labelled) -> Information:
    """Over terms where there are any, else over embeddings, else the same for every candidate."""
    variance = (1.0 - (candidates.scores**2).sum(axis=1)).clip(_LEAST_VARIANCE)
    if len(candidates.terms):
        return _OverTerms(candidates.terms, reference.terms, variance)
    if candidates.embedding.shape[1]:
        return _OverEmbeddings(candidates.embedding, reference.embedding, variance)
    return _Nothing(len(candidates.ids))


def uncertainty(scores: Floats) -> Floats:
    """1 - (best - second best probability), (rows,); 1 where there is but one class to answer."""
    if scores.shape[1] < 2:
        return np.ones(len(scores))
    ordered = np.partition(scores, -2, axis=1)
    unsure: Floats = (1.0 - (ordered[:, -1] - ordered[:, -2])).clip(1e-9)
    return unsure


class _Nothing:
    def __init__(self, rows: int) -> None:
        self._same: Floats = np.ones(rows)

    def scores(self) -> Floats:
        return self._same

    def add(self, row: int) -> None:
        """Nothing to learn from."""

    def copy(self) -> Self:
        return self


class _OverTerms:
    """Diagonal information: per column what the candidates ask for and what is known."""

    def __init__(self, rows: Sequence[Terms], known: Sequence[Terms], variance: Floats) -> None:
        self._rows = len(rows)
        sizes = np.array([len(columns) for columns, _ in [*rows, *known]])
        self._starts = np.concatenate([[0], sizes.cumsum()])
        every = np.concatenate([columns for columns, _ in [*rows, *known]])
        self._columns = np.unique(every, return_inverse=True)[1]
        self._place = np.repeat(np.arange(len(sizes)), sizes)
        weight = np.concatenate([variance, np.full(len(known), variance.mean())])[self._place]
        self._values: Floats = weight * np.concatenate([weights for _, weights in [*rows, *known]]) ** 2.0
        self._asked = np.bincount(self._columns, self._values)
        own = int(self._starts[self._rows])
        self._known = _PRIOR + np.bincount(self._columns[own:], self._values[own:], minlength=len(self._asked))

    def scores(self) -> Floats:
        own = slice(0, int(self._starts[self._rows]))
        columns, values, place = self._columns[own], self._values[own], self._place[own]
        told = np.bincount(place, values * (self._asked / self._known**2)[columns], minlength=self._rows)
        noise = np.bincount(place, values * (1.0 / self._known)[columns], minlength=self._rows)
        gained: Floats = told / (1.0 + noise)
        return gained

    def add(self, row: int) -> None:
        own = slice(int(self._starts[row]), int(self._starts[row + 1]))
        np.add.at(self._known, self._columns[own], self._values[own])

    def copy(self) -> Self:
        other = copy.copy(self)
        other._known = self._known.copy()
        return other


class _OverEmbeddings:
    """Diagonal information along the principal axes of the candidates, on which it nearly is diagonal."""

    def __init__(self, rows: NDArray[np.float32], known: NDArray[np.float32], variance: Floats) -> None:
        unit = _unit(rows)
        axes = np.linalg.eigh(unit.T @ unit)[1]
        labelled = (_unit(known.reshape(-1, rows.shape[1])) @ axes) ** 2 * variance.mean()
        self._values: Floats = (unit @ axes) ** 2 * variance[:, None]  # (rows, dimensions)
        self._asked: Floats = self._values.sum(axis=0) + labelled.sum(axis=0)
        self._known: Floats = _PRIOR + labelled.sum(axis=0)

    def scores(self) -> Floats:
        gained: Floats = (self._values @ (self._asked / self._known**2)) / (1.0 + self._values @ (1.0 / self._known))
        return gained

    def add(self, row: int) -> None:
        self._known = self._known + self._values[row]

    def copy(self) -> Self:
        return copy.copy(self)  # `add` makes its arrays anew


def _unit(rows: NDArray[np.float32]) -> Floats:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    unit: Floats = (rows / np.where(lengths > 0.0, lengths, 1.0)).astype(np.float64)
    return unit
