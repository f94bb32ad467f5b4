"""The parts of the drift report page, as HTML: pure functions from the report to text; every value is escaped.

Before: `monitoring.report` (the document of `GET /models/{m}/drift`) and `drift_page`, which puts the parts together.
A part of which the report says nothing is empty. Charts come from `charts`; nothing here needs a script.
"""

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from demos import charts
from tidegate.moments import moment

Document = Mapping[str, Any]

_MOST_CLASSES = 12
_MOST_CHARS = 600
_SHIFTS = {
    "prior": "The mix of classes moved; within a class the inputs look as before.",
    "covariate": "The inputs themselves changed; another mix of classes does not explain it.",
    "both": "The mix of classes moved, and the inputs within the classes changed too.",
    "unclear": "Whether the mix of classes or the inputs themselves changed cannot be told.",
}


def header(report: Document) -> str:
    """What happened and what to do, in plain words, above everything else."""
    state = "alert" if report["alert"] else report["status"]
    says = {"alert": "Alert", "drift": "Drift", "ok": "As usual", "insufficient": "Not known yet"}[state]
    return (
        f'<header><p class="state {state}">{says}</p><h1>{_text(report["model"])}, version {report["version"]}</h1>'
        f'<p class="lead">{_text(report["sentence"])}</p>{_paragraph(report["advice"])}</header>'
    )


def alerts(report: Document) -> str:
    """Alerts that are not resolved, each with the way to acknowledge it."""
    rows = []
    for alert in report["alerts"]:
        seen = " · acknowledged" if alert["acknowledged_at"] else ""
        how = "" if seen else f"<p>Seen it? <code>tidegate alerts ack {alert['id']}</code></p>"
        rows.append(
            f'<li><p><a href="?alert={alert["id"]}&amp;version={report["version"]}">Alert {alert["id"]}</a> of '
            f"{moment(alert['opened_at'])}{seen}: {_text(alert['message'])}</p>{how}</li>"
        )
    return _section("Open alerts", f'<ul class="plain">{"".join(rows)}</ul>') if rows else ""


def findings(report: Document, texts: Mapping[str, str]) -> list[str]:
    """What was found, section by section; `texts` are kept inputs by prediction id."""
    drawn = (
        contracts(report),
        attribution(report),
        accuracy(report),
        examples(report, texts),
        windows(report),
        features(report),
        periods(report),
    )
    return [section for section in drawn if section]


def windows(report: Document) -> str:
    """How surprising each window was, against the limit that keeps false alarms within the budget."""
    alarm = report["alarm"]
    if not alarm or not alarm["windows"]:
        return ""
    days = f"{alarm['false_alarm_days']:g}"
    points = [_point(w["surprise"], w["limit"], w) for w in alarm["windows"]]
    fast = _figure(
        "Surprise of each window", charts.trend("Surprise of each window", points, **_ends(alarm["windows"]))
    )
    slow = ""
    if alarm["slow"]:
        drawn = [_point(w["surprise"], w["limit"], w) for w in alarm["slow"]]
        title = "Surprise of the slow average"
        slow = _figure(title, charts.trend(title, drawn, **_ends(alarm["slow"])))
    note = (
        f"An alarm asks for two of three windows beyond the band. Its edge is set so that without drift there is one "
        f"false alarm in {days} days. Surprise is that of the strangest feature, in standard deviations of drift-free "
        f"windows."
    )
    return _section("Windows", f'<p class="soft">{note}</p><div class="grid">{fast}{slow}</div>')


def attribution(report: Document) -> str:
    """What changed: the classes, the words, and of which kind the shift is."""
    found = report["attribution"]
    if not found:
        return ""
    shift = found["shift"]
    parts = [f"<p>{_SHIFTS[shift['verdict']]} {_text(shift['why'])}</p>", _classifier(found["classifier"])]
    pairs = [charts.Pair(c["name"], c["before"], c["now"]) for c in found["classes"][:_MOST_CLASSES]]
    cards = [_figure("Classes", charts.bars("Share of each class, before and now", pairs))] if pairs else []
    cards += [
        _words("Words that are new", found["words"]["new"]),
        _words("Words that are gone", found["words"]["gone"]),
    ]
    return _section("What changed", f'{"".join(parts)}<div class="grid">{"".join(cards)}</div>')


def examples(report: Document, texts: Mapping[str, str]) -> str:
    """The least typical inputs of the windows in question; `texts` holds those that are still kept, by id."""
    found = report["attribution"]["examples"] if report["attribution"] else []
    rows = [_example(example, texts[example["id"]]) for example in found if example["id"] in texts]
    note = '<p class="soft">Those with the new words, or least like what the model was made for.</p>'
    return _section("Example inputs", f'{note}<ol class="plain">{"".join(rows)}</ol>') if rows else ""


def accuracy(report: Document) -> str:
    """What the drift does to accuracy, as far as it can be estimated without labels."""
    found = report["accuracy"]
    if not found:
        return ""
    said = (
        f"Estimated accuracy now: <b>{found['accuracy']:.1%}</b> (95 % interval {found['low']:.1%} to "
        f"{found['high']:.1%}); it was {found['reference']:.1%} when the model was verified."
    )
    doubt = "" if found["trusted"] else f"<p><b>Do not rely on it:</b> {_text(found['why'])}</p>"
    drawn = charts.bars("Accuracy", [charts.Pair("Accuracy", found["reference"], found["accuracy"])])
    return _section("Accuracy without labels", f'<p>{said}</p>{doubt}<div class="grid">{_figure("", drawn)}</div>')


def contracts(report: Document) -> str:
    """Bounds that inputs broke, whatever the statistics say."""
    rows = "".join(f"<li>{_text(breach['message'])}</li>" for breach in report["contracts"])
    return _section("Broken bounds", f"<ul>{rows}</ul>") if rows else ""


def features(report: Document) -> str:
    """Every feature's trend against its band, and its reference and window drawn over each other; worst first."""
    distributions = {one["name"]: one for one in report["distributions"]}
    cards = [_feature(f, report["trends"].get(f["name"], []), distributions.get(f["name"])) for f in report["features"]]
    note = (
        "Above: distance from the reference, window by window; the shaded band is where drift-free windows of that "
        "size lie, and a diamond marks what exceeds it. Below: the reference filled, the newest window as an outline."
    )
    return _section("Features", f'<p class="soft">{note}</p><div class="grid">{"".join(cards)}</div>') if cards else ""


def periods(report: Document) -> str:
    """Hours and days, for what is too slow or too regular to show between windows."""
    cards = []
    for name, rows in report["periods"].items():
        if len(rows) > 1:
            points = [_point(row["ratio"], 1.0, row) for row in rows]
            title = f"By {name}: worst distance against its band"
            cards.append(_figure(title, charts.trend(title, points, **_ends(rows))))
    return _section("Over time", f'<div class="grid">{"".join(cards)}</div>') if cards else ""


def _feature(feature: Document, trend: Sequence[Document], distribution: Document | None) -> str:
    name = feature["name"].replace("_", " ")
    verdict = "beyond its band" if feature["drifted"] else "within its band"
    parts = [f'<p class="soft">{feature["score"]:.3f}, band to {feature["threshold"]:.3f}: {verdict}</p>']
    if trend:
        points = [_point(w["score"], w["threshold"], w) for w in trend]
        parts.append(charts.trend(f"{name}: distance from the reference", points, **_ends(trend)))
    if distribution:
        shares = distribution["reference"], distribution["window"]
        parts.append(charts.overlaid(f"{name}: reference and window", distribution["bins"], *shares))
    css = "beyond" if feature["drifted"] else ""
    return f'<figure class="{css}"><figcaption>{_text(name)}</figcaption>{"".join(parts)}</figure>'


def _example(example: Document, text: str) -> str:
    shown = text if len(text) <= _MOST_CHARS else text[: _MOST_CHARS - 1] + "…"
    answer = f"answered <b>{_text(example['label'])}</b> at {example['score']:.0%} · " if example["label"] else ""
    return (
        f"<li><blockquote>{_text(shown)}</blockquote>"
        f'<p class="soft">{answer}<code>{_text(example["id"])}</code></p></li>'
    )


def _classifier(found: Document | None) -> str:
    if not found:
        return ""
    return (
        f"<p>A classifier tells the window's texts from the model's own with an AUC of <b>{found['auc']:.2f}</b> "
        f"({found['low']:.2f} to {found['high']:.2f}; 0.5 would be by chance, 1 always). It goes by "
        f"{_list(found['window_words'])} for the window, {_list(found['reference_words'])} for the reference.</p>"
    )


def _words(title: str, words: Sequence[Document]) -> str:
    if not words:
        return ""
    rows = "".join(
        f"<tr><td>{_text(w['word'])}</td><td>{w['before']:.1%}</td><td>{w['now']:.1%}</td></tr>" for w in words
    )
    head = "<thead><tr><th>word</th><th>texts before</th><th>now</th></tr></thead>"
    return _figure(title, f"<table>{head}<tbody>{rows}</tbody></table>")


def _list(words: Iterable[str]) -> str:
    return ", ".join(f"<em>{_text(word)}</em>" for word in words) or "nothing in particular"


def _point(value: float, limit: float, window: Document) -> charts.Point:
    return charts.Point(value, limit, f"{moment(window['started_at'])}, {window['rows']} rows")


def _ends(windows: Sequence[Document]) -> dict[str, str]:
    """What stands at both ends of a chart's axis."""
    return {"start": moment(windows[0]["started_at"])[:16], "end": moment(windows[-1]["started_at"])[:16]}


def _section(title: str, content: str) -> str:
    return f"<section><h2>{title}</h2>{content}</section>"


def _figure(title: str, content: str) -> str:
    caption = f"<figcaption>{_text(title)}</figcaption>" if title else ""
    return f"<figure>{caption}{content}</figure>"


def _paragraph(text: str) -> str:
    return f"<p>{_text(text)}</p>" if text else ""


def _text(value: object) -> str:
    return escape(str(value))
