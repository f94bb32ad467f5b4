"""The view `/dashboard/live` and its figures, `/dashboard/live.json`: what the server does now and did just before.

The page is drawn from the ring, so that it says something without a script, too; `live.js` then asks for the points
that came since and draws them. Whoever asks makes the ring read, at most every 1.5 s for all viewers together.
Before: `ring`; after: `page`, `live.js`. `?model=M` shows one model. Limits: see `readings` and `ring`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import orjson

from demos.dashboard.content import Figure, Markup, Number, Page, Section, Table
from demos.dashboard.plots import MOST_SERIES, Series, lines
from demos.dashboard.readings import COLUMNS, EVERY, Row
from demos.dashboard.ring import KEPT_SECONDS, Ring
from demos.dashboard.visit import Visit
from serving.gateway import Gateway
from tidegate.errors import InvalidInput

POLL_SECONDS = 2.0
_X_NAME = "minutes ago"


@dataclass(frozen=True, slots=True)
class _Plot:
    """One plot: its name among the points, what it shows, its unit, and what to know of it."""

    name: str
    caption: str
    unit: str
    note: str = ""


_OF_MODELS = (
    _Plot("requests", "Requests by model", "a second"),
    _Plot("statuses", "Requests by status", "a second", "499: the caller left before the answer."),
    _Plot(
        "latency",
        "Latency",
        "ms",
        "From the texts to their answers, of each interval. Buckets double, so a quantile is known to within a factor "
        "of two; inside of one it is interpolated.",
    ),
    _Plot("waiting", "Waiting", "count"),
    _Plot("batches", "Batch size", "mean rows"),
    _Plot("padding", "Padding", "% of tokens"),
    _Plot("refused", "Refused", "a second", "429: too many wait; 503: not ready; 504: the deadline passed."),
)
_OF_SERVER = (
    _Plot("cores", "Processor", "cores busy", "Of all processes of the server."),
    _Plot("memory", "Memory", "MB"),
    _Plot("gpus", "GPU", "% of the time"),
    _Plot("monitoring", "Monitoring", "predictions a second", "Dropped: monitoring did not see them."),
)


async def present(visit: Visit) -> Page:
    """The plots and figures as they are now.

    Raises:
        ModelNotFound: the model of the query is not served.
    """
    model = _model(visit.gateway, visit.one("model"))
    await visit.ring.advance(visit.gateway)
    points = visit.ring.points(model)
    plots = [*_OF_MODELS, *(_OF_SERVER if model == EVERY else ())]
    figures = [_figure(plot, points) for plot in plots if plot.name != "gpus" or _has(points, "gpus")]
    now = Table(
        "now", "The newest figures", COLUMNS, [_cells(row) for row in _rows(visit.ring, model)],
        empty="The first figures come after a few seconds.",
    )  # fmt: skip
    title = f"{model}: live" if model else "Live"
    controls = Markup(_controls(visit, model))
    sections = [Section("", [controls, *figures]), Section("Now", [now])]
    return Page(title, said(visit.ring.rows, model), sections, live=True)


async def document(gateway: Gateway, ring: Ring, query: Mapping[str, str]) -> bytes:
    """The points since a moment, the newest figures and a sentence on them, as JSON.

    Raises:
        InvalidInput: `since` is no time.
        ModelNotFound: the model is not served.
    """
    model, since = _model(gateway, query.get("model", "")), _seconds(query.get("since", "0"))
    await ring.advance(gateway)
    told = {"said": said(ring.rows, model), "every": POLL_SECONDS, "kept": KEPT_SECONDS, "rows": _rows(ring, model)}
    return orjson.dumps(told)[:-1] + b',"points":' + ring.since(since, model) + b"}"


def said(rows: Sequence[Row], model: str = EVERY) -> str:
    """The newest figures in one sentence."""
    row = next((row for row in rows if row[0] == (model or "all")), None)
    if row is None:
        return "The first figures come after a few seconds."
    told: dict[str, Any] = dict(zip(COLUMNS, row, strict=True))
    latency = f"the p99 is {told[COLUMNS[5]]} ms" if told[COLUMNS[5]] else "nobody asked just now"
    refused = f"{told['refused/s']:g} a second are refused" if told["refused/s"] else "nothing is refused"
    waiting = told["texts queued"]
    waits = f"{waiting:g} {'text waits' if waiting == 1 else 'texts wait'}"
    return f"{told['requests/s']:.3g} requests a second; {latency}; {waits}; {refused}."


def _model(gateway: Gateway, name: str) -> str:
    if name != EVERY:
        gateway.repository.state(name)
    return name


def _seconds(word: str) -> float:
    try:
        seconds = float(word)
    except ValueError:
        seconds = -1.0
    if not 0.0 <= seconds < 1e12:
        raise InvalidInput(f"since is a time in Unix seconds, not {word[:40]!r}; 0 asks for all that is kept")
    return seconds


def _rows(ring: Ring, model: str) -> list[Row]:
    return [row for row in ring.rows if model in (EVERY, row[0])]


def _cells(row: Row) -> list[Any]:
    return [Number(value, f"{value:.4g}") if isinstance(value, float) else value for value in row]


def _has(points: Sequence[Mapping[str, Any]], plot: str) -> bool:
    return any(plot in point["plots"] for point in points)


def _figure(plot: _Plot, points: Sequence[Mapping[str, Any]]) -> Figure:
    """A plot in a frame that the script finds and fills anew."""
    drawn = lines(plot.caption, _series(plot.name, points), _X_NAME, plot.unit, from_zero=True)
    frame = f'<div data-plot="{plot.name}" data-title="{escape(plot.caption)}" data-unit="{escape(plot.unit)}">'
    return Figure(plot.caption, f"{frame}{drawn}</div>", plot.note)


def _series(plot: str, points: Sequence[Mapping[str, Any]]) -> list[Series]:
    """The lines of a plot over minutes, those with the highest sums; gaps are bridged."""
    found: dict[str, list[tuple[float, float]]] = {}
    for point in points:
        for name, value in point["plots"].get(plot, {}).items():
            if value is not None:
                found.setdefault(name, []).append(((point["at"] - points[-1]["at"]) / 60, value))
    most = sorted(found, key=lambda name: -sum(value for _, value in found[name]))[:MOST_SERIES]
    kept = [name for name in found if name in most]
    return [Series(name, [x for x, _ in found[name]], [y for _, y in found[name]]) for name in kept]


def _controls(visit: Visit, model: str) -> str:
    """Which model, pause, and what the script is doing; the button shows itself where a script runs."""
    options = "".join(
        f'<option value="{escape(name)}"{" selected" if name == model else ""}>{escape(name or "all models")}</option>'
        for name in (EVERY, *visit.gateway.repository.states)
    )
    return (
        '<form class="controls" method="get"><label>Model <select name="model">'
        f'{options}</select></label> <button>Show</button> <button type="button" id="pause" hidden>Pause</button>'
        f'<span id="live-state" class="soft">Loaded anew every 15 s.</span></form>'
    )
