"""What a drift report says in plain words: one sentence of what happened, and what to do about it.

Pure functions over the report's document. Before: `report`; after: people, who may read no further.
"""

from collections.abc import Mapping
from typing import Any

from monitoring.calibration import MIN_ROWS

_NAMED = 3

_ADVICE = {
    "prior": "The mix of classes moved and little else: check that the world did, then the model may well be right.",
    "covariate": "The inputs changed: read the examples, label what waits on the relabel queue, and train again.",
    "both": "Mix of classes and inputs changed: read the examples and label what waits on the relabel queue.",
    "unclear": "Read the examples; labels of what waits on the relabel queue tell whether the model still holds.",
}


def sentence(report: Mapping[str, Any]) -> str:
    """What happened."""
    if report["status"] == "insufficient":
        return f"Nothing can be said yet: {report['detail']}."
    last = report["windows"][-1]
    if last["status"] == "insufficient" and last["rows"] >= MIN_ROWS:  # earlier ones were scored with another bundle
        return f"Nothing can be said of the newest predictions: {report['detail']}."
    newest = next(window for window in reversed(report["windows"]) if window["status"] != "insufficient")
    rows = f"{newest['rows']:,} predictions"
    if report["status"] == "ok" and not report["alert"]:
        return f"The newest {rows} look like what this model was made for."
    if report["status"] == "ok":
        return f"The newest {rows} look as usual again; an alert or a drift shortly before is still open."
    names = [feature["name"].replace("_", " ") for feature in report["features"] if feature["drifted"]]
    most = f", most of all in {_and(names[:_NAMED])}" if names else ""
    found = f"The newest {rows} differ from what this model was made for{most}"
    return f"{found}." if report["alert"] else f"{found}; one window alone is no alarm yet."


def advice(report: Mapping[str, Any]) -> str:
    """What to do; nothing where there is nothing to be done."""
    if not report["attribution"]:
        return ""
    return _ADVICE[report["attribution"]["shift"]["verdict"]]


def _and(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
