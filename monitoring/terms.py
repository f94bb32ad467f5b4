"""Terms: a fixed random projection of sparse TF-IDF rows, so that bags of words have an embedding as well.

Each term has 64 signs, the bits of a hash of its column, so that nothing is stored and every process agrees; a row's
embedding is the sum of its terms' signs by their weights. Distances are kept up to some 10 % (Johnson-Lindenstrauss
with signs). Before: `features`; after: `kernel`.
Sources: Achlioptas 2003, "Database-friendly random projections"; the mixer of SplitMix64 (Steele et al. 2014).
"""

from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

DIMENSIONS = 64

_LEAST_BITS, _MOST_COLUMNS = 12, 1 << 16  # tables of 1 to 16 MB; beyond (hashed vocabularies) signs are computed anew
_ONE_CORE = 128  # terms at a time: from 9,216 multiplications on OpenBLAS takes every core (interface/gemv.c)

_GOLDEN, _MIX_1, _MIX_2 = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)


def project(rows: Sequence[tuple[NDArray[np.int64], NDArray[np.float32]]]) -> NDArray[np.float32]:
    """Embeddings of sparse rows, float32 (rows, 64).

    Args:
        rows: columns and weights of each row's terms, both (terms,), one term or more.
    """
    largest = max(int(columns.max()) for columns, _ in rows)
    signs = _table(max(largest.bit_length(), _LEAST_BITS)) if largest < _MOST_COLUMNS else None
    # A row at a time stays in the cache of the core.
    return np.array([_embedded(columns, weights, signs) for columns, weights in rows], dtype=np.float32)


def _embedded(
    columns: NDArray[np.int64], weights: NDArray[np.float32], signs: NDArray[np.float32] | None
) -> NDArray[np.float32]:
    """The signs of one row's terms by their weights, (64,)."""
    if len(columns) > _ONE_CORE:
        half = len(columns) // 2
        return _embedded(columns[:half], weights[:half], signs) + _embedded(columns[half:], weights[half:], signs)
    found = _signs(columns) if signs is None else signs.take(columns, axis=0)  # (terms, 64)
    embedding: NDArray[np.float32] = np.dot(weights, found)
    return embedding


@cache
def _table(bits: int) -> NDArray[np.float32]:
    """The signs of the first 2**bits columns, so that they are hashed once."""
    return _signs(np.arange(1 << bits))


def _signs(columns: NDArray[np.int64]) -> NDArray[np.float32]:
    """-1 or 1 for each bit of the columns' hashes, (columns, 64)."""
    bits = np.unpackbits(mixed(columns).view(np.uint8).reshape(-1, 8), axis=1)
    signs: NDArray[np.float32] = bits.astype(np.float32) * np.float32(2.0) - np.float32(1.0)
    return signs


def mixed(values: NDArray[np.int64]) -> NDArray[np.uint64]:
    """A hash of each value, 64 bits, the same everywhere."""
    x = (values.astype(np.uint64) + np.uint64(1)) * _GOLDEN
    x = (x ^ (x >> np.uint64(30))) * _MIX_1
    x = (x ^ (x >> np.uint64(27))) * _MIX_2
    return x ^ (x >> np.uint64(31))
