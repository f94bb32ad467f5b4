"""Charts are well-formed SVG that says in words and shapes what it says in colours."""

import xml.etree.ElementTree as ET

from demos import charts
from demos.charts import Pair, Point

TREND = [Point(0.1, 0.5, "first"), Point(0.9, 0.5, 'second <b> & "third"')]


def parse(svg: str) -> ET.Element:
    return ET.fromstring(svg)  # noqa: S314 (ours, made a line above)


def test_what_exceeds_its_band_is_another_shape_not_another_colour_alone() -> None:
    drawing = parse(charts.trend("words", TREND))

    assert len(drawing.findall("circle[@class='dot']")) == 1
    assert len(drawing.findall("path[@class='beyond']")) == 1


def test_a_trend_is_told_in_words() -> None:
    drawing = parse(charts.trend("words & more", TREND))

    assert drawing.get("role") == "img"
    assert drawing.findtext("title") == "words & more"
    assert drawing.findtext("desc") == ("2 values; 1 beyond the band. The newest is 0.9, its band reaches to 0.5.")
    assert drawing.findtext("path/title") == 'second <b> & "third": 0.9, band to 0.5'


def test_a_trend_of_one_value_and_one_of_zeros_can_be_drawn() -> None:
    for points in (TREND[:1], [Point(0.0, 0.0, "nothing")]):
        assert "nan" not in charts.trend("words", points)
        parse(charts.trend("words", points))


def test_a_value_far_beyond_leaves_the_band_to_be_seen() -> None:
    drawing = parse(charts.trend("words", [*TREND, Point(500.0, 0.5, "far")]))

    assert drawing.findtext("text[@y='10']") == "2 and more"
    assert "far: 500, band to 0.5" in [mark.findtext("title") for mark in drawing.findall("path")]


def test_the_window_is_an_outline_over_the_filled_reference() -> None:
    drawing = parse(charts.overlaid("length", ["below 3", "3 to 5", "5 or more"], [0.5, 0.5, 0.0], [0.0, 0.2, 0.8]))

    assert len(drawing.findall("rect[@class='before']")) == 3
    outline = drawing.find("polyline[@class='now']")
    assert outline is not None
    assert len((outline.get("points") or "").split()) == 8, "both ends on the floor, two corners a bin between"
    assert "The largest change is at 5 or more: from 0.0% to 80.0%." in (drawing.findtext("desc") or "")


def test_bars_carry_their_names_and_numbers_escaped() -> None:
    drawing = parse(charts.bars("classes", [Pair("<up>", 0.25, 0.5), Pair("down" * 20, 0.75, 0.5)]))
    words = [text.text or "" for text in drawing.findall("text")]

    assert words[:3] == ["<up>", "25.0% before", "50.0% now"]
    assert words[3].endswith("…")


def test_no_bars_is_an_empty_drawing() -> None:
    assert parse(charts.bars("classes", [])).findall("rect") == []
