"""Bins hold every value once, put their edges between values, and measure distances in [0, 1]."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring import profiles
from monitoring.bins import QUANTILE_EDGES, category_bins, numeric_bins

numbers = st.lists(st.one_of(st.integers(-5, 5).map(float), st.floats(-1e6, 1e6)), min_size=1, max_size=80)


@given(numbers)
def test_the_reference_lies_at_distance_zero_from_itself(values: list[float]) -> None:
    array = np.array(values)
    bins = numeric_bins("n", array)
    counts = np.bincount(bins.assign(pd.Series(array)), minlength=len(bins.shares))

    assert bins.distance(counts / len(values)) == pytest.approx(0.0, abs=1e-9)
    assert sum(bins.shares) == pytest.approx(1.0)
    assert len(bins.edges) <= QUANTILE_EDGES + 2
    assert not set(bins.edges) & set(values) or len(set(values)) > 1
    assert bins.shares[0] == bins.shares[-1] == 0.0, "the outermost bins hold what was never seen"


@given(numbers, numbers)
def test_sketch_and_bins_measure_the_same_distance(reference: list[float], window: list[float]) -> None:
    bins = numeric_bins("n", np.array(reference))
    profile = profiles.profile_frame(pd.DataFrame({"n": window}))
    by_sketch = bins.from_cumulative(profiles.cumulative_shares(profile, "n", bins.edges))
    by_bins = np.bincount(bins.assign(pd.Series(window, dtype="float64")), minlength=len(bins.shares)) / len(window)

    assert by_sketch == pytest.approx(by_bins)
    assert 0.0 <= float(bins.distance(by_sketch)) <= 1.0


def test_values_beyond_a_constant_reference_are_seen() -> None:
    bins = numeric_bins("truncated", np.zeros(100))
    half = np.bincount(bins.assign(pd.Series([0.0, 1.0])), minlength=len(bins.shares)) / 2

    assert float(bins.distance(half)) == 0.5


def test_a_class_that_the_reference_does_not_know_counts_as_other() -> None:
    bins = category_bins("label", ["a", "a", "b", "b"], ("a", "b", "c"))

    assert bins.shares == (0.5, 0.5, 0.0, 0.0)
    assert bins.assign(pd.Series(["c", "new"])).tolist() == [2, 3]
    assert float(bins.distance(bins.from_counts({"a": 1, "new": 1}))) == 0.5
