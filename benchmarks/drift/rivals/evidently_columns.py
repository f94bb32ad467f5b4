"""Evidently's data drift on our descriptors: its default test of each column, drift where half of them drifted.

Its statistic here is the smallest p-value, which sees more than the share of drifted columns does. Reference: the
evaluation rows. Tests and defaults are the library's (Kolmogorov-Smirnov, chi-square or z-test at
0.05 up to 1,000 reference rows); the report around them is left out.
"""

import warnings

import pandas as pd

from benchmarks.drift.rivals.child import Rows, Watch, main, surprise

_DRIFT_SHARE = 0.5  # DataDriftPreset's default


def fit(training: Rows, reference: Rows) -> Watch:
    """Watch against the evaluation rows."""
    del training
    from evidently.legacy.calculations.stattests import get_stattest
    from evidently.legacy.core import ColumnType

    warnings.simplefilter("ignore")
    known = _frame(reference)
    kinds = {name: ColumnType.Categorical if name == "label" else ColumnType.Numerical for name in known.columns}

    def watch(window: Rows) -> tuple[float, bool]:
        frame = _frame(window)
        found = []
        for name, kind in kinds.items():
            test = get_stattest(known[name], frame[name], kind, None)
            result = test(known[name], frame[name], kind, None)
            found.append((result.drift_score, result.drifted))
        share = sum(drifted for _, drifted in found) / len(found)
        return surprise(min(p for p, _ in found)), share >= _DRIFT_SHARE

    return watch


def _frame(rows: Rows) -> pd.DataFrame:
    return pd.DataFrame({**rows.columns, "label": rows.labels})


if __name__ == "__main__":
    main(fit)
