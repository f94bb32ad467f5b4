"""Alerts: what people are told about a model version, once. One of a kind is unresolved per version at a time.

Life: open -> acknowledged -> resolved. A finding that goes on is counted on the alert there is; it is told again when
its severity rises, or when an acknowledgement is older than the cool-down. An alert is resolved by a person, or by as
many closed windows without the finding as `alert_resolve_windows` says; in the cool-down after that the same finding is
counted and not told. Every change is announced in the transaction that makes it, so none is lost.
Before: `findings`, when a window closes; after: `deliveries`, `selection`, log, Prometheus, `tidegate alerts`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from sqlalchemy import Connection, Engine, Row, func, insert, select, update

from monitoring import deliveries, detectors
from monitoring.findings import Finding, Kind, Severity
from monitoring.labels import selection
from monitoring.tables import clean, storable, turn
from monitoring.windows import Key
from tidegate.errors import ItemNotFound
from tidegate.records import AlertState
from tidegate.settings import Settings
from tidegate.store import alerts as table

Event = Literal["opened", "raised", "reopened", "acknowledged", "resolved"]
MAX_MESSAGE_CHARS = 2_000
MAX_FEATURES = 20  # the worst; the windows have them all
_RANK: dict[str, int] = {"ticket": 0, "page": 1}

CLASSIFIER = "classifier"  # place in an alert's detail of what `explanation` found in texts


@dataclass(frozen=True, slots=True)
class Alert:
    """A stored alert; times are Unix seconds.

    Attributes:
        event: what was last told about it.
        window_id: the window at whose close it was opened.
        window_ids: the windows that showed it when it was last told, furthest from the reference first.
        occurrences: closed windows with the finding.
        last_seen_at: when the last of them closed; None in a database that an older Tidegate wrote.
        quiet_windows: closed windows without it since then.
        note: of the person who acknowledged or resolved it.
    """

    id: int
    model: str
    version: int
    kind: Kind
    severity: Severity
    event: Event
    message: str
    features: list[dict[str, Any]]
    detail: dict[str, Any]
    window_id: int
    window_ids: list[int]
    occurrences: int
    quiet_windows: int
    relabel_items_queued: int
    opened_at: float
    last_seen_at: float | None
    acknowledged_at: float | None
    acknowledged_by: str
    resolved_at: float | None
    resolved_by: str
    note: str

    @property
    def state(self) -> AlertState:
        """Where it stands in its life."""
        if self.resolved_at is not None:
            return "resolved"
        return "open" if self.acknowledged_at is None else "acknowledged"

    def document(self) -> dict[str, Any]:
        """The alert as JSON takes it, without what was found in callers' texts: receivers and readers get this."""
        detail = {name: value for name, value in self.detail.items() if name != CLASSIFIER}
        return {"state": self.state} | asdict(self) | {"detail": detail}


_COLUMNS = [table.c[field.name] for field in fields(Alert)]


def settle(
    connection: Connection, key: Key, findings: Sequence[Finding], window_id: int, at: float, settings: Settings
) -> list[Alert]:
    """Bring the version's alerts up to date with what its windows say, and announce what changed.

    Call it once for each window that closes with a judgement, in the transaction that closes it, after its records
    are stored: texts of the windows at fault go onto the relabel queue with an alert that is told.

    Args:
        connection: in a transaction; the alerts of the version are locked until it ends.
        key: model and version.
        findings: everything that is wrong now; of several of one kind the first of the highest severity counts.
        window_id: the window that closes.
        at: Unix time in seconds.
        settings: `alert_resolve_windows`, `alert_cooldown_seconds`, `relabel_per_alert`.

    Returns:
        The alerts that were opened, raised, reopened or resolved: `event` says which.
    """
    worst: dict[str, Finding] = {}
    for finding in sorted(findings, key=lambda finding: -_RANK[finding.severity]):
        worst.setdefault(finding.kind, finding)
    changed = [_take(connection, key, finding, window_id, at, settings) for finding in worst.values()]
    changed += _rest(connection, key, worst.keys(), at, settings.alert_resolve_windows)
    told = [alert for alert in changed if alert is not None]
    for alert in told:
        deliveries.announce(connection, alert.id, alert.event, alert.document(), at)
    return told


def list_alerts(database: Engine, model: str | None = None, state: AlertState | None = None) -> list[Alert]:
    """Alerts, newest first: all, or those of a model, or in a state."""
    query = select(*_COLUMNS).order_by(table.c.id.desc())
    if model is not None:
        query = query.where(table.c.model == storable(model))
    with database.connect() as connection:
        found = [_alert(row) for row in connection.execute(query)]
    return [alert for alert in found if state in (None, alert.state)]


def find(database: Engine, alert_id: int) -> Alert:
    """One alert.

    Raises:
        ItemNotFound: no alert with that id.
    """
    with database.connect() as connection:
        return _read(connection, alert_id)


def acknowledge(database: Engine, alert_id: int, at: float, by: str = "", note: str = "") -> Alert:
    """Say that somebody looks at it; one that is acknowledged or resolved already stays as it is.

    Raises:
        ItemNotFound: no alert with that id.
    """
    values = {"acknowledged_at": at, "acknowledged_by": storable(by)}
    return _change(database, alert_id, "acknowledged", values, note, at)


def resolve(database: Engine, alert_id: int, at: float, by: str = "", note: str = "") -> Alert:
    """Say that it is over; one that is resolved already stays as it is. Its drift alarm begins anew.

    Raises:
        ItemNotFound: no alert with that id.
    """
    return _change(database, alert_id, "resolved", {"resolved_at": at, "resolved_by": storable(by)}, note, at)


def open_counts(connection: Connection) -> list[tuple[str, str, str, int]]:
    """(model, kind, severity, unresolved alerts), of all that ever had an alert: zeros too."""
    unresolved = func.count().filter(table.c.resolved_at.is_(None))
    by = (table.c.model, table.c.kind, table.c.severity)
    return [tuple(row) for row in connection.execute(select(*by, unresolved).group_by(*by))]


def _take(
    connection: Connection, key: Key, finding: Finding, window_id: int, at: float, settings: Settings
) -> Alert | None:
    """Open an alert for a finding, or count it on the last one; the alert if it is to be told."""
    last = _newest(connection, key, finding.kind)
    if last is None:
        return _open(connection, key, finding, window_id, at, settings)
    higher = _RANK[finding.severity] > _RANK[last.severity]
    seen_at = last.acknowledged_at if last.resolved_at is None else last.resolved_at
    cooling = seen_at is not None and at < seen_at + settings.alert_cooldown_seconds
    if last.state == "resolved" and (higher or not cooling):
        return _open(connection, key, finding, window_id, at, settings)
    counted = {"occurrences": last.occurrences + 1, "last_seen_at": at, "quiet_windows": 0}
    last = _update(connection, last.id, counted)
    if last.state == "open" and higher:
        return _tell_again(connection, last, finding, "raised", at, settings)
    if last.state == "acknowledged" and (higher or not cooling):
        return _tell_again(connection, last, finding, "raised" if higher else "reopened", at, settings)
    return None


def _tell_again(
    connection: Connection, alert: Alert, finding: Finding, event: Event, at: float, settings: Settings
) -> Alert:
    """An open alert once more, with what is found now; its severity never falls."""
    queued = _queue_texts(connection, alert.id, finding, at, settings)
    values = {
        "event": event,
        "acknowledged_at": None,
        "acknowledged_by": "",
        "relabel_items_queued": alert.relabel_items_queued + queued,
    }
    severity = {"severity": max(alert.severity, finding.severity, key=lambda name: _RANK[name])}
    return _update(connection, alert.id, _content(finding) | values | severity)


def _open(connection: Connection, key: Key, finding: Finding, window_id: int, at: float, settings: Settings) -> Alert:
    values = {
        "model": key[0],
        "version": key[1],
        "kind": finding.kind,
        "event": "opened",
        "window_id": window_id,
        "opened_at": at,
        "last_seen_at": at,
    }
    result: Any = connection.execute(insert(table).values(**values, **_content(finding)))
    alert_id: int = result.inserted_primary_key[0]
    queued = _queue_texts(connection, alert_id, finding, at, settings)
    return _update(connection, alert_id, {"relabel_items_queued": queued})


def _queue_texts(connection: Connection, alert_id: int, finding: Finding, at: float, settings: Settings) -> int:
    """Put texts of the windows at fault on the relabel queue; what breaks a contract is no matter of labels."""
    if finding.kind == "contract":
        return 0
    most, double = settings.relabel_per_alert, settings.relabel_double_share
    return selection.enqueue_drifted(connection, finding.window_ids, most, at, alert_id=alert_id, double_share=double)


def _content(finding: Finding) -> dict[str, Any]:
    """What an alert takes over from its finding, in a form that every database and receiver takes."""
    return {
        "severity": finding.severity,
        "message": storable(finding.message)[:MAX_MESSAGE_CHARS],
        "features": clean(finding.features[:MAX_FEATURES]),
        "window_ids": finding.window_ids,
        "detail": clean(finding.detail),
    }


def _rest(connection: Connection, key: Key, found: Iterable[str], at: float, windows: int) -> list[Alert]:
    """Count a window without the finding on the version's other alerts; those that had enough are resolved."""
    others = (*_of(key), table.c.resolved_at.is_(None), table.c.kind.not_in(list(found)))
    resolved = []
    for row in connection.execute(select(*_COLUMNS).where(*others).order_by(table.c.id).with_for_update()).all():
        quiet = row.quiet_windows + 1
        if quiet < windows:
            _update(connection, row.id, {"quiet_windows": quiet})
            continue
        end = {"event": "resolved", "resolved_at": at, "resolved_by": "tidegate"}
        resolved.append(_update(connection, row.id, {"quiet_windows": quiet} | end))
    return resolved


def _change(database: Engine, alert_id: int, event: Event, values: dict[str, Any], note: str, at: float) -> Alert:
    """What a person does to an alert; announced when it changes something."""
    over = [table.c.resolved_at.is_(None)]
    if event == "acknowledged":
        over.append(table.c.acknowledged_at.is_(None))
    if note:
        values = values | {"note": storable(note)[:MAX_MESSAGE_CHARS]}
    with turn(database) as connection:
        before = _read(connection, alert_id)
        statement = update(table).where(table.c.id == alert_id, *over).values(event=event, **values)
        if not connection.execute(statement).rowcount:
            return before
        alert = _read(connection, alert_id)
        if event == "resolved" and alert.kind != "contract":  # contracts remember nothing
            detectors.renew(connection, (alert.model, alert.version))
        deliveries.announce(connection, alert.id, event, alert.document(), at)
    return alert


def _newest(connection: Connection, key: Key, kind: Kind) -> Alert | None:
    """The unresolved one, else the one resolved last: by time, since history is stored after what is live."""
    latest = (table.c.resolved_at.is_(None).desc(), table.c.resolved_at.desc(), table.c.id.desc())
    query = select(*_COLUMNS).where(*_of(key), table.c.kind == kind).order_by(*latest).limit(1)
    row = connection.execute(query.with_for_update()).one_or_none()
    return None if row is None else _alert(row)


def _update(connection: Connection, alert_id: int, values: dict[str, Any]) -> Alert:
    connection.execute(update(table).where(table.c.id == alert_id).values(**values))
    return _read(connection, alert_id)


def _read(connection: Connection, alert_id: int) -> Alert:
    row = None
    if abs(alert_id) < 2**31:  # more than PostgreSQL's integers hold
        row = connection.execute(select(*_COLUMNS).where(table.c.id == alert_id)).one_or_none()
    if row is None:
        raise ItemNotFound(f"no alert {alert_id}; `tidegate alerts list` shows those there are")
    return _alert(row)


def _of(key: Key) -> tuple[Any, Any]:
    return table.c.model == key[0], table.c.version == key[1]


def _alert(row: Row[Any]) -> Alert:
    return Alert(**row._mapping)
