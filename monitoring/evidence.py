"""Evidence: what of a row tells whether its answer is right, as columns of numbers of like size.

Three groups: the scores; where the embedding lies (whitened directions and how far out); numbers of the text. The
means of the last two also say how far a window has moved. Before: `features`; after: `correctness`, `accuracy`.
Limits: 16 directions of the embedding stand for all of it; they are cosines, a fixed basis that needs no storing.
Source: Lee et al. 2018 (Mahalanobis distance of hidden states under shift).
"""

from collections.abc import Sequence
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from monitoring.features import DUPLICATE, LABEL, PREDICTION, Rows
from tidegate.bundle import Part

Floats = NDArray[np.float64]

SCORES = 6  # columns of `scores`
DIRECTIONS = 16  # 8 lost a tenth of what 32 principal ones bring, 16 next to nothing
PRIOR_ROWS = 20.0  # of the overall precision in the precision of one class
_FLOOR = 1e-4  # of a probability in a logarithm
_MOST = 3.0  # standard deviations beyond which one row counts no further
# Not numbers of the text: scores are described on their own, and whether it was sent before is no trait of it.
_OTHERS = (*PREDICTION, DUPLICATE)


class Evidence(Part):
    """How to describe rows of one model; part of the bundle's `drift.json`."""

    labels: tuple[str, ...] = Field(description="Classes in the order of the scores' columns.")
    odds: tuple[float, ...] = Field(description="Log-odds of being right by answered class; the last: any other.")
    numbers: dict[str, tuple[float, float]] = Field(description="Mean and standard deviation of numbers of the text.")
    center: tuple[float, ...] = Field((), description="Mean embedding.")
    whitening: tuple[tuple[float, ...], ...] = Field((), description="From directions to uncorrelated ones.")

    @classmethod
    def measure(cls, labels: Sequence[str], held: Rows, right: NDArray[np.bool_], copies: Rows) -> Self:
        """Learn means and spreads: means of the evaluation rows, spreads of numbers with the corrupted copies."""
        spreads = {
            name: float(np.nanstd(np.concatenate([held.numbers[name], copies.numbers[name]])))
            for name in held.numbers
            if name not in _OTHERS
        }
        center = held.embedding.mean(axis=0, dtype=np.float64)  # (dimensions,)
        return cls(
            labels=tuple(labels),
            odds=tuple(_class_odds(places(held.classes[LABEL], labels), right, len(labels)).tolist()),
            numbers={
                name: (float(np.nanmean(held.numbers[name])), spread) for name, spread in spreads.items() if spread > 0
            },
            center=tuple(center.tolist()),
            whitening=tuple(map(tuple, _whitening(held.embedding, center).tolist())),
        )

    @property
    def names(self) -> list[str]:
        """Of the columns of `position`."""
        return [*self.numbers, *(f"embedding direction {place + 1}" for place in range(len(self.whitening)))]

    @cached_property
    def projection(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Whitened directions of an embedding, (dimensions, directions), and where its mean lies on them.

        In float32, as embeddings are: in float64 a row of 384 dimensions cost 10 microseconds.
        """
        count = len(self.whitening)
        axes = _basis(len(self.center)) @ np.asarray(self.whitening).reshape(count, count)
        return axes.astype(np.float32), (np.asarray(self.center) @ axes).astype(np.float32)

    def scores(self, rows: Rows) -> Floats:
        """What the scores say of the answered class, which need not be the best one; shape (rows, SCORES).

        One, the log-odds of its score, their square (from 0 to 6), the log of its ratio to the best other score, the
        entropy in units of log(classes), and how often answers of this class are right.
        """
        answered = places(rows.classes[LABEL], self.labels)
        every, known = np.arange(len(rows)), answered >= 0
        own = np.where(known, rows.scores[every, answered], _FLOOR).clip(_FLOOR, 1 - _FLOOR)
        others = rows.scores.copy()
        others[every[known], answered[known]] = 0.0
        odds = np.log(own / (1 - own))
        entropy = -(rows.scores * np.log(rows.scores.clip(_FLOOR, 1.0))).sum(axis=1) / np.log(max(2, len(self.labels)))
        ratio = np.log(own / others.max(axis=1).clip(_FLOOR, 1.0))
        squared = odds.clip(0.0, 6.0) ** 2 / 6.0
        return np.column_stack([np.ones(len(rows)), odds, squared, ratio, entropy, np.asarray(self.odds)[answered]])

    def position(self, rows: Rows) -> Floats:
        """Numbers and embedding directions in standard deviations from the evaluation rows; (rows, len(names))."""
        numbers = [np.nan_to_num((rows.numbers[name] - mean) / spread) for name, (mean, spread) in self.numbers.items()]
        axes, middle = self.projection
        if rows.embedding.shape[1] != len(axes):  # a session that answers none: as if every text were the usual one
            whitened = np.zeros((len(rows), len(middle)))
        else:
            whitened = (rows.embedding @ axes - middle).astype(np.float64)  # (rows, directions)
        position: Floats = np.clip(np.column_stack([*numbers, whitened]), -_MOST, _MOST)
        return position

    def inputs(self, scores: Floats, position: Floats, groups: int) -> Floats:
        """What `correctness` takes: the scores; with 2 groups the embedding and its distance, with 3 the numbers."""
        numbers = len(self.numbers)
        embedding = position[:, numbers:]
        if groups == 1 or (groups == 2 and not embedding.shape[1]):
            return scores
        out = np.log((embedding**2).mean(axis=1) + 1e-3)[:, None] if embedding.shape[1] else embedding
        parts = [scores, out, embedding] if groups == 2 else [scores, out, embedding, position[:, :numbers]]
        return np.concatenate(parts, axis=1)


def places(answered: Sequence[str] | NDArray[np.object_], labels: Sequence[str]) -> NDArray[np.int64]:
    """Place of each label among the labels of the scores' columns; -1 where it is none of them."""
    place = {label: index for index, label in enumerate(labels)}
    return np.array([place.get(label, -1) for label in answered], dtype=np.int64)


def _class_odds(answered: NDArray[np.int64], right: NDArray[np.bool_], classes: int) -> Floats:
    """Log-odds of being right by answered class, drawn towards those of all; shape (classes + 1,)."""
    overall = (right.sum() + 1.0) / (len(right) + 2.0)
    column = np.where(answered < 0, classes, answered)
    answers = np.bincount(column, minlength=classes + 1)
    hits = np.bincount(column, weights=right, minlength=classes + 1)
    precision = (hits + PRIOR_ROWS * overall) / (answers + PRIOR_ROWS)
    odds: Floats = np.log(precision / (1 - precision))
    return odds


def _basis(dimensions: int) -> Floats:
    """A few orthogonal cosines, shape (dimensions, DIRECTIONS or, of a short embedding, dimensions)."""
    count = min(DIRECTIONS, dimensions)
    waves = (np.arange(count) * max(1, dimensions // max(1, count)) + 1) * np.pi / max(1, dimensions)
    basis: Floats = np.cos((np.arange(dimensions)[:, None] + 0.5) * waves)
    return basis


def _whitening(embedding: NDArray[np.float32], center: Floats) -> Floats:
    """Takes coordinates on `_basis` to uncorrelated ones of variance 1; shape (directions, directions)."""
    coordinates = (embedding - center) @ _basis(len(center))  # (rows, directions)
    variance, axes = np.linalg.eigh(coordinates.T @ coordinates / len(coordinates))
    whitening: Floats = axes / np.sqrt(variance.clip(1e-9 + 1e-6 * variance.max(initial=0.0)))
    return whitening
