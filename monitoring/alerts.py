"""Alerts: two of a model's last three windows drifted. One stays open per model version until acknowledged.

Before: `writer`, when a window closes; after: log, Prometheus, `webhook`, `selection`, `tidegate alerts`.
After an acknowledgement only windows begun since then count, so that an alert is not raised again by the
windows that raised it: a drift that goes on is reported again after two more windows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Connection, Engine, Row, func, insert, select, update

from monitoring import windows
from monitoring.alarm import CONFIRM_DRIFTED, CONFIRM_WINDOWS, Verdict
from monitoring.windows import Key
from tidegate.errors import ItemNotFound
from tidegate.store import alerts as table


@dataclass(frozen=True, slots=True)
class Alert:
    """A stored alert; `features` are those beyond their threshold, worst first: name, score, threshold."""

    id: int
    model: str
    version: int
    window_id: int
    opened_at: float
    acknowledged_at: float | None
    message: str
    features: list[dict[str, Any]]

    def document(self, queued: int) -> dict[str, Any]:
        """What the webhook gets; `text` is what chat services show."""
        return {"event": "drift_alert", "text": self.message, "relabel_items_queued": queued} | asdict(self)


def open_if_due(connection: Connection, key: Key, at: float, verdict: Verdict) -> tuple[Alert, list[int]] | None:
    """Open an alert when the last windows call for one and none is open.

    Returns:
        The alert and the ids of the windows that drifted, furthest from the reference first, or None.
    """
    if is_open(connection, key) or not verdict.causes:
        return None
    rows = windows.last_closed(connection, key, since=_acknowledged_at(connection, key))
    if "window" in verdict.causes and sum(row.status == "drift" for row in rows) < CONFIRM_DRIFTED:
        return None
    drifted = [row for row in rows if row.status == "drift"] or rows[-1:]
    alert = _insert(connection, key, drifted[-1], len(drifted), at)
    return alert, [row.id for row in sorted(drifted, key=_distance, reverse=True)]


def _distance(window: Row[Any]) -> float:
    """How many times its threshold a window's worst feature is away from the reference."""
    return float(window.surprise)


def is_open(connection: Connection, key: Key) -> bool:
    """Whether the version has an alert that nobody has acknowledged."""
    return bool(connection.scalar(select(func.count()).select_from(table).where(*_of(key), _unseen())))


def list_alerts(database: Engine) -> list[Alert]:
    """Every alert, newest first."""
    with database.connect() as connection:
        return [_alert(row) for row in connection.execute(select(table).order_by(table.c.id.desc()))]


def acknowledge(database: Engine, alert_id: int, at: float) -> Alert:
    """Mark an alert as seen; a second time changes nothing.

    Raises:
        ItemNotFound: no alert with that id.
    """
    with database.begin() as connection:
        connection.execute(update(table).where(table.c.id == alert_id, _unseen()).values(acknowledged_at=at))
        row = connection.execute(select(table).where(table.c.id == alert_id)).one_or_none()
    if row is None:
        raise ItemNotFound(f"no alert {alert_id}; `tidegate alerts list` shows those there are")
    return _alert(row)


def describe(key: Key, features: Sequence[Mapping[str, Any]], drifted: int) -> str:
    """One line that names the model, the features and by how much."""
    shown = ", ".join(f"{f['name']} {f['score']:.2f} (threshold {f['threshold']:.2f})" for f in features[:5])
    more = f" and {len(features) - 5} more" if len(features) > 5 else ""
    return f"{key[0]}/{key[1]}: inputs drifted in {drifted} of the last {CONFIRM_WINDOWS} windows: {shown}{more}"


def _insert(connection: Connection, key: Key, window: Row[Any], drifted: int, at: float) -> Alert:
    features = [
        {name: feature[name] for name in ("name", "score", "threshold")}
        for feature in window.features
        if feature["drifted"]
    ]
    values = {
        "model": key[0],
        "version": key[1],
        "window_id": window.id,
        "opened_at": at,
        "message": describe(key, features, drifted),
        "features": features,
    }
    result: Any = connection.execute(insert(table).values(**values))
    return Alert(id=result.inserted_primary_key[0], acknowledged_at=None, **values)


def _acknowledged_at(connection: Connection, key: Key) -> float:
    """When the version's alerts were last acknowledged; the epoch if never."""
    return connection.scalar(select(func.max(table.c.acknowledged_at)).where(*_of(key))) or 0.0


def _of(key: Key) -> tuple[Any, Any]:
    return table.c.model == key[0], table.c.version == key[1]


def _unseen() -> Any:
    return table.c.acknowledged_at.is_(None)


def _alert(row: Row[Any]) -> Alert:
    return Alert(**row._mapping)
