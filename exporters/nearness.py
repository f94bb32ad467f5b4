"""The gate for embeddings: how near a variant's vectors are to the source model's, and whether neighbours stay.

Used by `verify.compare` where a bundle has no labels. Three things are measured on the evaluation texts: cosine
similarity to the source's vectors, the nearest other text by each of the two, and what company in a batch moves.
Limits: all pairs at once, 2,000 texts at most (`texts.MAX_ROWS`). Bounds: docs/explanation/embeddings.md has why.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float64]  # (texts, dim)

# What float32 may lose is rounding; int8, bf16 and fp16 are held to what keeps a ranking.
WORST_COSINE_FP32 = 0.9999
MEAN_COSINE_REDUCED = 0.98
WORST_COSINE_REDUCED = 0.9
MIN_NEIGHBOURS = 0.95
# A neighbour that the source model itself puts this close to its first is as good.
TIE = 0.005


@dataclass(frozen=True, slots=True)
class Nearness:
    """Vectors held against those of the source model.

    Attributes:
        mean_cosine, worst_cosine: to the source's vectors, over texts and ways of batching.
        neighbours: share of texts whose nearest other text is the source's.
        moved: texts that have another nearest text in a batch than alone.
        batch_distance: largest cosine distance between a text's vector in a batch and alone.
    """

    mean_cosine: float
    worst_cosine: float
    neighbours: float
    moved: int
    batch_distance: float


def measure(single: Vectors, batched: Sequence[Vectors], source: Vectors) -> Nearness:
    """Measure vectors of one text a run, and the same in batches (none for what is served one text a run)."""
    alone, exact = _unit(single), _unit(source)
    together = [_unit(vectors) for vectors in batched]
    cosines = np.stack([_cosines(vectors, exact) for vectors in (alone, *together)])  # (ways, texts)
    return Nearness(
        mean_cosine=float(cosines.mean(axis=1).min()),
        worst_cosine=float(cosines.min()),
        neighbours=min(float(_same_neighbour(vectors, exact).mean()) for vectors in (alone, *together)),
        moved=max((int((~_same_neighbour(vectors, alone)).sum()) for vectors in together), default=0),
        batch_distance=max((float(1 - _cosines(vectors, alone).min()) for vectors in together), default=0.0),
    )


def faults(found: Nearness, min_neighbours: float, *, reduced: bool) -> Iterator[str]:
    """What a variant is refused for; company in a batch is judged by `verify`.

    Args:
        found: from `measure`.
        min_neighbours: share of texts, in [0, 1].
        reduced: its precision is less than float32.
    """
    worst = WORST_COSINE_REDUCED if reduced else WORST_COSINE_FP32
    if found.worst_cosine < worst:
        yield f"has a vector with a cosine of {found.worst_cosine:.4f} to the source model's, less than {worst}"
    if reduced and found.mean_cosine < MEAN_COSINE_REDUCED:
        yield f"has a mean cosine of {found.mean_cosine:.4f} to the source model, less than {MEAN_COSINE_REDUCED}"
    if found.neighbours < min_neighbours:
        yield f"finds the source model's nearest text for {found.neighbours:.2%}, less than {min_neighbours:.0%}"


def _unit(vectors: Vectors) -> Vectors:
    unit: Vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    return unit


def _cosines(one: Vectors, other: Vectors) -> Vectors:
    """Row by row, (texts,)."""
    cosines: Vectors = np.clip((one * other).sum(axis=1), -1.0, 1.0)
    return cosines


def _same_neighbour(vectors: Vectors, exact: Vectors) -> NDArray[np.bool_]:
    """Whether each text's nearest other text is the nearest by `exact`, or as good as that; (texts,)."""
    count = len(vectors)
    if count < 2:
        return np.ones(count, dtype=np.bool_)
    here, there = vectors @ vectors.T, exact @ exact.T  # (texts, texts)
    np.fill_diagonal(here, -np.inf)
    np.fill_diagonal(there, -np.inf)
    found = there[np.arange(count), here.argmax(axis=1)]
    same: NDArray[np.bool_] = found >= there.max(axis=1) - TIE
    return same
