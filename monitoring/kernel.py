"""The kernel: what an embedding adds to a window's sums, so that means of windows can be compared, not all pairs.

Random Fourier features turn a Gaussian kernel into a dot product: the squared distance of two mean feature vectors is
the squared maximum mean discrepancy of the two sets of embeddings, and means of merged windows are sums over counts.
So the test that would need all pairs of texts needs 256 numbers a window. Before: `features`; after: `layout`.
Limits: embeddings are cut to their 32 largest principal components in the reference, where a text takes 2 us.
Sources: Gretton et al. 2012 (MMD, median heuristic); Rahimi & Recht 2007 (random features).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

COMPONENTS = 32
FREQUENCIES = 128
_MEDIAN_ROWS = 500  # their 125,000 pairs settle the median to under 1 %


@dataclass(frozen=True, slots=True)
class Kernel:
    """A fitted feature map.

    Attributes:
        center: mean embedding of the reference, float32 (dimensions,).
        components: to coordinates in which the median distance of two reference texts is 1, float32 (dimensions, k).
        frequencies: float32 (k, FREQUENCIES).
    """

    center: NDArray[np.float32]
    components: NDArray[np.float32]
    frequencies: NDArray[np.float32]

    @classmethod
    def fit(cls, embedding: NDArray[np.float32], seed: int) -> Self:
        """Learn center, components and scale from reference embeddings, (rows, dimensions), two rows or more."""
        rng = np.random.default_rng(seed)
        center = embedding.mean(axis=0)
        around = (embedding - center).astype(np.float64)
        components = np.linalg.eigh(around.T @ around)[1][:, ::-1][:, :COMPONENTS]  # (dimensions, k), largest first
        sample = around[rng.permutation(len(embedding))[:_MEDIAN_ROWS]] @ components
        scale = _median_distance(sample) or 1.0
        frequencies = rng.standard_normal((components.shape[1], FREQUENCIES))
        return cls(center, (components / scale).astype(np.float32), frequencies.astype(np.float32))

    @classmethod
    def load(cls, arrays: Mapping[str, NDArray[Any]]) -> Self | None:
        """From what `arrays` made; None where the reference has no embeddings."""
        return cls(*(arrays[name] for name in cls.__slots__)) if "frequencies" in arrays else None

    def arrays(self) -> dict[str, NDArray[np.float32]]:
        """The parameters by name."""
        return {name: getattr(self, name) for name in self.__slots__}

    @property
    def width(self) -> int:
        """Features a text has."""
        return 2 * int(self.frequencies.shape[1])

    def features(self, embedding: NDArray[np.float32]) -> NDArray[np.float32]:
        """Feature vectors of length 1, (rows, width)."""
        angles = ((embedding - self.center) @ self.components) @ self.frequencies  # (rows, FREQUENCIES)
        both: NDArray[np.float32] = np.concatenate([np.cos(angles), np.sin(angles)], axis=1)
        both *= np.float32(1.0 / np.sqrt(self.frequencies.shape[1]))
        return both


def _median_distance(points: NDArray[np.float64]) -> float:
    squares = (points**2).sum(axis=1)
    between = np.maximum(squares[:, None] + squares[None, :] - 2.0 * points @ points.T, 0.0)
    return float(np.sqrt(np.median(between[np.triu_indices(len(points), 1)]))) if len(points) > 1 else 0.0
