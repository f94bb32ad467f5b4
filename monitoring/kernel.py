"""The kernel: what an embedding adds to a window's sums, so that means of windows can be compared, not all pairs.

Random Fourier features turn a Gaussian kernel into a dot product: the squared distance of two mean feature vectors is
the squared maximum mean discrepancy of the two sets of embeddings, and means of merged windows are sums over counts.
So the test that would need all pairs of texts needs 256 numbers a window. Before: `features`; after: `layout`.
Limits: nothing but one scale is learned from the reference. Principal components were tried and make it wrong: the rows
that they are fitted to look more spread along them than any others, which in large windows is taken for drift.
Sources: Gretton et al. 2012 (MMD, median heuristic); Rahimi & Recht 2007 (random features).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

FREQUENCIES = 128
_MEDIAN_ROWS = 500  # their 125,000 pairs settle the median to under 1 %


@dataclass(frozen=True, slots=True)
class Kernel:
    """A feature map; `frequencies` are float32 (dimensions, FREQUENCIES)."""

    frequencies: NDArray[np.float32]

    @classmethod
    def fit(cls, embedding: NDArray[np.float32], seed: int) -> Self:
        """For a kernel as wide as the median distance of reference embeddings, (rows, dimensions), one row or more."""
        rng = np.random.default_rng(seed)
        sample = embedding[rng.permutation(len(embedding))[:_MEDIAN_ROWS]].astype(np.float64)
        frequencies = rng.standard_normal((embedding.shape[1], FREQUENCIES)) / (_median_distance(sample) or 1.0)
        return cls(frequencies.astype(np.float32))

    @classmethod
    def load(cls, arrays: Mapping[str, NDArray[Any]]) -> Self | None:
        """From what `arrays` made; None where the reference has no embeddings."""
        return cls(arrays["frequencies"]) if "frequencies" in arrays else None

    def arrays(self) -> dict[str, NDArray[np.float32]]:
        """The parameters by name."""
        return {"frequencies": self.frequencies}

    @property
    def dimensions(self) -> int:
        """Of the embeddings."""
        return len(self.frequencies)

    @property
    def width(self) -> int:
        """Features a text has."""
        return 2 * int(self.frequencies.shape[1])

    def features(self, embedding: NDArray[np.float32]) -> NDArray[np.float32]:
        """Feature vectors of length 1, (rows, width); a core is kept busy for 1 us a row of 384 dimensions."""
        angles = embedding @ self.frequencies  # (rows, FREQUENCIES)
        both: NDArray[np.float32] = np.concatenate([np.cos(angles), np.sin(angles)], axis=1)
        both *= np.float32(1.0 / np.sqrt(self.frequencies.shape[1]))
        return both


def _median_distance(points: NDArray[np.float64]) -> float:
    squares = (points**2).sum(axis=1)
    between = np.maximum(squares[:, None] + squares[None, :] - 2.0 * points @ points.T, 0.0)
    return float(np.sqrt(np.median(between[np.triu_indices(len(points), 1)]))) if len(points) > 1 else 0.0
