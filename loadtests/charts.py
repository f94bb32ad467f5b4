"""Line and dot charts as inline SVG, drawn from points alone: no script, no font, nothing to load.

For `page`. Colours are CSS classes of the page, so that the charts follow its light and dark theme.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 720, 240
LEFT, RIGHT, TOP, BOTTOM = 56, 16, 28, 40
_NOTHING = 1e-300  # below it a power of ten is no exact number any more; nothing that is drawn is so small


@dataclass(frozen=True, slots=True)
class Line:
    """One line; its CSS class gives the colour, its name stands in the legend."""

    name: str
    css: str
    points: Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Dot:
    """One marked point, with the text shown when the pointer rests on it."""

    x: float
    y: float
    css: str
    title: str


def chart(
    title: str, x_name: str, y_name: str, lines: Sequence[Line], dots: Sequence[Dot] = (), level: float | None = None
) -> str:
    """A chart with both axes from zero; `level` draws a dashed horizontal line. Values are finite, at or above 0."""
    points = [point for line in lines for point in line.points] + [(dot.x, dot.y) for dot in dots]
    x_top = _round_up(max((x for x, _ in points), default=1.0))
    y_top = _round_up(max([y for _, y in points] + [level or 0.0], default=1.0))

    def at(x: float, y: float) -> tuple[float, float]:
        return (
            LEFT + x / x_top * (WIDTH - LEFT - RIGHT),
            HEIGHT - BOTTOM - y / y_top * (HEIGHT - TOP - BOTTOM),
        )

    parts = [
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">',
        f"<title>{escape(title)}</title>",
    ]
    parts += _grid(x_top, y_top, x_name, y_name)
    if level is not None:
        (x1, y), (x2, _) = at(0, level), at(x_top, level)
        parts.append(f'<line class="level" x1="{x1:.1f}" y1="{y:.1f}" x2="{x2:.1f}" y2="{y:.1f}"/>')
    for number, line in enumerate(lines):
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in (at(*point) for point in line.points))
        parts.append(f'<polyline class="{line.css}" points="{path}"/>')
        parts.append(f'<text class="{line.css}" x="{LEFT + 8 + 90 * number}" y="{TOP - 12}">{escape(line.name)}</text>')
    for dot in dots:
        x, y = at(dot.x, dot.y)
        parts.append(
            f'<circle class="{dot.css}" cx="{x:.1f}" cy="{y:.1f}" r="4"><title>{escape(dot.title)}</title></circle>'
        )
    return "".join([*parts, "</svg>"])


def _grid(x_top: float, y_top: float, x_name: str, y_name: str) -> list[str]:
    """Four lines each way, their numbers, and the names of the axes."""
    parts = []
    for quarter in range(5):
        x = LEFT + quarter / 4 * (WIDTH - LEFT - RIGHT)
        y = HEIGHT - BOTTOM - quarter / 4 * (HEIGHT - TOP - BOTTOM)
        parts.append(f'<line class="grid" x1="{LEFT}" y1="{y:.1f}" x2="{WIDTH - RIGHT}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{y_top * quarter / 4:g}</text>')
        parts.append(
            f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{x_top * quarter / 4:g}</text>'
        )
    parts.append(f'<text x="{WIDTH - RIGHT}" y="{HEIGHT - 6}" text-anchor="end">{escape(x_name)}</text>')
    parts.append(f'<text x="4" y="{HEIGHT - 6}">{escape(y_name)}</text>')
    return parts


def _round_up(value: float) -> float:
    """The next of 1, 2, 4, 8 times a power of ten: quarters of it are short numbers."""
    if value < _NOTHING:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 4, 8, 10) if step * power >= value * (1 - 1e-9))
