"""Where the names of a plot's points go, so that none lies on another name or on a point.

Greedy: each name takes the first free place around its point; one that finds none is left out, and is still told by
the point's own title, by the description, and by the table below. Lengths are estimates: the browser has the font.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from demos.dashboard.axes import BOTTOM, HEIGHT, LEFT, RIGHT, WIDTH

_LETTER, _LINE = 6.1, 12.0  # of an 11 px font, in units of the SVG
_MARK = 5.0


class Place(NamedTuple):
    """Of a text, as SVG has it."""

    x: float
    y: float
    anchor: str


Box = tuple[float, float, float, float]  # left, top, right, bottom


def placed(names: Sequence[str], points: Sequence[tuple[float, float]]) -> list[Place | None]:
    """A place for each name.

    Args:
        names: of the points.
        points: where they are, in units of the SVG.
    """
    taken: list[Box] = [(x - _MARK, y - _MARK, x + _MARK, y + _MARK) for x, y in points]
    found: list[Place | None] = []
    for name, (x, y) in zip(names, points, strict=True):
        free = next((one for one in _around(x, y) if _is_free(_box(name, one), taken)), None)
        found.append(free)
        if free is not None:
            taken.append(_box(name, free))
    return found


def _around(x: float, y: float) -> Iterator[Place]:
    """Beside, above and below, the nearest first."""
    for away in (4.0, -8.0, 16.0, -20.0, 28.0):
        yield Place(x + 9, y + away, "start")
        yield Place(x - 9, y + away, "end")


def _box(name: str, place: Place) -> Box:
    width = len(name) * _LETTER
    left = place.x if place.anchor == "start" else place.x - width
    return left, place.y - _LINE + 3, left + width, place.y + 3


def _is_free(box: Box, taken: Sequence[Box]) -> bool:
    left, top, right, bottom = box
    inside = left >= LEFT and right <= WIDTH - RIGHT + 12 and top >= 0 and bottom <= HEIGHT - BOTTOM
    return inside and not any(left < r and right > le and top < b and bottom > t for le, t, r, b in taken)
