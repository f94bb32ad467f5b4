"""Charts: whatever the values, everything drawn lies on the sheet."""

import re

from hypothesis import example, given
from hypothesis import strategies as st

from loadtests.charts import HEIGHT, LEFT, WIDTH, Dot, Line, chart

VALUES = st.floats(0, 1e9)


@given(st.lists(st.tuples(VALUES, VALUES), max_size=20), st.none() | VALUES)
@example([(5e-324, 5e-324)], None)
@example([(1e-300, 1e-300)], 1e-300)
def test_every_point_lies_on_the_sheet(points: list[tuple[float, float]], level: float | None) -> None:
    dots = [Dot(x, y, "kept", "a dot") for x, y in points]

    drawn = chart("title", "x", "y", [Line("line", "one", points)], dots, level)

    for x, y in re.findall(r"([\d.e+-]+),([\d.e+-]+)", "".join(re.findall(r'points="([^"]*)"', drawn))):
        assert 0 <= float(x) <= WIDTH
        assert 0 <= float(y) <= HEIGHT
    assert all(LEFT <= float(x) <= WIDTH for x in re.findall(r'cx="([^"]*)"', drawn))
    assert drawn.count("<circle") == len(points)


def test_more_stands_higher_and_later_stands_further_right() -> None:
    drawn = chart("title", "x", "y", [], [Dot(1, 1, "kept", ""), Dot(2, 3, "kept", "")])

    (x1, x2), (y1, y2) = (list(map(float, re.findall(rf'{axis}="([^"]*)"', drawn))) for axis in ("cx", "cy"))
    assert x1 < x2
    assert y1 > y2
