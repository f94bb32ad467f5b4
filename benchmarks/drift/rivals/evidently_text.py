"""Evidently's text drift: a classifier of words tells reference from window; drift is an AUC beyond its default.

The library's own function, as its report calls it; the report around it (rendering, 40 times dearer) is left out.
Reference: the training texts, more than 1,000 of them, for which the default is AUC > 0.55.
"""

import warnings

import pandas as pd

from benchmarks.drift.rivals.child import Rows, Watch, main


def fit(training: Rows, reference: Rows) -> Watch:
    """Watch against the training texts."""
    del reference
    from evidently.legacy.utils.data_drift_utils import calculate_text_drift_score

    warnings.simplefilter("ignore")
    known = pd.Series(training.texts)

    def watch(window: Rows) -> tuple[float, bool]:
        score, drifted = calculate_text_drift_score(known, pd.Series(window.texts), bootstrap=False)
        return float(score), bool(drifted)

    return watch


if __name__ == "__main__":
    main(fit)
