"""`tidegate drift M`: the drift report for people, one plain sentence first; `--json` prints it for programs.

It reads the state database, so it works beside a running server and without one. What it says is
`monitoring.report`; the page at `/drift/M` shows the same with charts.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from tidegate.aliases import CHAMPION
from tidegate.bundle_store import BundleStore
from tidegate.cli import app, console
from tidegate.cli.options import AsJson, Home, Model, Version
from tidegate.cli.state import state_database
from tidegate.settings import Settings

_BAR_CHARS = 16  # half of it is the threshold
_TREND_WINDOWS = 20


@app.command("drift", epilog="Example: tidegate drift sentiment --alert 3")
def drift(
    model: Model,
    version: Version = CHAMPION,
    alert: Annotated[
        int | None, typer.Option(help="An alert's number: explain what raised it, which may take seconds.")
    ] = None,
    as_json: AsJson = False,
    home: Home = None,
) -> None:
    """How far a model's latest inputs and answers lie from what it was made for. Drift is no error: exit 0."""
    from monitoring.report import drift_report

    settings = Settings.load(home=home)
    bundles = BundleStore(settings.bundles_dir)
    key = (model, bundles.resolve(model, version))
    report = drift_report(state_database(settings), bundles, settings.false_alarm_days, key, alert)
    if as_json:
        console.json(report)
        return
    _print(report)


def _print(report: Mapping[str, Any]) -> None:
    alert = " · ALERT" if report["alert"] else ""
    console.out(report["sentence"])
    if report["advice"]:
        console.out(report["advice"])
    console.out(f"{report['model']}/{report['version']}: {report['status']}{alert} · {report['detail']}")
    for line in (*_accuracy(report), *_contracts(report), *_alerts(report), *_attribution(report)):
        console.out(line)
    trend = "".join(_spark(window["ratio"]) for window in report["windows"])
    if trend.strip():
        console.out(f"last {len(report['windows'])} windows, worst score against threshold: {trend}")
    if report["features"]:
        _print_features(report)


def _print_features(report: Mapping[str, Any]) -> None:
    rows = [
        [
            feature["name"],
            f"{feature['score']:.3g}",
            f"{feature['threshold']:.3g}",
            _bar(feature["score"] / feature["threshold"]),
            "".join(_spark(w["score"] / w["threshold"]) for w in report["trends"].get(feature["name"], [])),
            _change(feature),
        ]
        for feature in report["features"]
    ]
    newest = next(window for window in reversed(report["windows"]) if window["status"] != "insufficient")
    title = f"newest window: {newest['rows']:g} rows{', still open' if newest['open'] else ''}"
    console.table(title, ["feature", "score", "threshold", "", "trend", "was -> is"], rows)


def _accuracy(report: Mapping[str, Any]) -> list[str]:
    found = report["accuracy"]
    if not found:
        return []
    doubt = "" if found["trusted"] else f"; do not rely on it: {found['why']}"
    return [
        f"estimated accuracy {found['accuracy']:.1%} ({found['low']:.1%} to {found['high']:.1%}), "
        f"verified at {found['reference']:.1%}{doubt}"
    ]


def _contracts(report: Mapping[str, Any]) -> list[str]:
    return [f"broken bound: {breach['message']}" for breach in report["contracts"]]


def _alerts(report: Mapping[str, Any]) -> list[str]:
    return [
        f"alert {alert['id']}, {'seen' if alert['acknowledged_at'] else 'open'}: {alert['message']}"
        for alert in report["alerts"]
    ]


def _attribution(report: Mapping[str, Any]) -> list[str]:
    found = report["attribution"]
    if not found:
        return []
    lines = [f"kind of shift: {found['shift']['verdict']} · {found['shift']['why']}"]
    moved = [f"{c['name']} {c['before']:.0%} -> {c['now']:.0%}" for c in found["classes"] if c["moved"]]
    lines += [f"classes that moved: {', '.join(moved)}"] if moved else []
    for kind in ("new", "gone"):
        words = _words(found["words"][kind])
        lines += [f"words that are {kind}: {words}"] if words else []
    if found["classifier"]:
        told = found["classifier"]
        lines.append(
            f"a classifier tells these texts from the model's own with AUC {told['auc']:.2f} "
            f"({told['low']:.2f} to {told['high']:.2f}), by: {', '.join(told['window_words'])}"
        )
    if found["examples"]:
        lines.append(f"examples: {', '.join(example['id'] for example in found['examples'])}")
    return lines


def _words(words: Sequence[Mapping[str, Any]]) -> str:
    return ", ".join(f"{word['word']} {word['before']:.0%} -> {word['now']:.0%}" for word in words)


def _bar(ratio: float) -> str:
    """Score as a bar on which the threshold stands in the middle."""
    half = _BAR_CHARS // 2
    full = min(_BAR_CHARS, round(ratio * half))
    return "█" * min(full, half) + "·" * max(0, half - full) + "┃" + "█" * max(0, full - half)


def _spark(ratio: float | None) -> str:
    """One character a window: up to five eighths below the threshold, above it the rest and full."""
    if ratio is None:
        return " "
    return "▁▂▃▄▅"[min(4, int(ratio * 5))] if ratio <= 1 else "▇█"[ratio > 2]


def _change(feature: Mapping[str, Any]) -> str:
    """Means of a number; for the class, the one whose share moved most; nothing where there is neither."""
    before, now = feature["reference"], feature["window"]
    if now is None or before is None:
        return ""
    if not isinstance(now, dict):
        return f"{before:.3g} -> {now:.3g}"
    moved = max(now, key=lambda name: abs(now[name] - before.get(name, 0.0)))
    return f"{moved} {before.get(moved, 0.0):.0%} -> {now[moved]:.0%}"
