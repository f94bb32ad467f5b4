"""The drift report: what `GET /models/{m}/drift`, `tidegate drift M` and the page at `/drift/M` say.

Read from the state database, where every window is scored as it closes, and from the bundle, whose reference says what
is usual and scores the open one. So it works beside a running server and without one.
Before: `standing`; after: serving, the command line, demos. Limits: an old bundle, or one that is gone, has no
reference, and its report no explanation.
"""

import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection, Engine

from monitoring import alerts, attribution, contracts, detectors, explanation, trends
from monitoring.alerts import Alert
from monitoring.appraisal import appraise
from monitoring.calibration import MIN_ROWS
from monitoring.reference import Reference, load_reference
from monitoring.standing import Standing, newest
from monitoring.summary import Summary
from monitoring.windows import Key
from monitoring.wording import advice, sentence
from tidegate.bundle import Bundle
from tidegate.bundle_store import BundleStore
from tidegate.errors import ItemNotFound, TidegateError

Document = dict[str, Any]


def drift_report(
    database: Engine, bundles: BundleStore, budget_days: float, key: Key, alert_id: int | None = None
) -> Document:
    """The report of a model version.

    `status`, `features` and `distributions` are those of the newest window that could be scored, or of the windows that
    raised an alert; `windows` are the last 20, oldest first; `alert` is true while an alert is not acknowledged, or
    while the newest closed window calls for one.

    Args:
        database: the state database.
        bundles: where the version's bundle is.
        budget_days: days in which one false alarm may be.
        key: model and version.
        alert_id: explain what raised this alert, with a classifier, which takes seconds the first time.

    Raises:
        ItemNotFound: no alert of that model version with that number.
    """
    bundle, reference, fault = _bundle(bundles, key)
    unresolved = [a for a in alerts.list_alerts(database, key[0]) if a.version == key[1] and a.state != "resolved"]
    asked = None if alert_id is None else _alert(database, key, alert_id)
    with database.connect() as connection:
        rows = newest(connection, key, reference, budget_days, trends.SHOWN_WINDOWS)
        scored = [row for row in rows if row.status != "insufficient"]
        alarm, periods = _alarm(connection, key, reference, budget_days, scored)
        detector, _ = detectors.read(connection, key, reference.layout.width)
        accuracy = appraise(connection, key, detector, reference, time.time())
        ids = list(asked.window_ids) if asked else [scored[-1].id] if scored else []
        window = trends.merged(connection, reference, ids) if ids else Summary.empty(reference.layout.width)
    drifted = [row for row in scored if row.status == "drift"]
    found = _explained(database, bundle, reference, asked, unresolved, drifted)
    report = {
        "model": key[0],
        "version": key[1],
        "status": scored[-1].status if scored else "insufficient",
        "alert": any(a.state == "open" for a in unresolved) or _called(scored),
        "detail": _detail(rows, scored, fault),
        "windows": [_window(row) for row in rows],
        "features": scored[-1].features if scored else [],
        "trends": trends.by_feature(scored),
        "alarm": alarm,
        "periods": periods,
        "distributions": [asdict(one) for one in attribution.distributions(reference, window)] if ids else [],
        "contracts": [asdict(breach) | {"message": breach.message} for breach in contracts.breaches(window, reference)],
        "accuracy": None if accuracy is None else accuracy.document(),
        "attribution": found,
        "alerts": [a.document() for a in unresolved],
    }
    return report | {"sentence": sentence(report), "advice": advice(report)}


def _bundle(bundles: BundleStore, key: Key) -> tuple[Bundle | None, Reference, str]:
    """The bundle and its reference, and what is wrong with it; what is in the database can be told all the same."""
    try:
        bundle = bundles.load(*key)
        return bundle, load_reference(bundle), ""
    except TidegateError as error:
        return None, Reference.blank(), str(error)


def _alert(database: Engine, key: Key, alert_id: int) -> Alert:
    found = alerts.find(database, alert_id)
    if (found.model, found.version) != key:
        raise ItemNotFound(f"alert {alert_id} is of {found.model}/{found.version}, not of {key[0]}/{key[1]}")
    return found


def _alarm(
    connection: Connection, key: Key, reference: Reference, budget_days: float, scored: Sequence[Standing]
) -> tuple[Document | None, dict[str, list[Document]]]:
    """The alarm's state, and hours and days under the same budget."""
    if not scored:
        return None, {"hour": [], "day": []}
    detector, _ = detectors.read(connection, key, reference.layout.width)
    alarm = {
        "false_alarm_days": budget_days,
        "causes": scored[-1].causes,
        "windows": trends.surprises(scored),
        "slow": trends.slow(connection, key, reference, budget_days) if reference.calibrated else [],
    }
    return alarm, trends.periods(connection, key, reference, detector.rate(budget_days))


def _explained(
    database: Engine,
    bundle: Bundle | None,
    reference: Reference,
    asked: Alert | None,
    unresolved: Sequence[Alert],
    drifted: Sequence[Standing],
) -> Document | None:
    """What explains the alert that is asked about, else the newest unresolved one, else the windows that drifted."""
    if bundle is None or not reference.known:
        return None
    subject = asked or next(iter(unresolved), None)
    if subject is not None and subject.window_ids:
        ids, features = list(subject.window_ids), [str(feature["name"]) for feature in subject.features]
        if subject.kind != "drift":  # what it names are contracts, or nothing
            with database.connect() as connection:
                features = trends.drifted_features(connection, ids)
    elif drifted:
        ids, features = [drifted[-1].id], [str(f["name"]) for f in drifted[-1].features if f["drifted"]]
    else:
        return None
    found = explanation.explain_windows(database, bundle, reference, ids, features)
    return found | {"classifier": explanation.classify(database, bundle, asked)} if asked else found


def _called(scored: Sequence[Standing]) -> bool:
    """Whether the newest closed window called for an alert, told or not."""
    closed = [row for row in scored if not row.open]
    return bool(closed and closed[-1].causes)


def _window(row: Standing) -> Document:
    """One window; `ratio` is its largest surprise over the limit, above 1 when it drifted."""
    return trends.place(row) | {
        "open": row.open,
        "status": row.status,
        "ratio": max(row.surprise, 0.0) / row.limit if row.limit else None,
        "worst": row.features[0]["name"] if row.features else None,
    }


def _detail(rows: Sequence[Standing], scored: Sequence[Standing], fault: str) -> str:
    """What was found in the newest window, or why nothing can be said."""
    if fault:
        return f"no window is scored: {fault}"
    if scored:
        drifted = [feature["name"] for feature in scored[-1].features if feature["drifted"]]
        return f"beyond threshold: {', '.join(drifted)}" if drifted else "every feature is within its threshold"
    if not rows:
        return f"no predictions yet; a window is scored from {MIN_ROWS} on"
    if rows[-1].rows < MIN_ROWS:
        return f"{rows[-1].rows} predictions so far; a window is scored from {MIN_ROWS} on"
    return "the bundle carries no calibration: it was exported with fewer than 50 evaluation rows"
