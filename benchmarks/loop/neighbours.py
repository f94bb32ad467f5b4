"""Neighbours: rows moved towards what is like them in the pool, so that texts without labels teach a classifier too.

Each row, of the pool or of the test split, becomes `unit(row + unit(mean of its nearest rows of the pool))`, the mean
weighted by cosine similarity: one step of smoothing over the graph of neighbours. A classifier that is linear in such
rows is one that also asks a text's neighbours, and needs fewer labels, chosen or not. No label is looked at.
Before: `pools`; after: `labels_needed`. Limits: the product serves no such model, which would need the pool at hand.
Sources: Wu et al. 2019, "Simplifying graph convolutional networks"; Zhu et al. 2003 (labels over a graph).
"""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from benchmarks.loop.pools import Pool

NEIGHBOURS = 30


def smoothed(pool: Pool) -> Pool:
    """The same pool, as a classifier reads it that asks neighbours; what the policy sees stays as it is."""
    return replace(
        pool,
        rows=_towards_neighbours(pool.rows, pool.rows, own=True),
        test_rows=_towards_neighbours(pool.test_rows, pool.rows, own=False),
    )


def _towards_neighbours(rows: Any, among: Any, own: bool) -> Any:
    """Rows, (rows, columns), sparse or not, moved half way; `own`: they are `among` itself, and no neighbours of it."""
    likeness = _dense(rows @ among.T)
    if own:
        np.fill_diagonal(likeness, -np.inf)
    size = min(NEIGHBOURS, len(likeness[0]) - own)
    nearest = np.argpartition(-likeness, size - 1, axis=1)[:, :size]
    weights = np.take_along_axis(likeness, nearest, axis=1).clip(0.0)
    starts = np.arange(0, weights.size + 1, size)
    graph = sparse.csr_matrix((weights.ravel(), nearest.ravel(), starts), shape=likeness.shape)
    return _unit(rows + _unit(graph @ among))


def _unit(rows: Any) -> Any:
    """Rows of length 1; those of nothing but zeros stay."""
    if sparse.issparse(rows):
        lengths = np.sqrt(np.asarray(rows.multiply(rows).sum(axis=1)).ravel())
        return sparse.csr_matrix(sparse.diags_array(1.0 / np.where(lengths > 0.0, lengths, 1.0)) @ rows)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(lengths > 0.0, lengths, 1.0)


def _dense(products: Any) -> NDArray[np.float64]:
    table: NDArray[np.float64] = (products.toarray() if sparse.issparse(products) else products).astype(np.float64)
    return table
