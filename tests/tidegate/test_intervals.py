"""Wilson's and Newcombe's intervals against textbooks, and where it must lie."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.intervals import difference, wilson


def test_wilsons_interval_is_the_textbooks() -> None:
    assert wilson(0.9, 10) == pytest.approx((0.596, 0.982), abs=0.002)
    assert wilson(0.0, 10) == pytest.approx((0.0, 0.2775), abs=1e-4)
    assert wilson(0.5, 10) == pytest.approx((0.2366, 0.7634), abs=1e-4)
    assert wilson(1.0, 10) == pytest.approx((0.7225, 1.0), abs=1e-4)


def test_no_rows_say_nothing() -> None:
    assert wilson(0.0, 0) == (0.0, 1.0)


@given(st.floats(0.0, 1.0), st.floats(0.1, 1e9))
def test_it_holds_the_share_and_lies_among_shares(share: float, rows: float) -> None:
    low, high = wilson(share, rows)

    assert 0.0 <= low <= share + 1e-9
    assert share - 1e-9 <= high <= 1.0


def test_newcombes_interval_is_the_one_of_his_paper() -> None:
    assert difference(56 / 70, 70, 48 / 80, 80) == pytest.approx((0.0524, 0.3339), abs=1e-4)  # his table II, (a)


@given(st.floats(0.0, 1.0), st.integers(0, 5_000), st.floats(0.0, 1.0), st.integers(0, 5_000))
def test_a_difference_lies_in_its_interval_and_turns_with_it(a: float, rows: int, b: float, others: int) -> None:
    low, high = difference(a, rows, b, others)

    assert -1.0 <= low <= a - b + 1e-9
    assert a - b - 1e-9 <= high <= 1.0
    assert difference(b, others, a, rows) == pytest.approx((-high, -low))
