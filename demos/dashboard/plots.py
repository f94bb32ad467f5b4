"""Plots with axes, as inline SVG drawn on the server: lines, points, and a matrix of counts.

Beside `demos.charts`, which has the small charts of the drift report (trends with their bands, overlaid
distributions, pairs of bars) and is to be used where one of those fits. No script, no style attribute, nothing to
load: colours are classes of `page.css`, which follow the theme and the print. Series differ in dash and mark too, so
that a print in grey is legible. Each plot carries a title and a description for those who hear the page.
Limits: series hold finite values; callers thin what is longer than a plot can show.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from demos.dashboard import axes
from demos.dashboard.axes import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH
from demos.dashboard.names import placed

MOST_SERIES = 8  # that can be told apart
_MARKS = ("M-4 0a4 4 0 1 0 8 0a4 4 0 1 0 -8 0z", "M-4 -4h8v8h-8z", "M0 -5l5 9h-10z", "M0 -5l5 5l-5 5l-5 -5z")
_CELL, _LETTER = 46.0, 6.3  # sides of a cell, and the usual width of a letter
_LEAST_WIDTH = 400.0  # small matrices are not blown up


@dataclass(frozen=True, slots=True)
class Series:
    """Points of one line, in the order of x."""

    name: str
    xs: Sequence[float]
    ys: Sequence[float]


@dataclass(frozen=True, slots=True)
class Dot:
    """One point with its name; `kind` in [0, 8) chooses mark and colour, `filled` says that it is the chosen one."""

    name: str
    x: float
    y: float
    kind: int = 0
    filled: bool = True


def lines(
    title: str, series: Sequence[Series], x_name: str, y_name: str, *, from_zero: bool = False, diagonal: bool = False
) -> str:
    """Lines over common axes, each named at its end and in the legend.

    Args:
        title: what is plotted.
        series: the first eight are drawn; one without points keeps its colour for itself.
        x_name: of the axis, with its unit.
        y_name: of the axis, with its unit.
        from_zero: the y axis begins at 0.
        diagonal: draw y = x, what a calibrated model would do.
    """
    kept = [(number, one) for number, one in enumerate(series[:MOST_SERIES]) if one.xs]
    if not kept:
        return _empty(title)
    x = axes.over([value for _, one in kept for value in one.xs], LEFT, WIDTH - RIGHT)
    y = axes.over([value for _, one in kept for value in one.ys], HEIGHT - BOTTOM, TOP + 6, from_zero=from_zero)
    parts = [axes.drawn(x, y, x_name, y_name)]
    if diagonal:
        low, high = max(x.low, y.low), min(x.high, y.high)
        parts.append(f'<line class="edge" x1="{x.at(low)}" y1="{y.at(low)}" x2="{x.at(high)}" y2="{y.at(high)}"/>')
    for number, one in kept:
        places = [(x.at(a), y.at(b)) for a, b in zip(one.xs, one.ys, strict=True)]
        joined = " ".join(f"{a},{b}" for a, b in places)
        parts.append(f'<polyline class="line s{number}" points="{joined}"/>')
        if len(places) <= 40:
            shown = [f"{one.name}: {axes.shown(a)}, {b:.4g}" for a, b in zip(one.xs, one.ys, strict=True)]
            parts += [_mark(number, a, b, said) for (a, b), said in zip(places, shown, strict=True)]
    said = "; ".join(f"{one.name} from {one.ys[0]:.4g} to {one.ys[-1]:.4g}" for _, one in kept)
    left_out = f" {len(series) - MOST_SERIES} more are not drawn." if len(series) > MOST_SERIES else ""
    legend = "" if len(series) == 1 else _legend([(number, one.name) for number, one in kept])
    return _svg(title, f"{said}.{left_out}", WIDTH, HEIGHT, *parts) + legend


def dots(
    title: str, points: Sequence[Dot], x_name: str, y_name: str, *, log_x: bool = False, least_y: float = 0.0
) -> str:
    """Named points over common axes: what is gained against what it costs.

    Args:
        title: what is plotted.
        points: one or more; where `log_x`, x is above 0.
        x_name: of the axis, with its unit.
        y_name: of the axis, with its unit.
        log_x: the x axis is logarithmic.
        least_y: how much the y axis shows at least, so that small differences look small.
    """
    if not points:
        return _empty(title)
    x = axes.over([point.x for point in points], LEFT, WIDTH - RIGHT, log=log_x)
    y = axes.over([point.y for point in points], HEIGHT - BOTTOM, TOP + 6, least=least_y)
    places = [(x.at(point.x), y.at(point.y)) for point in points]
    parts = [axes.drawn(x, y, x_name, y_name)]
    for point, (at_x, at_y) in zip(points, places, strict=True):
        parts.append(_mark(point.kind, at_x, at_y, f"{point.name}: {point.x:.4g}, {point.y:.4g}", filled=point.filled))
    names = [_cut(point.name) for point in points]
    parts += [
        f'<text x="{place.x:.1f}" y="{place.y:.1f}" text-anchor="{place.anchor}">{escape(name)}</text>'
        for name, place in zip(names, placed(names, places), strict=True)
        if place is not None
    ]
    said = "; ".join(f"{point.name}: {x_name} {point.x:.4g}, {y_name} {point.y:.4g}" for point in points)
    return _svg(title, said, WIDTH, HEIGHT, *parts)


def matrix(title: str, rows: Sequence[str], columns: Sequence[str], counts: Sequence[Sequence[int]]) -> str:
    """Counts in a grid, shaded by their share of the row; every cell has its number.

    Args:
        title: what is counted.
        rows: their names, as the true labels.
        columns: their names, as the predicted labels.
        counts: (rows, columns), at or above 0.
    """
    left = 16 + _LETTER * max(len(_cut(name)) for name in rows)
    head = 20 + 0.75 * _LETTER * max(len(_cut(name)) for name in columns)  # they lean by 45 degrees
    parts = []
    for number, name in enumerate(columns):
        at = left + (number + 0.5) * _CELL
        parts.append(f'<text transform="translate({at:.1f} {head - 8:.1f}) rotate(-45)">{escape(_cut(name))}</text>')
    for row, (name, line) in enumerate(zip(rows, counts, strict=True)):
        y, total = head + row * _CELL, sum(line) or 1
        parts.append(f'<text x="{left - 8:.1f}" y="{y + 26:.1f}" text-anchor="end">{escape(_cut(name))}</text>')
        for column, count in enumerate(line):
            x = left + column * _CELL
            kind = "right" if rows[row] == columns[column] else "wrong"
            parts.append(  # at most 0.6, so that the number is legible on it
                f'<rect class="cell {kind}" x="{x:.1f}" y="{y:.1f}" width="{_CELL - 2}" height="{_CELL - 2}" '
                f'fill-opacity="{0.6 * count / total:.2f}">'
                f"<title>{escape(f'{name} as {columns[column]}: {count}')}</title></rect>"
            )
            middle, foot = x + _CELL / 2 - 1, y + _CELL / 2 + 3
            parts.append(f'<text class="count" x="{middle:.1f}" y="{foot:.1f}" text-anchor="middle">{count:,}</text>')
    said = "; ".join(f"{name}: {sum(line)}" for name, line in zip(rows, counts, strict=True))
    width = max(left + len(columns) * _CELL + head, _LEAST_WIDTH)
    return _svg(title, f"Rows and their counts: {said}.", width, head + len(rows) * _CELL, *parts)


def _mark(kind: int, x: float, y: float, said: str, *, filled: bool = True) -> str:
    hollow = "" if filled else " hollow"
    shape = _MARKS[kind % len(_MARKS)]
    return (
        f'<path class="dot s{kind % MOST_SERIES}{hollow}" transform="translate({x} {y})" d="{shape}">'
        f"<title>{escape(said)}</title></path>"
    )


def _legend(names: Sequence[tuple[int, str]]) -> str:
    """Names with their line and mark, below the plot, where they wrap on a phone."""
    items = "".join(
        f'<li><svg viewBox="-14 -6 28 12" class="chart" aria-hidden="true">'
        f'<line class="line s{number}" x1="-14" x2="14" y1="0" y2="0"/>'
        f'<path class="dot s{number}" d="{_MARKS[number % len(_MARKS)]}"/></svg>{escape(name)}</li>'
        for number, name in names
    )
    return f'<ul class="legend">{items}</ul>'


def _empty(title: str) -> str:
    return f'<p class="soft">{escape(title)}: no values yet.</p>'


def _svg(title: str, description: str, width: float, height: float, *parts: str) -> str:
    return (
        f'<svg class="chart" viewBox="0 0 {width:g} {height:g}" role="img"><title>{escape(title)}</title>'
        f"<desc>{escape(description)}</desc>{''.join(parts)}</svg>"
    )


def _cut(name: str, most: int = 22) -> str:
    return name if len(name) <= most else name[: most - 1] + "…"
