"""`tidegate alerts`: what was found about the models, who looks at it, and whether its receivers heard of it.

All of it reads and writes the state database, so it works beside a running server and without one. Receivers are a
server's: what is acknowledged here they hear from the next one that runs.
"""

import getpass
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from tidegate.cli import app, console
from tidegate.cli.options import AsJson, Home
from tidegate.cli.state import state_database
from tidegate.errors import UsageError
from tidegate.moments import moment
from tidegate.settings import Settings

if TYPE_CHECKING:
    from monitoring.alerts import Alert

alerts = typer.Typer(no_args_is_help=True, help="Alerts: what was found, who has seen it, and who was told.")
app.add_typer(alerts, name="alerts")

State = Literal["open", "acknowledged", "resolved"]
DeliveryState = Literal["new", "pending", "delivered", "dead"]
AlertId = Annotated[int, typer.Argument(metavar="ALERT", help="Its number, as `tidegate alerts list` shows it.")]
Note = Annotated[str, typer.Option(help="What there is to say about it; its receivers are told.")]


@alerts.command("list")
def list_alerts(
    state: Annotated[State | None, typer.Option(help="Those in one state.", show_default="all")] = None,
    model: Annotated[str | None, typer.Option(help="Those of one model.", show_default="all")] = None,
    as_json: AsJson = False,
    home: Home = None,
) -> None:
    """Alerts, newest first."""
    from monitoring.alerts import list_alerts

    found = list_alerts(state_database(Settings.load(home=home)), model, state)
    if as_json:
        console.json([alert.document() for alert in found])
        return
    if not found:
        console.say("no alerts")
        return
    rows = [[str(a.id), moment(a.opened_at), a.state, a.severity, str(a.occurrences), a.message] for a in found]
    console.table("alerts", ["id", "opened", "state", "severity", "windows", "message"], rows)


@alerts.command("show")
def show(alert_id: AlertId, as_json: AsJson = False, home: Home = None) -> None:
    """One alert: what was found, when, and what became of it."""
    from monitoring.alerts import find

    alert = find(state_database(Settings.load(home=home)), alert_id)
    if as_json:
        console.json(alert.document())
        return
    for line in _life(alert):
        console.out(line)
    if alert.features:
        rows = [
            [_plain(feature.get(name, "")) for name in ("name", "score", "threshold")] for feature in alert.features
        ]
        console.table("features at fault, worst first", ["feature", "score", "threshold"], rows)


@alerts.command("ack", epilog="Example: tidegate alerts ack 3 --note 'new supplier, expected'")
def acknowledge(alert_id: AlertId, note: Note = "", home: Home = None) -> None:
    """Say that somebody looks at an alert; what goes on is told again after `alert_cooldown_seconds`."""
    from monitoring.alerts import acknowledge

    alert = acknowledge(state_database(Settings.load(home=home)), alert_id, time.time(), _person(), note)
    console.say(f"alert {alert.id} is {alert.state}")


@alerts.command("resolve")
def resolve(alert_id: AlertId, note: Note = "", home: Home = None) -> None:
    """Say that an alert is over; what goes on opens a new one after `alert_cooldown_seconds`."""
    from monitoring.alerts import resolve

    alert = resolve(state_database(Settings.load(home=home)), alert_id, time.time(), _person(), note)
    console.say(f"alert {alert.id} is {alert.state}")


@alerts.command("deliveries")
def list_deliveries(
    state: Annotated[DeliveryState | None, typer.Option(help="Those in one state.", show_default="all")] = None,
    as_json: AsJson = False,
    home: Home = None,
) -> None:
    """What receivers were told, or are still to be told, newest first."""
    from monitoring.deliveries import list_deliveries

    found = list_deliveries(state_database(Settings.load(home=home)), state)
    if as_json:
        console.json([asdict(delivery) for delivery in found])
        return
    if not found:
        console.say("no deliveries")
        return
    rows = [
        [str(d.id), str(d.alert_id), d.event, d.receiver, d.state, str(d.attempts), moment(d.due_at), d.error]
        for d in found
    ]
    console.table("deliveries", ["id", "alert", "event", "receiver", "state", "tries", "due", "error"], rows)


@alerts.command("retry")
def retry(
    delivery_id: Annotated[int | None, typer.Argument(metavar="[DELIVERY]", help="The number of a dead one.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Every dead delivery.")] = False,
    home: Home = None,
) -> None:
    """Have dead deliveries tried again, by the server that runs or the next one."""
    from monitoring.deliveries import retry

    if (delivery_id is None) is not every:
        raise UsageError("name one dead delivery, or pass --all; `tidegate alerts deliveries --state dead` lists them")
    count = retry(state_database(Settings.load(home=home)), delivery_id, time.time())
    console.say(f"{count} dead deliveries are due again")


def _life(alert: "Alert") -> list[str]:
    """What happened to an alert, a line each."""
    seen = f"; {alert.occurrences} windows, the last {moment(alert.last_seen_at)}" if alert.last_seen_at else ""
    lines = [
        f"alert {alert.id}: {alert.kind} of {alert.model}/{alert.version}, {alert.severity}, {alert.state}",
        alert.message,
        f"opened        {moment(alert.opened_at)}{seen}",
    ]
    ends: list[tuple[str, float | None, str]] = [
        ("acknowledged", alert.acknowledged_at, alert.acknowledged_by),
        ("resolved", alert.resolved_at, alert.resolved_by),
    ]
    lines += [f"{name:<13} {moment(at)}{f' by {by}' if by else ''}" for name, at, by in ends if at is not None]
    lines += [f"note          {alert.note}"] if alert.note else []
    lines += [f"relabel       {alert.relabel_items_queued} texts queued"] if alert.relabel_items_queued else []
    return lines + [f"{name:<13} {value}" for name, value in _flat(alert.detail)]


def _flat(detail: dict[str, Any]) -> list[tuple[str, str]]:
    return [(name, _plain(value)) for name, value in detail.items()]


def _plain(value: Any) -> str:
    """A value of JSON as people read it: three digits, lists and documents without their brackets."""
    if isinstance(value, float):
        return f"{value:.3g}"
    if isinstance(value, dict):
        return ", ".join(f"{name} {_plain(each)}" for name, each in value.items())
    return "; ".join(map(_plain, value)) if isinstance(value, list) else str(value)


def _person() -> str:
    """Who runs the command, as the system knows them."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # an account without a name, as containers have them
        return ""
