"""Class shift: what a change in how often each true class occurs does to accuracy, without labels.

If only the frequencies of the true classes change, the answers are spread over cells (answered class and confidence)
as a mixture of what each true class gives; the mixture is found by EM. It is believed only where it explains most of
how the cells have moved: damage and new topics move them in ways that no mixture does.
Before: `accuracy`. Limits: up to 32 classes; with more the cells would be too many and too empty.
Sources: Saerens et al. 2002 (EM); Lipton et al. 2018 (label shift).
"""

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from tidegate.bundle import Part

BELIEVED = 0.7  # share of the movement that the mixture must explain; damage stays below 0.5, class shift above 0.8
NEAR = 0.5  # standard deviations that the mean position may lie off the mixture's; damage lies 0.7 to 5 off
MAX_CELLS = 64
MAX_LEVELS = 6
_STEPS = 200  # of EM
_PRIOR_ROWS = 20.0  # rows of the evaluation split's own frequencies that EM starts with
_SMOOTH = 0.1  # rows in each cell that were never seen there


class ClassShift(Part):
    """Cells and how each true class spreads over them; no cells with more than 32 classes."""

    edges: tuple[tuple[float, ...], ...] = Field((), description="Edges of confidence by best class.")
    spread: tuple[tuple[float, ...], ...] = Field((), description="Share of a true class's rows by cell and class.")
    frequencies: tuple[float, ...] = Field((), description="Of the true classes in the evaluation split.")
    centers: tuple[tuple[float, ...], ...] = Field((), description="Mean position of a true class's rows.")
    rows: int = Field(0, description="Evaluation rows.")

    @property
    def cells(self) -> int:
        """How many columns `marks` has."""
        return len(self.spread)

    def marks(self, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """1 in the cell of each row, shape (rows, cells)."""
        if not self.cells:
            return np.zeros((len(scores), 0))
        return np.eye(self.cells)[_cell(scores, np.asarray(self.edges))]

    def effect(self, counts: NDArray[np.float64], position: NDArray[np.float64]) -> float:
        """Change of accuracy that changed class frequencies cause; 0 where they do not explain what is seen.

        Args:
            counts: rows by cell, (cells,).
            position: mean position of the rows (`evidence`), which must be that of the mixture, too.
        """
        if not self.cells:
            return 0.0
        spread, before = np.asarray(self.spread), np.asarray(self.frequencies)  # (cells, classes), (classes,)
        now = _mixture(counts, spread, before)
        noise = len(position) * (1.0 / counts.sum() + 1.0 / self.rows)
        away = ((position - now @ np.asarray(self.centers)) ** 2).sum() - noise
        if away > NEAR**2 or _explained(counts, spread, before, now, self.rows) < BELIEVED:
            return 0.0
        cells = np.arange(self.cells)
        best = cells // (self.cells // len(before))
        old, new = (
            (weights / weights.sum(axis=1, keepdims=True))[cells, best] for weights in (spread * before, spread * now)
        )
        return float((counts * (new - old)).sum() / counts.sum())


def measure_classes(
    scores: NDArray[np.float64], truths: NDArray[np.int64], position: NDArray[np.float64]
) -> ClassShift:
    """Learn the cells from the evaluation split.

    Args:
        scores: probability per class, shape (rows, classes).
        truths: place of the true class, -1 for a label that is none of them (left out).
        position: of each row, shape (rows, numbers).
    """
    known = truths >= 0
    scores, truths, position, classes = scores[known], truths[known], position[known], scores.shape[1]
    levels = min(MAX_LEVELS, MAX_CELLS // classes)
    counts = np.bincount(truths, minlength=classes).astype(np.float64)
    if levels < 2 or not len(truths):
        return ClassShift()
    edges = np.array([_edges(scores, best, levels) for best in range(classes)])
    spread = np.full((classes * levels, classes), _SMOOTH / (classes * levels))
    np.add.at(spread, (_cell(scores, edges), truths), 1.0)
    centers = [
        position[truths == label].mean(axis=0) if counts[label] else position.mean(axis=0) for label in range(classes)
    ]
    return ClassShift(
        centers=tuple(tuple(center.tolist()) for center in centers),
        edges=tuple(map(tuple, edges.tolist())),
        spread=tuple(map(tuple, (spread / spread.sum(axis=0)).tolist())),
        frequencies=tuple(((counts + 0.5) / (counts + 0.5).sum()).tolist()),
        rows=len(truths),
    )


def _edges(scores: NDArray[np.float64], best: int, levels: int) -> NDArray[np.float64]:
    """Quantiles of the confidence of answers of one class; those of all where it has too few."""
    own = scores.max(axis=1)[scores.argmax(axis=1) == best]
    edges: NDArray[np.float64] = np.quantile(
        own if len(own) >= levels else scores.max(axis=1), np.arange(1, levels) / levels
    )
    return edges


def _cell(scores: NDArray[np.float64], edges: NDArray[np.float64]) -> NDArray[np.int64]:
    best = scores.argmax(axis=1)
    level: NDArray[np.int64] = (scores.max(axis=1)[:, None] >= edges[best]).sum(axis=1)
    cell: NDArray[np.int64] = best * (edges.shape[1] + 1) + level
    return cell


def _mixture(
    counts: NDArray[np.float64], spread: NDArray[np.float64], before: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Class frequencies that explain the counts best, shape (classes,)."""
    now = before
    for _ in range(_STEPS):
        now = now * (counts / (spread @ now) @ spread) + _PRIOR_ROWS * before
        now = now / now.sum()
    return now


def _explained(
    counts: NDArray[np.float64],
    spread: NDArray[np.float64],
    before: NDArray[np.float64],
    now: NDArray[np.float64],
    rows: int,
) -> float:
    """Share of the cells' movement that the mixture explains, beyond what noise does: about 0 without movement."""
    noise = 1.0 + counts.sum() / rows  # the reference is a sample, too
    unmoved, moved = (_deviance(counts, spread @ weights) / noise for weights in (before, now))
    classes, cells = len(before), len(counts)
    gain, most = unmoved - moved - 2.0 * (classes - 1), unmoved - 0.7 * (cells - 1)
    return float(gain / most) if most > cells else 0.0


def _deviance(counts: NDArray[np.float64], shares: NDArray[np.float64]) -> float:
    """2 sum(observed log(observed / expected)); about chi-squared where the shares are true."""
    seen = counts > 0
    return float(2.0 * (counts[seen] * np.log(counts[seen] / (counts.sum() * shares[seen]))).sum())
