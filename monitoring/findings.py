"""Findings: what the windows of one model version say now, one of a kind. A finding is a judgement, not yet news.

Before: `alarm`, whose verdict on a closed window is put into words; after: `alerts.settle`, which knows what people
have already been told. Drift alone is worth a ticket; a broken contract or a loss of estimated accuracy is worth a
page, and whoever makes the finding says so. Limits: names and numbers of features, never a whole text.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from sqlalchemy import Connection

from monitoring import windows
from monitoring.alarm import CONFIRM_WINDOWS, Verdict
from monitoring.windows import Key

Kind = Literal["drift", "contract", "accuracy"]
Severity = Literal["ticket", "page"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong with a model version.

    Attributes:
        kind: what sort of fault; one alert of a kind is open at a time.
        severity: ticket: look at it in working hours; page: look at it now.
        message: one line for people.
        features: those at fault, worst first: name, score, threshold.
        window_ids: the windows that show it, furthest from the reference first.
        detail: more for programs, as JSON takes it.
    """

    kind: Kind
    severity: Severity
    message: str
    features: list[dict[str, Any]]
    window_ids: list[int]
    detail: dict[str, Any] = field(default_factory=dict)


def of_verdict(connection: Connection, key: Key, window_id: int, verdict: Verdict) -> list[Finding]:
    """What a verdict finds, once the window that it is of has been closed in this transaction."""
    found = [_drift(connection, key, window_id, verdict)] if verdict.alarm else []
    return found + ([_contract(key, window_id, verdict)] if verdict.breaches else [])


def describe(key: Key, what: str, features: Sequence[Mapping[str, Any]]) -> str:
    """One line that names the model, the features and by how much."""
    shown = ", ".join(f"{f['name']} {f['score']:.2f} (threshold {f['threshold']:.2f})" for f in features[:5])
    more = f" and {len(features) - 5} more" if len(features) > 5 else ""
    return f"{key[0]}/{key[1]}: {what}: {shown}{more}" if features else f"{key[0]}/{key[1]}: {what}"


def _drift(connection: Connection, key: Key, window_id: int, verdict: Verdict) -> Finding:
    last = windows.last_closed(connection, key)
    drifted = sorted((row for row in last if row.status == "drift"), key=lambda row: row.surprise, reverse=True)
    if "window" in verdict.causes:
        # A window that is back to normal confirms the two before it, and has nothing of its own to show.
        features: list[dict[str, Any]] = next((row.features for row in reversed(last) if row.status == "drift"), [])
        what = f"inputs drifted in {len(drifted)} of the last {CONFIRM_WINDOWS} windows"
    elif "recent" in verdict.causes:
        features, what = verdict.recent.document(), "inputs have drifted far"
    elif verdict.window.status == "drift":  # so strange that it moves the slow window, before a second one confirms
        features, what = verdict.window.document(), "inputs drifted in the newest window, and over the latest together"
    else:
        features, what = verdict.slow.document(), "inputs have drifted slowly"
    shown = [
        {name: feature[name] for name in ("name", "score", "threshold")} for feature in features if feature["drifted"]
    ]
    ids = [row.id for row in drifted] or [window_id]
    return Finding("drift", "ticket", describe(key, what, shown), shown, ids, {"causes": list(verdict.causes)})


def _contract(key: Key, window_id: int, verdict: Verdict) -> Finding:
    worst = sorted(verdict.breaches, key=lambda breach: breach.share - breach.bound, reverse=True)
    message = f"{key[0]}/{key[1]}: inputs break what was expected: {'; '.join(breach.message for breach in worst)}"
    features = [{"name": breach.name, "score": breach.share, "threshold": breach.bound} for breach in worst]
    return Finding("contract", "page", message, features, [window_id], {"breaches": [asdict(each) for each in worst]})
