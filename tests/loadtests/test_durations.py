"""Durations as people write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests.durations import parse_seconds
from tidegate.errors import UsageError


@pytest.mark.parametrize(("text", "seconds"), [("100ms", 0.1), ("2.5s", 2.5), ("3m", 180.0), (" 1s ", 1.0)])
def test_a_number_with_a_unit_becomes_seconds(text: str, seconds: float) -> None:
    assert parse_seconds(text, "--duration", 0, 1000) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "5", "s", "-1s", "1 s", "1e3s", "1h", "٣s" + "x", "inf", "nans", "1s2s"])
def test_anything_else_is_refused_with_the_option_and_an_example(text: str) -> None:
    with pytest.raises(UsageError, match=r"--duration .*such as 100ms, 30s or 2m"):
        parse_seconds(text, "--duration", 0, 1000)


@given(st.text())
def test_no_text_gets_past_the_range(text: str) -> None:
    try:
        seconds = parse_seconds(text, "--duration", 1, 10)
    except UsageError:
        return
    assert 1 <= seconds <= 10


def test_out_of_range_names_the_range() -> None:
    with pytest.raises(UsageError, match="1s to 60s"):
        parse_seconds("2m", "--duration", 1, 60)
