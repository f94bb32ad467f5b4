"""Two-sample Kolmogorov-Smirnov tests on the model's softmax, with Bonferroni: what "Failing Loudly" found best.

Reference: the evaluation rows. The top probability is tested beside the probability of each class.
Source: Rabanser et al. 2019, "Failing Loudly"; Lipton et al. 2018 (black-box shift detection).
"""

import numpy as np

from benchmarks.drift.rivals.child import Rows, Watch, main, surprise

_LEVEL = 0.05


def fit(training: Rows, reference: Rows) -> Watch:
    """Watch against the evaluation rows."""
    del training
    from scipy.stats import ks_2samp

    known = _columns(reference)

    def watch(window: Rows) -> tuple[float, bool]:
        found = [ks_2samp(a, b, method="asymp").pvalue for a, b in zip(known, _columns(window))]  # noqa: B905
        smallest = min(1.0, min(found) * len(found))
        return surprise(smallest), smallest < _LEVEL

    return watch


def _columns(rows: Rows) -> "list[np.ndarray]":
    return [rows.scores.max(axis=1), *rows.scores.T]


if __name__ == "__main__":
    main(fit)
