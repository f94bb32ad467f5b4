"""Closing a window: the alarm judges it, and what it finds is written down in the same transaction.

Before: `writer`, whose window is full or old enough; after: `alarm`, `detectors`, `findings`, `alerts`.
"""

from sqlalchemy import Connection

from monitoring import alerts, detectors, findings, windows
from monitoring.alarm import Verdict
from monitoring.alerts import Alert
from monitoring.reference import Reference
from monitoring.windows import Window
from tidegate.settings import Settings

Raised = list[Alert]  # those that were opened, raised, reopened or resolved


def close(
    connection: Connection, window: Window, reference: Reference, settings: Settings, now: float
) -> tuple[Verdict, Raised]:
    """Judge a window and close it, within the caller's turn.

    Args:
        connection: in a transaction.
        window: with all its rows.
        reference: of its model version; one of another layout judges nothing.
        settings: how many false alarms may be, what is kept, how alerts live.
        now: Unix seconds.

    Returns:
        What was found, and the alerts that changed.
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
    if verdict.window.status == "insufficient" and not verdict.breaches:
        return verdict, []
    found = findings.of_verdict(connection, key, window.id, verdict)
    return verdict, alerts.settle(connection, key, found, window.id, now, settings)
