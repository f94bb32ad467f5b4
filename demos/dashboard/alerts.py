"""The view `/dashboard/alerts`: every alert of every model, who looks at it, and what receivers were told.

`?model=` and `?state=` choose. Whoever may administer acknowledges and resolves here, with a note (`alert_decision`);
others see the same without buttons. Before: `Monitor.alerts`; after: `page`.
Limits: every alert in one table; cards and the strip show the newest.
"""

import time
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, get_args
from urllib.parse import urlencode

from starlette.concurrency import run_in_threadpool

from demos.dashboard import content, spreads
from demos.dashboard.content import Cell, Figure, Link, Mark, Markup, Page, Part, Section, Table
from demos.dashboard.data_figures import title_of
from demos.dashboard.forms import Select, form
from demos.dashboard.visit import Visit
from serving.access import Role
from tidegate.errors import InvalidInput
from tidegate.moments import moment
from tidegate.records import AlertState

Document = Mapping[str, Any]

STATES = get_args(AlertState)
_MOST_CARDS, _MOST_LANES, _ON_STRIP = 20, 12, 200


async def all_alerts(visit: Visit) -> Page:
    """Alerts, newest first, of one model or in one state if asked for.

    Raises:
        InvalidInput: no alert is ever in that state.
    """
    monitor, model, state = visit.gateway.monitor, visit.one("model"), visit.one("state")
    if state and state not in STATES:
        raise InvalidInput(f"no alert is ever {state[:40]!r}; ask for one of: {', '.join(STATES)}")
    everything = await run_in_threadpool(monitor.alerts, None, None)
    told = await run_in_threadpool(monitor.deliveries)
    shown = [a for a in everything if model in ("", a["model"]) and state in ("", a["state"])]
    known = sorted({alert["model"] for alert in everything} | set(visit.gateway.repository.states))
    asked = {"model": model, "state": state}
    sections = [
        Section("", [_chooser(known, asked), *_timeline(shown)]),
        *_unresolved(shown, told, asked, visit.role),
        Section("All", [_table(shown, asked), _deliveries(shown, told)]),
    ]
    return Page("Alerts", _lead(shown, model), sections)


def _lead(alerts: Sequence[Document], model: str) -> str:
    if not alerts:
        return f"No alert{f' of {model}' if model else ''}: none was raised, or none is in that state."
    found = [sum(alert["state"] == state for alert in alerts) for state in STATES]
    waiting, seen, over = found
    waits = f"{waiting} wait{'s' if waiting == 1 else ''} for somebody to look" if waiting else "none waits for anybody"
    of = f" of {model}" if model else ""
    return f"{len(alerts)} alert{'s' if len(alerts) > 1 else ''}{of}: {waits}, {seen} acknowledged, {over} resolved."


def _chooser(models: Sequence[str], asked: Mapping[str, str]) -> Markup:
    choices = {"model": models, "state": STATES}
    return form(
        [
            Select(name, name.capitalize(), {"": "all", **{one: one for one in values}}, asked[name])
            for name, values in choices.items()
        ],
        "Show",
    )


def _timeline(alerts: Sequence[Document]) -> list[Part]:
    """When the newest alerts were, a lane a model."""
    newest = alerts[:_ON_STRIP]
    if not newest:
        return []
    lanes = list(dict.fromkeys(alert["model"] for alert in newest))[:_MOST_LANES]
    moments = [
        spreads.Moment(
            a["model"], a["opened_at"], _end(a), f"{moment(a['opened_at'])}: {_named(a)}, {a['state']}", _waits(a)
        )
        for a in newest
        if a["model"] in lanes
    ]
    now = time.time()
    ends = moment(min(m.start for m in moments)), f"now, {moment(now)}"
    drawn = spreads.strip("Alerts over time", lanes, moments, now, ends)
    note = "From the opening to the end, or to when it was last seen; red waits for somebody to look."
    return [Figure("When, and of which model", drawn, note, wide=True)]


def _waits(alert: Document) -> bool:
    return bool(alert["state"] == "open")


def _end(alert: Document) -> float:
    return float(alert["resolved_at"] or alert["last_seen_at"] or alert["opened_at"])


def _named(alert: Document) -> str:
    return f"alert {alert['id']}, {alert['kind']} of {alert['model']}/{alert['version']}"


def _unresolved(
    alerts: Sequence[Document], told: Sequence[Document], asked: Mapping[str, str], role: Role
) -> list[Section]:
    waiting = [alert for alert in alerts if alert["state"] != "resolved"]
    if not waiting:
        return []
    cards = "".join(_card(alert, told, asked, role) for alert in waiting[:_MOST_CARDS])
    more = f" The newest {_MOST_CARDS} of {len(waiting)}." if len(waiting) > _MOST_CARDS else ""
    who = "" if role >= Role.ADMIN else " Acknowledging and resolving takes a key that may administer."
    return [Section("Not resolved", [Markup(f'<ol class="plain cards">{cards}</ol>')], f"Newest first.{more}{who}")]


def _card(alert: Document, told: Sequence[Document], asked: Mapping[str, str], role: Role) -> str:
    """One alert with what is known of it, and the buttons of who may use them."""
    mood = "bad" if alert["state"] == "open" else ""
    deliveries = [one for one in told if one["alert_id"] == alert["id"]]
    facts = (
        ("Opened", moment(alert["opened_at"])),
        ("Last seen", moment(alert["last_seen_at"]) if alert["last_seen_at"] else ""),
        ("Windows", _windows(alert)),
        ("What moved", ", ".join(title_of(str(feature["name"])) for feature in alert["features"])),
        ("Acknowledged", _by(alert["acknowledged_at"], alert["acknowledged_by"])),
        ("Note", alert["note"]),
        ("Texts queued to label", f"{alert['relabel_items_queued']:,}"),
        ("Told", "; ".join(f"{d['receiver'] or 'nobody yet'} of {d['event']}: {d['state']}" for d in deliveries)),
    )
    listed = "".join(f"<div><dt>{name}</dt><dd>{content.text(fact)}</dd></div>" for name, fact in facts if fact)
    drift = f"models/{alert['model']}/drift?version={alert['version']}&alert={alert['id']}"
    return (
        f'<li class="card" id="alert-{alert["id"]}"><h3>Alert {alert["id"]}: {content.text(alert["kind"])} of '
        f"{content.text(alert['model'])}, version {alert['version']} "
        f'<span class="mark {mood}">{content.text(alert["state"])}</span> '
        f'<span class="soft">{content.text(alert["severity"])}</span></h3>'
        f"<p>{content.text(alert['message'])}</p><dl>{listed}</dl>"
        f'<p><a href="{escape(drift)}">What happened, and which texts show it</a></p>'
        f"{_form(alert, asked) if role >= Role.ADMIN else ''}</li>"
    )


def _form(alert: Document, asked: Mapping[str, str]) -> str:
    """Acknowledge or resolve, with a note; leads back to the same choice of alerts."""
    query = urlencode({name: value for name, value in asked.items() if value})
    action = f"alerts/{alert['id']}{f'?{query}' if query else ''}"
    acknowledge = '<button name="do" value="acknowledge">Acknowledge</button> ' if alert["state"] == "open" else ""
    return (
        f'<form method="post" action="{escape(action)}" class="ask"><label><span>Note</span>'
        f'<input name="note" maxlength="2000" autocomplete="off"></label> {acknowledge}'
        '<button name="do" value="resolve">Resolve</button></form>'
    )


def _windows(alert: Document) -> str:
    ids = ", ".join(str(one) for one in alert["window_ids"][:5])
    more = ", ..." if len(alert["window_ids"]) > 5 else ""
    return f"{ids}{more} (found in {alert['occurrences']:,} by now)" if ids else ""


def _by(at: float | None, who: str) -> str:
    return "" if at is None else f"{moment(at)} by {who or 'somebody without a name'}"


def _table(alerts: Sequence[Document], asked: Mapping[str, str]) -> Table:
    columns = ["alert", "model", "version", "kind", "severity", "state", "opened", "last seen", "windows"]
    people = ["acknowledged", "by", "resolved", "by whom", "note", "message", "what moved"]
    empty = "No alert. One is raised when inputs or answers leave their band in two of three windows, or break a bound."
    if asked["state"] or asked["model"]:
        empty = "No alert is like that; show all models and states to see the others."
    return Table("alerts", "Alerts, newest first", [*columns, *people], [_row(alert) for alert in alerts], empty=empty)


def _row(alert: Document) -> list[Cell]:
    to = f"/dashboard/models/{alert['model']}/drift?version={alert['version']}&alert={alert['id']}"
    moods = {"open": "bad", "resolved": "good"}
    return [
        Link(str(alert["id"]), to),
        Link(alert["model"], f"/dashboard/models/{alert['model']}"),
        alert["version"],
        alert["kind"],
        alert["severity"],
        Mark(alert["state"], moods.get(alert["state"], "")),
        moment(alert["opened_at"]),
        _time(alert["last_seen_at"]),
        alert["occurrences"],
        _time(alert["acknowledged_at"]),
        alert["acknowledged_by"] or None,
        _time(alert["resolved_at"]),
        alert["resolved_by"] or None,
        alert["note"] or None,
        alert["message"],
        ", ".join(title_of(str(feature["name"])) for feature in alert["features"]) or None,
    ]


def _deliveries(alerts: Sequence[Document], told: Sequence[Document]) -> Table:
    ids = {alert["id"] for alert in alerts}
    rows: list[list[Cell]] = [
        [
            one["alert_id"],
            one["event"],
            one["receiver"] or None,
            Mark(one["state"], {"delivered": "good", "dead": "bad"}.get(one["state"], "")),
            one["attempts"],
            moment(one["created_at"]),
            _time(one["ended_at"]),
            one["error"] or None,
        ]
        for one in told
        if one["alert_id"] in ids
    ]
    columns = ["alert", "event", "receiver", "state", "tries", "happened", "ended", "error"]
    empty = "Nothing was sent: the setting webhook_url names who is told."
    return Table("deliveries", "What receivers were told, newest first", columns, rows, empty=empty)


def _time(at: float | None) -> Cell:
    return None if at is None else moment(at)
