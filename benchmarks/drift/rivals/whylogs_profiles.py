"""whylogs' drift scores of profiles: its default test of each column, drift where any column says DRIFT.

Reference: a profile of the evaluation rows; window: a profile of its rows; both of our derived columns and the label.
"""

import os
import warnings

os.environ["WHYLOGS_NO_ANALYTICS"] = "true"

import pandas as pd

from benchmarks.drift.rivals.child import Rows, Watch, main, surprise


def fit(training: Rows, reference: Rows) -> Watch:
    """Watch against the evaluation rows."""
    del training
    import whylogs
    from whylogs.viz.drift.column_drift_algorithms import calculate_drift_scores

    warnings.simplefilter("ignore")
    known = whylogs.log(_frame(reference)).view()

    def watch(window: Rows) -> tuple[float, bool]:
        view = whylogs.log(_frame(window)).view()
        scores = [score for score in calculate_drift_scores(view, known, with_thresholds=True).values() if score]
        smallest = min(score["pvalue"] for score in scores)
        return surprise(smallest), any(score["drift_category"] == "DRIFT" for score in scores)

    return watch


def _frame(rows: Rows) -> pd.DataFrame:
    return pd.DataFrame({**rows.columns, "label": rows.labels})


if __name__ == "__main__":
    main(fit)
