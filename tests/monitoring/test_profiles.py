"""Profiles count exactly, merge exactly, survive serialisation, and hold no raw text."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitoring import profiles
from monitoring.features import Seen, derive
from tests.monitoring.conftest import House
from tidegate.errors import InvalidInput, TidegateError


def frame(values: list[float], labels: list[str]) -> pd.DataFrame:
    return pd.DataFrame({"number": values, "label": pd.Series(labels, dtype="str")})


@settings(max_examples=30, deadline=None)
@given(
    values=st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=60),
    cut=st.integers(0, 60),
    edges=st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=5, unique=True).map(sorted),
)
def test_two_merged_halves_say_what_the_whole_says(values: list[float], cut: int, edges: list[float]) -> None:
    labels = [f"class {int(abs(v)) % 3}" for v in values]
    parts = [profiles.profile_frame(frame(values[a:b], labels[a:b])) for a, b in ((0, cut), (cut, None))]
    merged = profiles.deserialize(profiles.serialize(profiles.merge(*parts)))

    assert profiles.row_count(merged) == len(values)
    assert profiles.category_counts(merged) == pd.Series(labels).value_counts().to_dict()
    below = [sum(v < edge for v in values) / len(values) for edge in edges]
    assert profiles.cumulative_shares(merged, "number", edges) == pytest.approx(below)
    assert profiles.mean(merged, "number") == pytest.approx(np.mean(values), abs=1e-6)


def test_ranks_of_many_rows_are_right_within_half_a_percent() -> None:
    values = np.random.default_rng(3).normal(size=20_000)
    merged = profiles.empty()
    for part in np.split(values, 40):
        merged = profiles.merge(merged, profiles.profile_frame(pd.DataFrame({"number": part})))
    edges = np.linspace(-2, 2, 9)

    error = profiles.cumulative_shares(merged, "number", edges.tolist()) - [(values < e).mean() for e in edges]
    assert np.abs(error).max() <= 0.005


def test_labels_of_any_script_and_length_are_counted_as_they_are() -> None:
    names = ["positiv", "négatif\n", "中立", "x" * 500, ""]
    profile = profiles.deserialize(profiles.serialize(profiles.profile_frame(frame([1.0] * 5, names))))

    assert profiles.category_counts(profile) == dict.fromkeys(names, 1)


def test_a_column_of_free_text_is_refused_by_name() -> None:
    with pytest.raises(InvalidInput, match="'text'"):
        profiles.profile_frame(pd.DataFrame({"text": ["secret"], "label": ["a"]}))


def test_missing_numbers_are_no_error() -> None:
    profile = profiles.profile_frame(
        pd.DataFrame({"number": [1.0, float("nan")], "whole": [1, 2], "yes": [True, False]})
    )

    assert profiles.mean(profile, "number") == 1.0
    assert profiles.mean(profile, "yes") == 0.5


def test_planted_secrets_are_in_no_profile(house: House) -> None:
    cards = [f"4111-1111-{i:04d}-{i * 7 % 10_000:04d}" for i in range(500)]
    records = house.novel(500, "p")
    planted = [replace(r, text=c) for r, c in zip(records, cards, strict=True)]

    content = profiles.serialize(profiles.profile_frame(derive(planted, Seen()).frame()))

    assert b"4111" not in content
    assert not any(card.encode() in content for card in cards)


def test_bytes_that_are_no_profile_are_one_clear_error() -> None:
    for content in (b"", b"nonsense", b"\x00" * 64):
        with pytest.raises(TidegateError, match="not a whylogs profile"):
            profiles.deserialize(content)


def test_an_empty_profile_has_no_rows() -> None:
    assert profiles.row_count(profiles.empty()) == 0
    assert profiles.category_counts(profiles.empty()) == {}
