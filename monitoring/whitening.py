"""Whitening: weights that let a small change be seen in those directions in which texts hardly differ.

The mean embedding of a window wanders along a few directions (topics) and hardly along the others, yet all count alike
in the plain discrepancy, so its noise is that of the few. Divided by the root of a regularised covariance every
direction says something. Fitted to the reference's rows themselves, which then look nearer to their mean than any
others do; so calibration sees each row as weights that were fitted without it would show it (cross-fitting).
Before: `kernel`; after: `layout`, which weights distances, and `calibration`.
Sources: Harchaoui et al. 2008 (kernel Fisher discriminant test); Chernozhukov et al. 2018 (cross-fitting).
"""

import numpy as np
from numpy.typing import NDArray

from monitoring.layout import Floats

# Ridge in units of the mean variance. On the benches' cases 0.3 to 3 see the same; more is the plain discrepancy.
_RIDGE = 1.0
_PARTS = 5


def fit(rows: NDArray[np.float32]) -> Floats:
    """A symmetric matrix, (width, width), that leaves a direction of mean variance as it is.

    Args:
        rows: what reference rows add to a window's sums, (rows, width), two rows or more.
    """
    variances, directions = np.linalg.eigh(np.cov(rows.astype(np.float64).T))
    mean = max(float(variances.mean()), 1e-12)
    scaled = (np.maximum(variances, 0.0) / mean + _RIDGE) / (1.0 + _RIDGE)
    root: Floats = ((directions / np.sqrt(scaled)) @ directions.T).astype(np.float64)
    return root


def crossed(rows: NDArray[np.float32], whitening: Floats) -> NDArray[np.float32]:
    """The rows, moved so that `whitening` shows each as one that was fitted without it would; of the same mean."""
    middle = rows.mean(axis=0, dtype=np.float64)
    part = np.arange(len(rows)) % _PARTS
    moved: Floats = np.empty(rows.shape)
    for one in range(_PARTS):
        moved[part == one] = (rows[part == one] - middle) @ fit(rows[part != one])
    back = np.linalg.solve(whitening, moved.T).T
    found: NDArray[np.float32] = (back - back.mean(axis=0) + middle).astype(np.float32)
    return found
