"""Features are numbers in their stated ranges for any text and any probabilities, and mean what they say."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring import features

any_text = st.text(st.characters(exclude_categories=()), max_size=40)  # lone surrogates included


@given(texts=st.lists(any_text, min_size=1, max_size=8))
def test_shares_are_those_of_counting_characters_one_by_one(texts: list[str]) -> None:
    frame = features.input_features(texts, [len(t.split()) for t in texts], [False] * len(texts))

    assert frame["chars"].tolist() == [len(t) for t in texts]
    assert frame["non_ascii_share"].tolist() == pytest.approx(
        [sum(ord(c) > 127 for c in t) / max(len(t), 1) for t in texts]
    )
    assert frame["digit_share"].tolist() == pytest.approx(
        [sum(c.isnumeric() and features._classify(c)[0] for c in t) / max(len(t), 1) for t in texts]
    )
    assert frame.to_numpy().min() >= 0


def test_shares_of_a_known_text() -> None:
    frame = features.input_features(["Up 12 %, oké!", "", "abc"], [4, 0, 1], [False, False, True])

    assert frame["chars"].tolist() == [13, 0, 3]
    assert (frame["digit_share"] * 13).round().tolist()[0] == 2
    assert (frame["punctuation_share"] * 13).round().tolist()[0] == 3
    assert (frame["upper_share"] * 13).round().tolist()[0] == 1
    assert (frame["non_ascii_share"] * 13).round().tolist()[0] == 1
    assert frame.iloc[1].tolist() == [0] * len(features.INPUT)
    assert frame["truncated"].tolist() == [0, 0, 1]


@given(
    st.lists(st.lists(st.floats(0, 1), min_size=3, max_size=3), min_size=1, max_size=6).map(np.array),
)
def test_prediction_features_stay_in_range_also_where_rows_do_not_sum_to_one(scores: np.ndarray) -> None:
    frame = features.prediction_features(scores, [False] * len(scores))

    assert frame.columns.tolist() == list(features.PREDICTION)
    assert ((frame >= 0) & (frame <= 1)).all().all()
    assert frame["margin"].tolist() == pytest.approx([features.margin(row.tolist()) for row in scores])


def test_entropy_is_one_when_nothing_is_known_and_zero_when_all_is() -> None:
    frame = features.prediction_features(np.array([[1 / 3, 1 / 3, 1 / 3], [1.0, 0.0, 0.0]]), [True, False])

    assert frame["entropy"].tolist() == pytest.approx([1.0, 0.0])
    assert frame["abstained"].tolist() == [1.0, 0.0]


def test_unknown_rate_rises_with_unknown_words_for_both_ways_of_counting_length() -> None:
    frame = features.vocabulary_features([10, 10, 1], [5, 5, 0], [0, 5, 90])

    assert frame["unknown_rate"].is_monotonic_increasing
    assert frame["unknown_rate"].max() < 1
    assert frame["tokens_per_word"].tolist() == [2, 2, 1]


def test_no_records_give_an_empty_frame_of_all_columns() -> None:
    assert features.record_features([]).columns.tolist() == [*features.NUMERIC, features.LABEL]
