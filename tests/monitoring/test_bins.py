"""Bins hold every value once, and put their edges between values."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.bins import QUANTILE_EDGES, category_bins, numeric_bins
from tidegate.errors import InvalidInput

numbers = st.lists(st.one_of(st.integers(-5, 5).map(float), st.floats(-1e6, 1e6)), min_size=1, max_size=80)


@given(numbers)
def test_shares_are_those_of_the_reference_and_its_mean_is_kept(values: list[float]) -> None:
    array = np.array(values)
    bins = numeric_bins("n", array)
    counts = np.bincount(bins.assign(array), minlength=bins.width)

    assert (counts / len(values)).tolist() == pytest.approx(list(bins.shares))
    assert len(bins.edges) <= QUANTILE_EDGES + 2
    assert not set(bins.edges) & set(values) or len(set(values)) > 1
    assert bins.shares[0] == bins.shares[-1] == 0.0, "the outermost bins hold what was never seen"
    assert np.dot(bins.shares, bins.centers) == pytest.approx(array.mean(), rel=1e-6, abs=1e-6)


def test_values_beyond_a_constant_reference_and_missing_ones_have_places_of_their_own() -> None:
    bins = numeric_bins("truncated", np.zeros(100))

    assert bins.assign(np.array([-1.0, 0.0, 1.0, np.nan])).tolist() == [0, 1, 2, 2]


def test_a_column_without_any_number_is_refused_by_name() -> None:
    with pytest.raises(InvalidInput, match="'price' has no finite number among 2"):
        numeric_bins("price", np.array([np.nan, np.nan]))


def test_a_class_that_the_reference_does_not_know_counts_as_other() -> None:
    bins = category_bins("label", ["a", "a", "b", "b"], ("a", "b", "c"))

    assert bins.shares == (0.5, 0.5, 0.0, 0.0)
    assert bins.assign(np.array(["c", "new"], dtype=object)).tolist() == [2, 3]
