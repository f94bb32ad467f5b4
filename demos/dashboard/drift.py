"""The view `/dashboard/models/{model}/drift`: when inputs moved, what moved, and what it does to accuracy.

The sections of the drift report (`demos.drift_sections`) inside the dashboard, with its tables as CSV and links to the
data and the features behind them; `/drift/{model}` is the same as one page whole in itself, to print or to send.
Before: `Monitor.drift`; after: `page`.
"""

from collections.abc import Mapping
from html import escape
from typing import Any

from starlette.concurrency import run_in_threadpool

from demos.dashboard import content
from demos.dashboard.content import Cell, Link, Mark, Markup, Number, Page, Section, Table
from demos.dashboard.data_figures import title_of
from demos.dashboard.version_pages import crumbs, version_of
from demos.dashboard.visit import Visit
from demos.drift_sections import findings
from tidegate.errors import InvalidInput
from tidegate.moments import moment

Document = Mapping[str, Any]

_STATES = {"alert": "bad", "drift": "bad", "ok": "good", "insufficient": ""}


async def drift(visit: Visit) -> Page:
    """The newest windows, or with `?alert=ID` those that raised an alert.

    Raises:
        ModelNotFound, BundleNotFound, ItemNotFound: no such model, version or alert.
        InvalidInput: not a number.
    """
    model, monitor = visit.path["model"], visit.gateway.monitor
    alert = _alert(visit)
    version = await version_of(visit) if alert is None or visit.one("version") else await _version_of(visit, alert)
    report = await run_in_threadpool(monitor.drift, model, version, alert)
    found = report.get("attribution")
    ids = [example["id"] for example in found["examples"]] if found else []
    texts = await run_in_threadpool(monitor.texts, model, ids)
    return Page(
        f"{model}: drift",
        report.get("sentence") or _silent(report),
        _sections(report, texts, alert),
        crumbs(model),
        model,
    )


def _alert(visit: Visit) -> int | None:
    word = visit.one("alert")
    if word and visit.number("alert") is None:
        raise InvalidInput(f"alert is a number, not {word[:40]!r}")
    return visit.number("alert")


async def _version_of(visit: Visit, alert: int) -> int:
    """The version that an alert is of; the champion may be another by now."""
    visit.gateway.repository.state(visit.path["model"])
    found = await run_in_threadpool(visit.gateway.monitor.alert, alert)
    return int(found["version"])


def _silent(report: Document) -> str:
    return f"Nothing is known of version {report['version']} yet; predictions make windows, and windows are judged."


def _sections(report: Document, texts: Mapping[str, str], alert: int | None) -> list[Section]:
    if "sentence" not in report:
        return []
    return [
        Section("", [_standing(report, alert)]),
        *([Section("Alerts that are not resolved", [_alerts(report)])] if report["alerts"] else []),
        *(Section("", [Markup(f'<div class="report">{each}</div>')]) for each in findings(report, texts)),
        Section("Figures", [_windows(report), _features(report)]),
    ]


def _standing(report: Document, alert: int | None) -> Markup:
    """The verdict, what to do, and the same as a page to keep."""
    state = "alert" if report["alert"] else report["status"]
    says = {"alert": "Alert", "drift": "Drift", "ok": "As usual", "insufficient": "Not known yet"}[state]
    mark = f'<p><span class="mark {_STATES[state]}">{says}</span></p>'
    advice = f"<p>{content.text(report['advice'])}</p>" if report["advice"] else ""
    query = f"?version={report['version']}" + (f"&alert={alert}" if alert is not None else "")
    about = f" It is about alert {alert}." if alert is not None else ""
    model = escape(report["model"])
    printed = f'<a href="../../../drift/{model}{escape(query)}">one page to print or to send</a>'
    return Markup(f'{mark}{advice}<p class="soft">Version {report["version"]}.{about} The same as {printed}.</p>')


def _alerts(report: Document) -> Table:
    rows: list[list[Cell]] = [
        [
            Link(f"alert {alert['id']}", _to(report, "drift", alert=alert["id"])),
            moment(alert["opened_at"]),
            alert["kind"],
            alert["severity"],
            alert["state"],
            alert["message"],
            Link("look at it", f"/dashboard/alerts?model={report['model']}#alert-{alert['id']}"),
        ]
        for alert in report["alerts"]
    ]
    columns = ["alert", "opened", "kind", "severity", "state", "message", "who looks at it"]
    return Table("alerts", "Alerts of this version that are not resolved", columns, rows)


def _windows(report: Document) -> Table:
    rows: list[list[Cell]] = [
        [
            Link(f"window {one['id']}", _to(report, "data", window=one["id"])),
            moment(one["started_at"]),
            moment(one["ended_at"]),
            one["rows"],
            _status(one),
            None if one["ratio"] is None else Number(one["ratio"], f"{one['ratio']:.2f}"),
            title_of(one["worst"]) if one["worst"] else None,
        ]
        for one in reversed(report["windows"])
    ]
    columns = ["window", "began", "ended", "rows", "status", "surprise over limit", "strangest feature"]
    return Table("windows", "Windows, newest first", columns, rows, empty="No window yet; predictions make them.")


def _status(window: Document) -> Cell:
    moods = {"drift": "bad", "ok": "good"}
    return Mark(f"{window['status']}{', open' if window['open'] else ''}", moods.get(window["status"], ""))


def _features(report: Document) -> Table:
    rows: list[list[Cell]] = [_feature(report, one) for one in report["features"]]
    columns = ["feature", "distance", "band to", "surprise", "verdict", "mean before", "mean now"]
    empty = "Nothing is judged yet; a window is from 50 rows on."
    return Table("features", "Features of the newest window, strangest first", columns, rows, empty=empty)


def _feature(report: Document, one: Document) -> list[Cell]:
    means = [mean if isinstance(mean := one[name], float) else None for name in ("reference", "window")]
    return [
        Link(title_of(one["name"]), _to(report, f"features/{one['name']}")),
        *(Number(one[name], f"{one[name]:.3f}") for name in ("score", "threshold", "surprise")),
        Mark("beyond its band", "bad") if one["drifted"] else Mark("within its band", "good"),
        *means,
    ]


def _to(report: Document, place: str, **query: object) -> str:
    asked = "".join(f"&{name}={value}" for name, value in query.items())
    return f"/dashboard/models/{report['model']}/{place}?version={report['version']}{asked}"
