"""The layout: what each place of a summary's vector counts, and how far a window's sums lie from the reference's.

One block a feature: rows per bin of each number and class, occurrences of hashed tokens, sums of the probabilities,
sums of the kernel features of the embedding. Every distance below is a function of the sums alone, so windows can be
merged first and judged later. Before: `features`; after: `summary`, `calibration` (how far is normal), `drift`.
Sources: Anderson & Darling 1952 at fixed points; G-test (Woolf 1957); Rabanser et al. 2019; Gretton et al. 2012.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from monitoring.bins import FeatureBins
from monitoring.features import Rows
from monitoring.kernel import Kernel
from monitoring.summary import Summary
from monitoring.terms import mixed

TOKENS, SOFTMAX, EMBEDDING, ACCURACY = "tokens_used", "softmax", "embedding", "accuracy"
BUCKETS = 256  # a sentence has 20 tokens, so 800 documents put some 60 into each

# Kinds with a smaller share count as if they had this one: else a single row of such a kind among 50 would decide. A
# flood of them shows all the same, and what must hardly ever occur is bounded by `contracts`.
RARE = 0.01

Floats = NDArray[np.float64]
Kind = Literal["number", "class", "tokens", "softmax", "embedding", "accuracy"]


class Columns(Protocol):
    """What else each row adds to the sums; see `accuracy`."""

    @property
    def width(self) -> int:
        """How many numbers a row adds."""
        ...

    def columns(self, rows: Rows) -> Floats:
        """They themselves, (rows, width)."""
        ...


@dataclass(frozen=True, slots=True)
class Block:
    """A run of places in the vector; `feature` is what people know it by."""

    feature: str
    kind: Kind
    start: int
    stop: int
    watched: bool

    @property
    def place(self) -> slice:
        """Where it is."""
        return slice(self.start, self.stop)


class Layout:
    """The places of one reference's summaries.

    Attributes:
        blocks: in order; each feature has one.
        width: of the vector.
        features: names of the blocks.
        watched: which of them may raise an alarm, (features,).
    """

    def __init__(
        self, bins: Sequence[FeatureBins], classes: int, kernel: Kernel | None, accuracy: Columns | None = None
    ) -> None:
        self.bins = {each.name: each for each in bins}
        self._kernel = kernel
        self._accuracy = accuracy
        sizes: list[tuple[str, Kind, int]] = [
            (each.name, "class" if each.categories else "number", each.width) for each in bins
        ]
        sizes.append((TOKENS, "tokens", BUCKETS))
        if classes:
            sizes.append((SOFTMAX, "softmax", classes))
        if kernel is not None:
            sizes.append((EMBEDDING, "embedding", kernel.width))
        if accuracy is not None:
            sizes.append((ACCURACY, "accuracy", accuracy.width))
        self._place(sizes)

    @classmethod
    def blank(cls) -> Self:
        """Without any block: of a model that has no reference."""
        layout = cls((), 0, None)
        layout._place([])
        return layout

    def _place(self, sizes: Sequence[tuple[str, Kind, int]]) -> None:
        ends = np.cumsum([size for _, _, size in sizes]).tolist()
        self.blocks = tuple(
            Block(name, kind, end - size, end, self._watched(name, kind))
            for (name, kind, size), end in zip(sizes, ends, strict=True)
        )
        self.width = ends[-1] if ends else 0
        self.features = tuple(block.feature for block in self.blocks)
        self.watched = np.array([block.watched for block in self.blocks])

    def block(self, feature: str) -> Block:
        """The block of a feature."""
        return self.blocks[self.features.index(feature)]

    def family(self, surprise: Floats) -> Floats:
        """The largest surprise of the watched features, from (..., features) to (...)."""
        largest: Floats = surprise[..., self.watched].max(axis=-1)
        return largest

    def _watched(self, name: str, kind: Kind) -> bool:
        return kind != "accuracy" and (name not in self.bins or self.bins[name].watched)

    def summarise(self, rows: Rows) -> Summary:
        """The sums of some rows."""
        sums = np.zeros(self.width)
        for block in self.blocks:
            sums[block.place] = self._sum(block, rows)
        return Summary(float(len(rows)), sums)

    def matrix(self, rows: Rows) -> NDArray[np.float32]:
        """Each row's contribution, float32 (rows, width): what calibration draws windows from."""
        table = np.zeros((len(rows), self.width), dtype=np.float32)
        every = np.arange(len(rows))
        for block in self.blocks:
            if block.kind in ("number", "class"):
                table[every, block.start + self._assign(block, rows)] = 1.0
            elif block.kind == "tokens":
                owner = np.repeat(every, rows.counts)
                np.add.at(table, (owner, block.start + bucket(rows.tokens)), 1.0)
            else:
                table[:, block.place] = self._parts(block, rows)
        return table

    def _sum(self, block: Block, rows: Rows) -> Floats:
        width = block.stop - block.start
        if block.kind in ("number", "class"):
            return np.bincount(self._assign(block, rows), minlength=width).astype(np.float64)
        if block.kind == "tokens":
            return np.bincount(bucket(rows.tokens), minlength=width).astype(np.float64)
        sums: Floats = self._parts(block, rows).sum(axis=0, dtype=np.float64)
        return sums

    def _parts(self, block: Block, rows: Rows) -> NDArray[np.floating[Any]]:
        """What each row adds to a block of real numbers."""
        if block.kind == "softmax":
            return rows.scores
        if block.kind == "accuracy" and self._accuracy is not None:
            return self._accuracy.columns(rows)
        return self._embed(rows)

    def _assign(self, block: Block, rows: Rows) -> NDArray[np.int64]:
        source = rows.classes if block.kind == "class" else rows.numbers
        return self.bins[block.feature].assign(source[block.feature])

    def _embed(self, rows: Rows) -> NDArray[np.float32]:
        if rows.mapped is not None:
            return rows.mapped
        if self._kernel is None or not rows.embedding.shape[1]:
            return np.zeros((len(rows), 0 if self._kernel is None else self._kernel.width), dtype=np.float32)
        return self._kernel.features(rows.embedding)


class Distances:
    """Distances from one fixed set of reference sums.

    Args:
        layout: of both.
        reference: float64 (width,), sums over the reference's rows ...
        rows: ... and how many rows each place of it was summed over, (width,): features of the text alone have more.
        spread: variance of the softmax per class over reference rows, (classes,).
        whitening: weights of the embedding's directions, see `whitening`; None where all weigh alike.

    Attributes:
        rows: as given.
        means: of the reference, per row, (width,).
    """

    def __init__(
        self, layout: Layout, reference: Floats, rows: Floats, spread: Floats, whitening: Floats | None = None
    ) -> None:
        self.rows = rows
        self.means: Floats = reference / rows
        self._layout = layout
        self._spread = np.maximum(spread, 1e-4)  # a class that is never in doubt would make any doubt infinite
        self._whitening = whitening
        self._known = [self._prepare(block, reference[block.place], rows[block.place]) for block in layout.blocks]

    def around(self, reference: Floats, rows: Floats) -> "Distances":
        """The same distances from other sums."""
        return Distances(self._layout, reference, rows, self._spread, self._whitening)

    def of(self, rows: Floats | float, sums: Floats) -> Floats:
        """How far each feature is from the reference.

        Args:
            rows: of each window, shape (...), one row or more.
            sums: shape (..., width).

        Returns:
            Shape (..., features), 0 or more. Numbers: weighted squared gaps of the cumulative shares
            (Anderson-Darling). Classes and tokens: Kullback-Leibler divergence from the reference, smoothed (G / 2n).
            Softmax: squared gaps of the mean probabilities in units of their variance. Embedding: squared MMD, its
            directions weighted by the whitening.
        """
        count = np.asarray(rows, dtype=np.float64)[..., None]
        parts = [
            self._distance(block, known, count, sums[..., block.place])
            for block, known in zip(self._layout.blocks, self._known, strict=True)
        ]
        return np.stack(parts, axis=-1)

    def _prepare(self, block: Block, sums: Floats, rows: Floats) -> tuple[Floats, Floats]:
        """What the reference contributes to the distances of one block: a mean, and a weight of each place."""
        if block.kind == "number":
            shares = sums / rows
            below = np.cumsum(shares)[:-1]
            around = (shares[:-1] + shares[1:]) / 2.0
            return below, around / np.maximum(below * (1.0 - below), RARE)
        if block.kind in ("class", "tokens"):
            smoothed = (sums + 0.5) / (sums.sum() + 0.5 * len(sums))  # Krichevsky-Trofimov: no share is zero
            return smoothed, np.log(np.maximum(smoothed, RARE) if block.kind == "class" else smoothed)
        if block.kind == "softmax":
            return sums / rows, 1.0 / self._spread
        return sums / rows, np.ones_like(sums)

    def _distance(self, block: Block, known: tuple[Floats, Floats], rows: Floats, sums: Floats) -> Floats:
        mean, weight = known
        if block.kind == "number":
            below = np.cumsum(sums[..., :-1], axis=-1) / rows
            gaps: Floats = ((below - mean) ** 2 * weight).sum(axis=-1)
            return gaps
        if block.kind in ("class", "tokens"):
            shares = sums / np.maximum(sums.sum(axis=-1, keepdims=True), 1.0)
            logs = np.log(shares, out=np.zeros_like(shares), where=shares > 0)
            divergence: Floats = np.maximum((shares * (logs - weight)).sum(axis=-1), 0.0)
            return divergence
        apart = sums / rows - mean
        if block.kind == "embedding" and self._whitening is not None:
            apart = apart @ self._whitening
        gaps = (apart**2 * weight).sum(axis=-1)
        return gaps if block.watched else np.zeros_like(gaps)


def bucket(tokens: NDArray[np.int64]) -> NDArray[np.int64]:
    """The bucket of each token id, in [0, BUCKETS)."""
    return (mixed(tokens) >> np.uint64(56)).astype(np.int64)
