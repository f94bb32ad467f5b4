"""The HTML page of a report: one file that opens anywhere, years later, without a network.

Called by `report`. Everything that came from outside (URL, names, kinds of failure) is escaped; there is no
script, and a Content-Security-Policy in the page forbids loading anything.
"""

from collections.abc import Iterable, Sequence
from html import escape

from loadtests.charts import Dot, Line, chart
from loadtests.conditions import Conditions
from loadtests.measured import Measured, Outcome, Point, Quantiles, Result, Step
from loadtests.slo import parse_slo

_STYLE = """
:root { color-scheme: light dark; --ink: #1c2733; --soft: #5b6b7b; --line: #d5dde5; --paper: #fff;
  --one: #0b6fa4; --two: #c2571a; --good: #2c7a4b; --bad: #b3261e; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --soft: #9aa9b8; --line: #34414e; --paper: #10171e;
  --one: #5bb5e8; --two: #f0915a; --good: #6cc490; --bad: #f2857d; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); margin: 2rem auto;
  max-width: 760px; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin-bottom: .2rem; } h2 { font-size: 1.1rem; margin-top: 2rem; }
p.soft, dt { color: var(--soft); }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: .25rem .5rem; border-bottom: 1px solid var(--line); }
th:first-child, td:first-child { text-align: left; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1rem; }
dd { margin: 0; overflow-wrap: anywhere; }
svg { width: 100%; height: auto; } svg text { font-size: 12px; fill: var(--soft); }
svg line.grid { stroke: var(--line); } svg line.level { stroke: var(--bad); stroke-dasharray: 6 4; }
svg polyline { fill: none; stroke-width: 2; } polyline.one { stroke: var(--one); } polyline.two { stroke: var(--two); }
svg text.one { fill: var(--one); } svg text.two { fill: var(--two); }
circle.kept { fill: var(--good); } circle.broken { fill: var(--bad); } circle.behind { fill: var(--soft); }
"""


def render(conditions: Conditions, result: Result) -> str:
    """The whole page."""
    title = f"Load test of {conditions.model}"
    body = [f"<h1>{escape(title)}</h1>", f'<p class="soft">{escape(_subtitle(conditions))}</p>']
    if result.outcome:
        body.append(_search(result.outcome))
    if result.measured:
        body += [_summary(result.measured, result.outcome), _times(result.measured), _failures(result.measured)]
    body += [_over_time(result.points), _conditions(conditions)]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>{''.join(body)}</body></html>\n"
    )


def _subtitle(conditions: Conditions) -> str:
    load = (
        f"{conditions.users} callers who wait for each answer" if conditions.users else "arrivals that wait for nobody"
    )
    return f"{conditions.scenario}: {load}; {conditions.date:%Y-%m-%d %H:%M:%S %Z}"


def _summary(measured: Measured, outcome: Outcome | None) -> str:
    at_rate = f" at {outcome.rate:.1f} arrivals/s" if outcome and outcome.rate else ""
    rows = [
        ("requests answered per second", f"{measured.requests_per_second:.1f}"),
        ("texts answered per second", f"{measured.texts_per_second:.1f}"),
        ("requests", str(measured.requests)),
        ("of them failed", str(measured.failed)),
        ("seconds", f"{measured.seconds:.1f}"),
    ]
    return f"<h2>Throughput{at_rate}</h2>{_table((), rows)}"


def _times(measured: Measured) -> str:
    """Latency, the server's own split of it, and how late the client was, in milliseconds."""
    rows = [("whole request, as the caller sees it", measured.latency_seconds)]
    rows += [(f"server: {stage}", quantiles) for stage, quantiles in measured.server_seconds.items()]
    rows.append(("this client's own lag", measured.client_lag_seconds))
    cells = [(name, *_milliseconds(quantiles)) for name, quantiles in rows if quantiles]
    return f"<h2>Time in ms, right answers</h2>{_table(('', 'p50', 'p90', 'p95', 'p99', 'max'), cells)}"


def _milliseconds(quantiles: Quantiles) -> tuple[str, ...]:
    return tuple(
        f"{value * 1e3:.2f}" for value in (quantiles.p50, quantiles.p90, quantiles.p95, quantiles.p99, quantiles.max)
    )


def _failures(measured: Measured) -> str:
    if not measured.failures:
        return "<h2>Failures</h2><p>None: every answer had the right status, shape and labels.</p>"
    rows = sorted(measured.failures.items(), key=lambda entry: -entry[1])
    return f"<h2>Failures</h2>{_table(('kind', 'requests'), [(kind, str(number)) for kind, number in rows])}"


def _over_time(points: Sequence[Point]) -> str:
    if len(points) < 2:
        return ""
    rates = Line("answered/s", "one", [(p.elapsed_seconds, p.requests_per_second) for p in points])
    p50 = Line("p50", "one", [(p.elapsed_seconds, p.p50_seconds * 1e3) for p in points if p.p50_seconds is not None])
    p99 = Line("p99", "two", [(p.elapsed_seconds, p.p99_seconds * 1e3) for p in points if p.p99_seconds is not None])
    return (
        "<h2>Second by second</h2>"
        + chart("Requests answered per second", "seconds", "requests/s", [rates])
        + chart("Latency, p50 and p99 of each second", "seconds", "ms", [p50, p99])
    )


def _search(outcome: Outcome) -> str:
    """The answer, the chart of rate against latency, and every step."""
    dots = [
        Dot(
            step.rate, step.latency_seconds * 1e3, step.verdict.rpartition(" ")[2], f"{step.rate:.1f}/s: {step.verdict}"
        )
        for step in outcome.steps
        if step.latency_seconds is not None
    ]
    quantile = outcome.objective.partition("=")[0]
    drawing = chart(
        f"{quantile} by arrival rate",
        "arrivals/s",
        f"{quantile}, ms",
        [],
        dots,
        parse_slo(outcome.objective).seconds * 1e3,
    )
    columns = ("arrivals/s", "window s", f"{quantile} ms", "failed", "client lag p99 ms", "verdict")
    steps = _table(columns, [_step(step) for step in outcome.steps])
    return f"<h2>Objective {escape(outcome.objective)}</h2><p>{escape(sentence(outcome))}</p>{drawing}{steps}"


def sentence(outcome: Outcome) -> str:
    """What a search found, in one sentence."""
    if outcome.rate is None:
        lowest = min((step.rate for step in outcome.steps), default=0.0)
        whose = "this client fell behind its own schedule" if outcome.limited_by == "client" else "the server was late"
        return f"{outcome.objective} does not hold at any rate tried, down to {lowest:.1f} requests/s: {whose}."
    sure = "confirmed over a longer window" if outcome.confirmed else "not confirmed by a longer window"
    limit = {
        "server": "above it the server is late",
        "client": "above it this client falls behind its own schedule, so the server may hold more",
        "search": "the search ended there (highest rate or time limit), so the server may hold more",
    }[outcome.limited_by]
    return f"{outcome.objective} holds up to {outcome.rate:.1f} requests/s ({sure}); {limit}."


def _step(step: Step) -> tuple[str, ...]:
    latency = "-" if step.latency_seconds is None else f"{step.latency_seconds * 1e3:.1f}"
    lag = step.measured.client_lag_seconds
    lag_shown = f"{lag.p99 * 1e3:.1f}" if lag else "-"
    rate, window = f"{step.rate:.1f}", f"{step.window_seconds:g}"
    return (rate, window, latency, str(step.measured.failed), lag_shown, step.verdict)


def _conditions(conditions: Conditions) -> str:
    entries = {
        "server": conditions.url,
        "model": f"{conditions.model}, version {conditions.model_version or 'not told'}",
        "scenario": conditions.scenario,
        "client machine": conditions.machine,
        "command": conditions.command,
        "seed": str(conditions.seed),
        "tidegate": conditions.tidegate_version,
    }
    pairs = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in entries.items())
    return f"<h2>Conditions</h2><dl>{pairs}</dl>"


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    head = "".join(f"<th>{escape(column)}</th>" for column in columns)
    body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table>{f'<thead><tr>{head}</tr></thead>' if columns else ''}<tbody>{body}</tbody></table>"
