"""The drift report: what `GET /models/{m}/drift` and `tidegate drift M` answer, read from the state database.

Before: `writer`, which scores every window as it is written, the open one too; so reading needs neither
whylogs nor the bundle, and works beside a running server and without one.
"""

from typing import Any

from sqlalchemy import Connection, Engine, Row, select

from monitoring import alerts
from monitoring.alarm import CONFIRM_DRIFTED, CONFIRM_WINDOWS
from monitoring.calibration import MIN_ROWS
from monitoring.windows import Key
from tidegate.store import windows as table

SHOWN_WINDOWS = 20


def drift_report(database: Engine, model: str, version: int) -> dict[str, Any]:
    """The report of design §5.

    `status` and `features` are those of the newest window that could be scored; `windows` are the last 20,
    oldest first; `alert` is true while an alert is not acknowledged, or two of the last three windows drifted.
    """
    key = (model, version)
    with database.connect() as connection:
        rows = _newest(connection, key)
        open_alert = alerts.is_open(connection, key)
    scored = [row for row in rows if row.status != "insufficient"]
    closed = [row.status for row in scored if not row.open]
    return {
        "model": model,
        "version": version,
        "status": scored[-1].status if scored else "insufficient",
        "alert": open_alert or closed[-CONFIRM_WINDOWS:].count("drift") >= CONFIRM_DRIFTED,
        "detail": _detail(rows, scored),
        "windows": [_document(row) for row in rows],
        "features": scored[-1].features if scored else [],
    }


def _newest(connection: Connection, key: Key) -> list[Row[Any]]:
    rows = connection.execute(
        select(table)
        .where(table.c.model == key[0], table.c.version == key[1])
        .order_by(table.c.id.desc())
        .limit(SHOWN_WINDOWS)
    ).all()
    return list(reversed(rows))


def _document(row: Row[Any]) -> dict[str, Any]:
    """One window; `ratio` is its worst score over threshold, above 1 when it drifted."""
    worst = row.features[0] if row.features else None
    return {
        "id": row.id,
        "started_at": row.started_at,
        "ended_at": row.ended_at,
        "rows": row.rows,
        "open": row.open,
        "status": row.status,
        "ratio": row.surprise / row.limit if row.limit else None,
        "worst": worst["name"] if worst else None,
    }


def _detail(rows: list[Row[Any]], scored: list[Row[Any]]) -> str:
    """One sentence for people: what was found, or why nothing can be said."""
    if scored:
        drifted = [feature["name"] for feature in scored[-1].features if feature["drifted"]]
        return f"beyond threshold: {', '.join(drifted)}" if drifted else "every feature is within its threshold"
    if not rows:
        return f"no predictions yet; a window is scored from {MIN_ROWS} on"
    if rows[-1].rows < MIN_ROWS:
        return f"{rows[-1].rows} predictions so far; a window is scored from {MIN_ROWS} on"
    return "the bundle carries no calibration: it was exported with fewer than 50 evaluation rows"
