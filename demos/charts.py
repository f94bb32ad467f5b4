"""Charts as inline SVG, drawn on the server from numbers alone: no script, no font, nothing to load.

For pages for people (`drift_page`). Colours are CSS classes of the page (`STYLE`), so that charts follow its light
and dark theme and its print; nothing is told by colour alone: what exceeds its band is a larger diamond, the window is
an outline over the filled reference. Each chart carries a title and a description for those who hear the page.
Limits: values are finite; a chart draws every value it is given, so callers cut long series.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

STYLE = """
svg.chart { width: 100%; height: auto; display: block }
svg.chart text { font: 11px ui-sans-serif, system-ui, sans-serif; fill: var(--soft) }
svg.chart .axis { stroke: var(--line) }
svg.chart .band { fill: var(--band); stroke: none }
svg.chart .edge { fill: none; stroke: var(--soft); stroke-dasharray: 4 3 }
svg.chart .line { fill: none; stroke: var(--now); stroke-width: 2; stroke-linejoin: round }
svg.chart .dot { fill: var(--now) }
svg.chart .beyond { fill: var(--bad); stroke: var(--paper) }
svg.chart .before { fill: var(--before) }
svg.chart .now { fill: none; stroke: var(--now); stroke-width: 2 }
svg.chart .bar { fill: var(--now) }
"""

_WIDTH, _HEIGHT = 320, 120
_LEFT, _RIGHT, _TOP, _BOTTOM = 4, 4, 14, 18
_MOST_BANDS = 4  # height of an axis in bands; what lies higher is drawn at its top, lest the band vanish
_ROW = 40  # of a pair of bars, its name above them


@dataclass(frozen=True, slots=True)
class Point:
    """One value of a trend, at or above 0, against the upper edge of its band; `name` is shown at rest."""

    value: float
    limit: float
    name: str


@dataclass(frozen=True, slots=True)
class Pair:
    """A share before and now, each in [0, 1]."""

    name: str
    before: float
    now: float


def trend(title: str, points: Sequence[Point], *, start: str = "", end: str = "") -> str:
    """Values over time, oldest first, above the band in which they lie when nothing has changed.

    Args:
        title: what the values are.
        points: one or more; the band reaches from 0 to each point's limit.
        start: names the left end of the axis ...
        end: ... and this its right end.
    """
    ceiling = max(point.limit for point in points) * _MOST_BANDS or max(point.value for point in points)
    top = min(max(max(point.value, point.limit) for point in points), ceiling) * 1.05 or 1.0
    xs = _spread(len(points))
    values = [_y(min(point.value / top, 1.0)) for point in points]
    limits = [_y(point.limit / top) for point in points]
    floor = _y(0.0)
    edge = " ".join(f"{x:.1f},{y:.1f}" for x, y in zip(xs, limits, strict=True))
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in zip(xs, values, strict=True))
    marks = "".join(_mark(x, y, point) for x, y, point in zip(xs, values, points, strict=True))
    beyond = sum(point.value > point.limit for point in points)
    beyond_top = any(point.value > top for point in points)
    newest = points[-1]
    said = (
        f"{len(points)} values; {beyond} beyond the band. "
        f"The newest is {newest.value:.3g}, its band reaches to {newest.limit:.3g}."
    )
    return _svg(
        title,
        said,
        _HEIGHT,
        f'<polygon class="band" points="{xs[0]:.1f},{floor} {edge} {xs[-1]:.1f},{floor}"/>',
        f'<polyline class="edge" points="{edge}"/><polyline class="line" points="{line}"/>{marks}',
        _axis(start, end),
        f'<text x="{_LEFT}" y="10">{top / 1.05:.3g}{" and more" if beyond_top else ""}</text>',
    )


def overlaid(title: str, places: Sequence[str], before: Sequence[float], now: Sequence[float]) -> str:
    """Two distributions over the same bins: `before` filled, `now` as an outline above it.

    Args:
        title: what is distributed.
        places: name of each bin.
        before: share per bin, in [0, 1].
        now: the same of what is compared with it.
    """
    top = max(*before, *now, 1e-9) * 1.05
    step = (_WIDTH - _LEFT - _RIGHT) / len(places)
    floor = _y(0.0)
    bars, outline = [], [f"{_LEFT},{floor}"]
    for index, (name, was, is_now) in enumerate(zip(places, before, now, strict=True)):
        x, y = _LEFT + index * step, _y(was / top)
        said = escape(f"{name}: {was:.1%} before, {is_now:.1%} now")
        bars.append(
            f'<rect class="before" x="{x + 0.5:.1f}" y="{y:.1f}" width="{max(step - 1, 0.5):.1f}" '
            f'height="{floor - y:.1f}"><title>{said}</title></rect>'
        )
        outline += [f"{x:.1f},{_y(is_now / top):.1f}", f"{x + step:.1f},{_y(is_now / top):.1f}"]
    outline.append(f"{_WIDTH - _RIGHT},{floor}")
    far = max(range(len(places)), key=lambda index: abs(now[index] - before[index]))
    moved = f"The largest change is at {places[far]}: from {before[far]:.1%} to {now[far]:.1%}."
    return _svg(
        title,
        f"Shares over {len(places)} bins, the reference filled and the window as an outline. {moved}",
        _HEIGHT,
        *bars,
        f'<polyline class="now" points="{" ".join(outline)}"/>',
        _axis(places[0], places[-1]),
        f'<text x="{_LEFT}" y="10">{top / 1.05:.1%}</text>',
    )


def bars(title: str, pairs: Sequence[Pair]) -> str:
    """Shares before and now, a pair of horizontal bars each, with their numbers beside them."""
    room = _WIDTH - 110
    drawn = []
    for index, pair in enumerate(pairs):
        y = index * _ROW
        drawn.append(f'<text x="0" y="{y + 11}">{escape(_cut(pair.name))}</text>')
        drawn += _bar("before", y + 15, pair.before, room, "before") + _bar("bar", y + 26, pair.now, room, "now")
    said = "; ".join(f"{pair.name}: {pair.before:.1%} before, {pair.now:.1%} now" for pair in pairs)
    return _svg(title, said, max(_ROW * len(pairs), 1), *drawn)


def _bar(css: str, y: float, share: float, room: float, name: str) -> list[str]:
    width = max(share * room, 1.0)
    return [
        f'<rect class="{css}" x="0" y="{y}" width="{width:.1f}" height="9"/>',
        f'<text x="{width + 5:.1f}" y="{y + 8}">{share:.1%} {name}</text>',
    ]


def _svg(title: str, description: str, height: float, *parts: str) -> str:
    return (
        f'<svg class="chart" viewBox="0 0 {_WIDTH} {height}" role="img"><title>{escape(title)}</title>'
        f"<desc>{escape(description)}</desc>{''.join(parts)}</svg>"
    )


def _axis(start: str, end: str) -> str:
    floor, words = _y(0.0), _HEIGHT - 5
    return (
        f'<line class="axis" x1="{_LEFT}" y1="{floor}" x2="{_WIDTH - _RIGHT}" y2="{floor}"/>'
        f'<text x="{_LEFT}" y="{words}">{escape(_cut(start))}</text>'
        f'<text x="{_WIDTH - _RIGHT}" y="{words}" text-anchor="end">{escape(_cut(end))}</text>'
    )


def _mark(x: float, y: float, point: Point) -> str:
    said = f"<title>{escape(f'{point.name}: {point.value:.3g}, band to {point.limit:.3g}')}</title>"
    if point.value > point.limit:
        return f'<path class="beyond" d="M{x:.1f} {y - 5.5:.1f}l5.5 5.5l-5.5 5.5l-5.5 -5.5z">{said}</path>'
    return f'<circle class="dot" cx="{x:.1f}" cy="{y:.1f}" r="2.5">{said}</circle>'


def _spread(count: int) -> list[float]:
    """Places of values along the axis, the newest at its right end; marks have room at both ends."""
    first, last = _LEFT + 6.0, _WIDTH - _RIGHT - 6.0
    return [last - (last - first) * (count - 1 - index) / max(count - 1, 1) for index in range(count)]


def _y(share: float) -> float:
    """Height of a share of the axis, measured from above as SVG has it."""
    return round(_HEIGHT - _BOTTOM - share * (_HEIGHT - _TOP - _BOTTOM), 1)


def _cut(name: str, most: int = 34) -> str:
    return name if len(name) <= most else name[: most - 1] + "…"
