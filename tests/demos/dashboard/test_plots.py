"""Plots say what their values are, to eyes and to ears, and hold whatever they are given within the sheet."""

import re
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from demos.dashboard import axes
from demos.dashboard.axes import HEIGHT, WIDTH
from demos.dashboard.names import placed
from demos.dashboard.plots import MOST_SERIES, Dot, Series, dots, lines, matrix
from tests.demos.dashboard.visits import HOSTILE

_VALUES = st.floats(-1e12, 1e12, allow_nan=False)
_POSITIVE = st.floats(1e-9, 1e9)


def texts(svg: str) -> list[str]:
    """What is written on a plot; fails where it is no XML."""
    root = ElementTree.fromstring(svg[: svg.index("</svg>") + 6])  # noqa: S314  # ours
    return [one.text or "" for one in root.iter("text")]


@given(st.lists(_VALUES, min_size=1, max_size=30))
def test_a_linear_axis_holds_its_values_and_its_ticks(values: list[float]) -> None:
    scale = axes.over(values, 0.0, 100.0)

    assert all(scale.low <= value <= scale.high for value in values)
    ticks = scale.ticks()
    assert len(ticks) <= 8
    assert ticks == sorted(ticks)
    assert all(0 <= scale.at(tick) <= 100 for tick in ticks)


@given(st.lists(_POSITIVE, min_size=1, max_size=30))
def test_a_logarithmic_axis_holds_its_values_and_has_two_ticks_at_least(values: list[float]) -> None:
    scale = axes.over(values, 0.0, 100.0, log=True)

    assert all(scale.low <= value <= scale.high for value in values)
    assert len(scale.ticks()) >= 2


def test_what_differs_by_the_arithmetic_alone_is_drawn_as_the_same() -> None:
    scale = axes.over([0.1 + 0.2, 0.3], 0.0, 100.0)

    assert scale.high - scale.low > 0.05


def test_an_axis_shows_as_much_as_was_asked_for() -> None:
    scale = axes.over([85.1, 85.2], 0.0, 100.0, least=2.0)

    assert scale.high - scale.low == pytest.approx(2.0)
    assert scale.low < 85.1


@pytest.mark.parametrize(
    ("value", "words"), [(0.25, "0.25"), (1500.0, "1,500"), (7.5e-5, "7.5e-05"), (2e6, "2e+06"), (0.0, "0")]
)
def test_ticks_are_written_as_people_write_numbers(value: float, words: str) -> None:
    assert axes.shown(value) == words


def test_lines_differ_in_colour_dash_and_mark_and_are_named_below_and_aloud() -> None:
    drawn = lines("Loss", [Series("train", [0, 1], [1.0, 0.5]), Series("eval", [0, 1], [1.2, 0.9])], "step", "loss")

    assert 'role="img"' in drawn
    assert "<desc>train from 1 to 0.5; eval from 1.2 to 0.9.</desc>" in drawn
    assert 'class="line s0"' in drawn
    assert 'class="line s1"' in drawn
    assert re.findall(r"</svg>(\w+)</li>", drawn) == ["train", "eval"]
    assert "style=" not in drawn


def test_a_line_without_points_keeps_its_colour_for_itself() -> None:
    drawn = lines("Loss", [Series("a", [], []), Series("b", [0, 1], [1.0, 0.5])], "step", "loss")

    assert 'class="line s1"' in drawn
    assert 'class="line s0"' not in drawn


def test_more_lines_than_can_be_told_apart_are_counted_and_left_out() -> None:
    drawn = lines("Loss", [Series(f"run {n}", [0], [float(n)]) for n in range(11)], "step", "loss")

    assert drawn.count("<polyline") == MOST_SERIES
    assert "3 more are not drawn" in drawn


def test_names_from_outside_are_text_on_every_plot() -> None:
    series = [Series(HOSTILE, [0, 1], [1, 2]), Series("b", [0, 1], [1, 2])]
    drawn = [
        lines(HOSTILE, series, HOSTILE, HOSTILE),
        dots(HOSTILE, [Dot(HOSTILE, 1, 1)], HOSTILE, HOSTILE),
        matrix(HOSTILE, [HOSTILE, "b"], [HOSTILE, "b"], [[1, 2], [3, 4]]),
        lines(HOSTILE, [], "x", "y"),
    ]

    assert all("<script" not in one for one in drawn)
    assert all(HOSTILE[:15] in "".join(texts(one)) for one in drawn[1:3])


@given(st.lists(st.tuples(_POSITIVE, st.floats(0, 100)), min_size=1, max_size=12))
def test_points_lie_on_the_sheet_and_each_is_told_with_its_values(points: list[tuple[float, float]]) -> None:
    drawn = dots("Trade-off", [Dot(f"v{n}", x, y, n) for n, (x, y) in enumerate(points)], "ms", "%", log_x=True)
    places = re.findall(r"translate\(([\d.]+) ([\d.]+)\)", drawn)

    assert len(places) == len(points)
    assert all(0 <= float(x) <= WIDTH and 0 <= float(y) <= HEIGHT for x, y in places)
    assert all(f"v{n}: " in drawn for n in range(len(points)))


@given(st.lists(st.tuples(st.floats(60, 460), st.floats(30, 220)), min_size=1, max_size=15))
def test_no_name_lies_on_another_or_on_a_point(points: list[tuple[float, float]]) -> None:
    names = [f"int8 variant {n}" for n in range(len(points))]
    found = [(place, len(name) * 6.1) for name, place in zip(names, placed(names, points), strict=True) if place]
    boxes = [
        (place.x if place.anchor == "start" else place.x - width, place.y - 9, width, 12.0) for place, width in found
    ]

    for number, (x, y, width, height) in enumerate(boxes):
        assert not any(x < px < x + width and y < py < y + height for px, py in points)
        for other_x, other_y, other_width, other_height in boxes[number + 1 :]:
            apart = x + width <= other_x or other_x + other_width <= x
            assert apart or y + height <= other_y or other_y + other_height <= y


def test_names_of_near_points_are_both_there() -> None:
    drawn = dots("Trade-off", [Dot("fp32", 5.0, 85.3), Dot("fused", 5.01, 85.3)], "ms", "%", log_x=True, least_y=2.0)

    assert {"fp32", "fused"} <= set(texts(drawn))


def test_every_cell_of_a_matrix_has_its_number_and_its_words() -> None:
    drawn = matrix("Confusion", ["bad", "good"], ["bad", "good"], [[9, 1], [0, 0]])

    assert [text for text in texts(drawn) if text.isdigit()] == ["9", "1", "0", "0"]
    assert "<title>bad as good: 1</title>" in drawn
