"""Worlds: drift-free populations drawn from held-out documents, and windows drawn from them.

What a window's distance from the reference is made of when nothing has drifted: the luck of the window, and that of
the reference, which is a sample itself. The first is drawn as it is. The second is drawn as a world, the documents
drawn anew; but a feature that is known from more rows than these (training texts) has less of it, so a world lies as
much nearer to their mean as that reference is surer. How far the documents lie from such a reference beyond chance is
kept, by a positive-part James-Stein factor. Before: `layout`; after: `calibration`, which measures distances.
Sources: Efron & Tibshirani 1993 (two-stage bootstrap); Stein 1981; Jeffreys 1946 (rates of what hardly occurs).
"""

import numpy as np
from numpy.typing import NDArray

from monitoring.layout import Distances, Floats, Layout

WORLDS, STREAM = 150, 48  # streams, and windows of each: 7,200 windows a size
MAX_DOCUMENTS = 2_000  # more would cost time and move limits by under 1 %
_RARE = 3  # occurrences from which on the bootstrap can be left to itself; redrawing more would forget their world
_EXACT = 1_000  # rows of windows that are drawn one by one; counts of larger ones are nearly normal


class Worlds:
    """Drift-free populations.

    Args:
        documents: `layout.matrix` of held-out rows, (documents, width).
        layout: of the matrix.
        distances: from the reference that windows will be compared with.
        rng: draws them.
    """

    def __init__(
        self, documents: NDArray[np.float32], layout: Layout, distances: Distances, rng: np.random.Generator
    ) -> None:
        self._documents = spread(documents)
        self._rng = rng
        count = len(self._documents)
        self._drawn = rng.integers(0, count, size=(WORLDS, count))  # documents of each world
        counted = [block for block in layout.blocks if block.kind in ("number", "class")]
        self._rare = [rare for block in counted for rare in self._rare_places(block.start, block.stop)]
        self._rates = [rng.beta(k + 0.5, count - k + 0.5, size=WORLDS) for _, _, k in self._rare]
        self._nearer = self._offsets(layout, distances)
        self._counted = np.zeros(layout.width, dtype=np.bool_)
        for block in counted:
            self._counted[block.place] = True

    def windows(self, worlds: slice, size: int) -> Floats:
        """Sums of STREAM windows of `size` rows in each of some worlds, (worlds, STREAM, width)."""
        drawn = self._drawn[worlds]
        counts = np.concatenate([self._counts(documents, size) for documents in drawn])
        sums: Floats = (counts @ self._documents).astype(np.float64).reshape(len(drawn), STREAM, -1)
        for (place, common, _), rates in zip(self._rare, self._rates, strict=True):
            found = self._rng.binomial(size, rates[worlds, None], size=sums.shape[:2])
            sums[..., common] = np.maximum(sums[..., common] + sums[..., place] - found, 0.0)
            sums[..., place] = found
        sums += size * self._nearer[worlds, None, :]
        np.maximum(sums, 0.0, out=sums, where=self._counted)
        return sums

    def _offsets(self, layout: Layout, distances: Distances) -> Floats:
        """What brings the mean of each world to where it belongs, per row, (WORLDS, width)."""
        count = len(self._documents)
        middle = self._documents.mean(axis=0, dtype=np.float64)  # (width,)
        drawn = np.stack([np.bincount(world, minlength=count) for world in self._drawn]).astype(np.float32)
        moved = (drawn @ self._documents).astype(np.float64) / count - middle  # (WORLDS, width)
        offsets: Floats = (np.sqrt(count / distances.rows) - 1.0) * moved
        around = distances.around(middle * count, np.full(layout.width, float(count)))
        chance = around.of(1.0, middle + moved).mean(axis=0)  # distances of samples as large as these documents
        found = distances.of(1.0, middle)
        for block, by_chance, here in zip(layout.blocks, chance, found, strict=True):
            place = block.place
            expected = by_chance * (1.0 + count / distances.rows[block.start])
            kept = np.sqrt(max(1.0 - expected / here, 0.0)) if here > 0 else 0.0
            offsets[:, place] += (kept - 1.0) * (middle[place] - distances.means[place])
        return offsets

    def _counts(self, world: NDArray[np.int64], size: int) -> NDArray[np.float32]:
        """How often each document is in each window of a world, (STREAM, documents)."""
        count = len(self._documents)
        if size <= _EXACT:
            places = world[self._rng.integers(0, count, size=(STREAM, size))]
            flat = (np.arange(STREAM)[:, None] * count + places).ravel()
            return np.bincount(flat, minlength=STREAM * count).reshape(STREAM, count).astype(np.float32)
        expected = (np.bincount(world, minlength=count) * (size / count)).astype(np.float32)
        # Normal numbers are ten times cheaper than multinomial ones; their sum is set to `size`.
        noise = self._rng.standard_normal((STREAM, count), dtype=np.float32) * np.sqrt(expected)
        noise -= noise.sum(axis=1, keepdims=True) * (expected / size)
        counts: NDArray[np.float32] = expected + noise
        return counts

    def _rare_places(self, start: int, stop: int) -> list[tuple[int, int, float]]:
        """Places of a block that few documents fall into: the place, that of most documents, how many.

        A bootstrap cannot draw what did not occur, so these are drawn anew: under Jeffreys' prior the rate of a kind
        seen in k of m documents is Beta(k + 1/2, m - k + 1/2).
        """
        seen = self._documents[:, start:stop].sum(axis=0)
        common = int(seen.argmax())
        return [(start + at, start + common, float(k)) for at, k in enumerate(seen) if k < _RARE and at != common]


def spread(documents: NDArray[np.float32]) -> NDArray[np.float32]:
    """All documents, or `MAX_DOCUMENTS` of them at even distances."""
    if len(documents) <= MAX_DOCUMENTS:
        return documents
    chosen: NDArray[np.float32] = documents[np.linspace(0, len(documents) - 1, MAX_DOCUMENTS).round().astype(int)]
    return chosen
