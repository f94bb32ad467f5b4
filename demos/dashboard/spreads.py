"""Spreads: distributions of several splits over each other, quantiles by class, and events over time, as inline SVG.

Beside `plots`, for the views of data and alerts. The first split is filled, the second a dashed outline, the third a
solid one with the largest weight, so that a print in grey is legible; every bar says its numbers at rest.
Limits: shares are finite; a view cuts what is longer than a plot can show.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from demos.dashboard import axes
from demos.dashboard.axes import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, Scale
from demos.dashboard.histogram import Steps

NAMES = {"training": "training", "evaluation": "evaluation", "window": "live"}
_ROW, _BAR, _TEXT = 54.0, 11.0, 110.0
_STRIP = 30.0


@dataclass(frozen=True, slots=True)
class Group:
    """A class and its share in each split, in [0, 1]; None where the split is not known."""

    name: str
    shares: Sequence[float | None]


@dataclass(frozen=True, slots=True)
class Spread:
    """A row of quantiles: 5, 25, 50, 75 and 95 %; `kind` in [0, 8) chooses the colour."""

    name: str
    quantiles: Sequence[float]
    kind: int = 0


@dataclass(frozen=True, slots=True)
class Moment:
    """Something on a strip between two times, Unix seconds; `bad` draws it as what exceeds a band."""

    lane: str
    start: float
    end: float
    said: str
    bad: bool = False


def steps(title: str, found: Steps, x_name: str) -> str:
    """Histograms over each other.

    Args:
        title: what is distributed.
        found: shares of each split over steps of equal width.
        x_name: of the axis, with its unit.
    """
    x = Scale(found.low, found.high, LEFT, WIDTH - RIGHT)
    top = max(max(shares) for shares in found.shares.values())
    y = axes.over([0.0, top], HEIGHT - BOTTOM, TOP + 6, from_zero=True)
    drawn = [axes.drawn(x, y, x_name, "share of rows")]
    for name, shares in found.shares.items():
        drawn.append(_filled(shares, x, y) if name == "training" else _outline(name, shares, x, y))
    said = "; ".join(_beyond(name, found) for name in found.shares)
    return _svg(title, f"{said}.", WIDTH, HEIGHT, *drawn) + legend([*found.shares])


def groups(title: str, rows: Sequence[Group], splits: Sequence[str]) -> str:
    """Shares of classes, a bar a split each, with their numbers beside them."""
    room, drawn = WIDTH - 90.0, []
    bar = (_ROW - 18.0) / max(len(splits), 1)
    for index, row in enumerate(rows):
        top = index * _ROW
        drawn.append(f'<text x="0" y="{top + 11}">{escape(_cut(row.name, 40))}</text>')
        for number, (split, share) in enumerate(zip(splits, row.shares, strict=True)):
            if share is not None:
                drawn.append(_bar(split, top + 15 + number * bar, share, room, bar - 2))
    said = "; ".join(f"{row.name}: {_shares(row, splits)}" for row in rows)
    return _svg(title, said, WIDTH, max(len(rows), 1) * _ROW, *drawn) + legend(splits)


def boxes(title: str, rows: Sequence[Spread], x_name: str) -> str:
    """Quantiles of a number, a row a class: a line from 5 to 95 %, a box of the middle half, and the median."""
    left = _TEXT + 8.0
    height = len(rows) * _STRIP + BOTTOM
    x = axes.over([value for row in rows for value in row.quantiles], left, WIDTH - RIGHT)
    floor = len(rows) * _STRIP
    drawn = [_time_axis_rule(left, floor)]
    for tick in x.ticks(5):
        at = x.at(tick)
        drawn.append(f'<line class="rule" x1="{at}" x2="{at}" y1="0" y2="{floor + 4}"/>')
        drawn.append(f'<text x="{at}" y="{floor + 17}" text-anchor="middle">{axes.shown(tick)}</text>')
    drawn.append(
        f'<text x="{(left + WIDTH - RIGHT) / 2}" y="{floor + 36}" text-anchor="middle">{escape(x_name)}</text>'
    )
    for number, row in enumerate(rows):
        drawn.append(_box(row, x, number * _STRIP + _STRIP / 2))
    said = "; ".join(f"{row.name}: median {row.quantiles[2]:.4g}" for row in rows)
    return _svg(title, said, WIDTH, height, *drawn)


def strip(title: str, lanes: Sequence[str], moments: Sequence[Moment], until: float, ends: tuple[str, str]) -> str:
    """What happened when, a lane each, from the first start on; wide.

    Args:
        title: what happened.
        lanes: their names, from above.
        moments: each in one of the lanes.
        until: where the axis ends, Unix seconds.
        ends: what stands at both ends of the axis.
    """
    width, left = 960.0, 170.0
    first = min(moment.start for moment in moments)
    x = Scale(first, max(until, first + 1.0), left, width - 14.0)
    floor = len(lanes) * _STRIP
    drawn = [f'<line class="axis" x1="{left}" x2="{width - 14}" y1="{floor}" y2="{floor}"/>']
    for number, lane in enumerate(lanes):
        middle = number * _STRIP + _STRIP / 2
        drawn.append(f'<text x="0" y="{middle + 4}">{escape(_cut(lane, 26))}</text>')
        drawn.append(f'<line class="rule" x1="{left}" x2="{width - 14}" y1="{middle}" y2="{middle}"/>')
    drawn += [_moment(moment, x, lanes.index(moment.lane) * _STRIP + _STRIP / 2) for moment in moments]
    drawn.append(f'<text x="{left}" y="{floor + 17}">{escape(ends[0])}</text>')
    drawn.append(f'<text x="{width - 14}" y="{floor + 17}" text-anchor="end">{escape(ends[1])}</text>')
    said = "; ".join(moment.said for moment in moments[:20])
    svg = _svg(title, said, width, floor + 24, *drawn)
    return f'<div class="scroll strip" tabindex="0" role="region" aria-label="{escape(title)}">{svg}</div>'


def legend(splits: Sequence[str]) -> str:
    """The splits with how each is drawn."""
    items = "".join(
        f'<li><svg viewBox="0 0 28 12" class="chart" aria-hidden="true">'
        f'<rect class="split {escape(split)}" x="2" y="2" width="24" height="8"/></svg>{NAMES[split]}</li>'
        for split in splits
    )
    return f'<ul class="legend">{items}</ul>'


def _filled(shares: Sequence[float], x: Scale, y: Scale) -> str:
    width = (x.end - x.start) / len(shares)
    return "".join(
        f'<rect class="split training" x="{x.start + index * width:.1f}" y="{y.at(share)}" width="{width:.1f}" '
        f'height="{y.start - y.at(share):.1f}"><title>training: {share:.1%}</title></rect>'
        for index, share in enumerate(shares)
    )


def _outline(name: str, shares: Sequence[float], x: Scale, y: Scale) -> str:
    width = (x.end - x.start) / len(shares)
    points = [f"{x.start},{y.start}"]
    for index, share in enumerate(shares):
        left = x.start + index * width
        points += [f"{left:.1f},{y.at(share)}", f"{left + width:.1f},{y.at(share)}"]
    points.append(f"{x.end},{y.start}")
    return f'<polyline class="split {name}" points="{" ".join(points)}"><title>{NAMES[name]}</title></polyline>'


def _bar(split: str, y: float, share: float, room: float, height: float) -> str:
    width = max(share * room, 1.0)
    return (
        f'<rect class="split {escape(split)}" x="1" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}">'
        f"<title>{NAMES[split]}: {share:.1%}</title></rect>"
        f'<text x="{width + 7:.1f}" y="{y + height - 1.5:.1f}">{share:.1%}</text>'
    )


def _box(row: Spread, x: Scale, y: float) -> str:
    low, first, median, third, high = (x.at(value) for value in row.quantiles)
    said = ", ".join(f"{value:.4g}" for value in row.quantiles)
    css = f"s{row.kind % 8}"
    return (
        f'<g class="spread {css}"><title>{escape(f"{row.name}: {said}")}</title>'
        f'<line x1="{low}" x2="{high}" y1="{y}" y2="{y}"/>'
        f'<rect x="{first}" y="{y - 7}" width="{max(third - first, 1.0):.1f}" height="14"/>'
        f'<line class="median" x1="{median}" x2="{median}" y1="{y - 9}" y2="{y + 9}"/></g>'
        f'<text x="{_TEXT}" y="{y + 4}" text-anchor="end">{escape(_cut(row.name, 18))}</text>'
    )


def _moment(moment: Moment, x: Scale, y: float) -> str:
    start, end = x.at(moment.start), x.at(moment.end)
    css = "event bad" if moment.bad else "event"
    return (
        f'<rect class="{css}" x="{start - 4:.1f}" y="{y - 7}" width="{max(end - start, 0) + 8:.1f}" height="14" rx="4">'
        f"<title>{escape(moment.said)}</title></rect>"
    )


def _time_axis_rule(left: float, floor: float) -> str:
    return f'<line class="axis" x1="{left}" x2="{WIDTH - RIGHT}" y1="{floor}" y2="{floor}"/>'


def _beyond(name: str, found: Steps) -> str:
    return f"{NAMES[name]}: {found.below[name]:.1%} below and {found.above[name]:.1%} above the axis"


def _shares(row: Group, splits: Sequence[str]) -> str:
    known = zip(splits, row.shares, strict=True)
    return ", ".join(f"{NAMES[split]} {share:.1%}" for split, share in known if share is not None)


def _svg(title: str, description: str, width: float, height: float, *parts: str) -> str:
    return (
        f'<svg class="chart" viewBox="0 0 {width:g} {height:g}" role="img"><title>{escape(title)}</title>'
        f"<desc>{escape(description)}</desc>{''.join(parts)}</svg>"
    )


def _cut(name: str, most: int) -> str:
    return name if len(name) <= most else name[: most - 1] + "…"
