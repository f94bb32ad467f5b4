"""Closing a window: the alarm judges it, and what it finds is written down in the same transaction.

Before: `writer`, whose window is full or old enough; after: `alarm`, `detectors`, `appraisal`, `findings`, `alerts`.
"""

from dataclasses import dataclass

from sqlalchemy import Connection

from monitoring import alerts, detectors, findings, windows
from monitoring.alarm import Verdict
from monitoring.alerts import Alert
from monitoring.appraisal import Appraisal, appraise, findings_of
from monitoring.reference import Reference
from monitoring.windows import Window
from tidegate.settings import Settings

Raised = list[Alert]  # those that were opened, raised, reopened or resolved


@dataclass(frozen=True, slots=True)
class Closed:
    """What came of closing a window: what the alarm says, what is known of accuracy, and the alerts that changed."""

    verdict: Verdict
    appraisal: Appraisal | None
    raised: Raised


def close(connection: Connection, window: Window, reference: Reference, settings: Settings, now: float) -> Closed:
    """Judge a window and close it, within the caller's turn.

    Args:
        connection: in a transaction.
        window: with all its rows.
        reference: of its model version; one of another layout judges nothing.
        settings: how many false alarms may be, what is kept, how alerts live.
        now: Unix seconds.
    """
    key = (window.model, window.version)
    width = len(window.summary.sums)
    known = reference if reference.layout.width == width else Reference.blank()
    detector, closed_at = detectors.read(connection, key, width)
    seconds = window.ended_at - (window.started_at if closed_at is None else closed_at)
    detector, verdict = detector.observe(window.summary, max(seconds, 0.0), known, settings.false_alarm_days)
    windows.save(connection, window, verdict)
    detectors.write(connection, key, detector, window.ended_at)
    windows.trim(connection, window.model, settings.keep_windows)
    known_accuracy = appraise(connection, key, detector, known, now)
    if verdict.window.status == "insufficient" and not verdict.breaches:
        return Closed(verdict, known_accuracy, [])
    found = findings.of_verdict(connection, key, window.id, verdict)
    if known_accuracy is not None:
        found += findings_of(known_accuracy, key, window.id, settings.accuracy_drop)
    return Closed(verdict, known_accuracy, alerts.settle(connection, key, found, window.id, now, settings))
