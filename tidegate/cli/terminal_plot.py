"""Curves over each other in a terminal, in braille dots: 2 by 4 to a character.

Every curve has a colour and, at its right end, its letter, so that a plot that was piped or printed reads too. A
pure function of its points to lines of text; `comparison_tables` prints them.
"""

import itertools
import math
from collections.abc import Sequence
from typing import Any

from rich.text import Text

COLOURS = ("cyan", "magenta", "yellow", "green", "blue", "red", "bright_white")
_BLANK = 0x2800
_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))  # of a braille character, by row and column

Curve = Sequence[tuple[float, float]]


def letter(index: int) -> str:
    """The sign of the run at an index: A, B, ..., Z, A2, ..."""
    return chr(ord("A") + index % 26) + (str(index // 26 + 1) if index >= 26 else "")


def plot(curves: Sequence[Curve | None], width: int, height: int) -> list[Text]:
    """Draw curves over each other.

    Args:
        curves: (step, value) pairs in the order of the steps; None or no finite point: no curve of that run.
        width: characters, axis labels included; at least 30.
        height: lines of the field; two more hold the axis of the steps.

    Returns:
        The lines; none where no curve has a finite point.
    """
    finite = [[(x, y) for x, y in curve or () if math.isfinite(y)] for curve in curves]
    every = [point for curve in finite for point in curve]
    if not every:
        return []
    left, right = min(x for x, _ in every), max(x for x, _ in every)
    low, high = min(y for _, y in every), max(y for _, y in every)
    columns = width - 14
    cells: dict[tuple[int, int], tuple[int, int]] = {}
    ends: dict[int, list[int]] = {}
    for index, curve in enumerate(finite):
        dots = [
            (_scaled(x, left, right, columns * 2 - 1), height * 4 - 1 - _scaled(y, low, high, height * 4 - 1))
            for x, y in curve
        ]
        for column, row in _joined(dots):
            cell = (row // 4, column // 2)
            cells[cell] = (cells.get(cell, (0, 0))[0] | _DOTS[row % 4][column % 2], index)
        if dots:
            ends.setdefault(dots[-1][1] // 4, []).append(index)
    lines = [_line(row, columns, cells, ends, _label(row, height, low, high)) for row in range(height)]
    steps = f"{left:.6g}".ljust(columns - len(f"{right:.6g}")) + f"{right:.6g}"
    return [*lines, Text(" " * 10 + "└" + "─" * columns), Text(" " * 11 + steps)]


def _scaled(value: float, low: float, high: float, most: int) -> int:
    return round((value - low) / (high - low) * most) if high > low else most // 2


def _joined(dots: Sequence[tuple[int, int]]) -> set[tuple[int, int]]:
    """The dots of a line through the points."""
    drawn = set(dots)
    for (x, y), (to_x, to_y) in itertools.pairwise(dots):
        many = max(abs(to_x - x), abs(to_y - y), 1)
        drawn |= {(round(x + (to_x - x) * n / many), round(y + (to_y - y) * n / many)) for n in range(many)}
    return drawn


def _label(row: int, height: int, low: float, high: float) -> str:
    """Of the axis of values: at the top, in the middle and at the bottom."""
    at = {0: high, height // 2: (low + high) / 2, height - 1: low}
    return f"{at[row]:>9.4g}" if row in at else " " * 9


def _line(row: int, columns: int, cells: dict[tuple[int, int], tuple[int, int]], ends: Any, label: str) -> Text:
    line = Text(f"{label} │")
    for column in range(columns):
        dots, index = cells.get((row, column), (0, 0))
        line.append(chr(_BLANK + dots) if dots else " ", style=COLOURS[index % len(COLOURS)] if dots else "")
    for index in ends.get(row, ()):
        line.append(letter(index), style=f"bold {COLOURS[index % len(COLOURS)]}")
    return line
