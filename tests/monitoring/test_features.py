"""Features are numbers in their stated ranges for any text and any probabilities, and mean what they say."""

import itertools
import unicodedata

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring import features
from monitoring.features import Seen
from tidegate.characters import SCRIPTS, Counts
from tidegate.preprocess import Encoded
from tidegate.records import Record

any_text = st.text(st.characters(exclude_categories=()), max_size=40)  # lone surrogates included


def encoded(words: int = 1, *, length: int = 1, unknown: int = 0, truncated: bool = False) -> Encoded:
    ids = np.arange(length, dtype=np.int64)
    return Encoded({"input_ids": ids}, length=length, words=words, unknown=unknown, truncated=truncated)


def record(text: str, scores: tuple[float, ...] = (0.7, 0.3)) -> Record:
    return Record("i", "m", 1, "v", text, "a", 0.7, False, scores, encoded(len(text.split())), None, 0.0)


@given(texts=st.lists(any_text, min_size=1, max_size=8))
def test_characters_are_counted_as_one_by_one(texts: list[str]) -> None:
    counts = Counts(texts)
    categories = [[unicodedata.category(char) for char in text] for text in texts]

    assert counts.chars.tolist() == [len(text) for text in texts]
    assert counts.digit.tolist() == [sum(c[0] == "N" for c in found) for found in categories]
    assert counts.punctuation.tolist() == [sum(c[0] in "PS" for c in found) for found in categories]
    assert counts.upper.tolist() == [found.count("Lu") for found in categories]
    assert counts.non_ascii.tolist() == [sum(ord(char) > 127 for char in text) for text in texts]
    assert counts.repeated.tolist() == [sum(a == b for a, b in itertools.pairwise(text)) for text in texts]


@pytest.mark.parametrize(
    ("text", "script"),
    [
        ("Net sales rose", "latin"), ("Élan naïf", "latin"), ("Продажи выросли 12 %", "cyrillic"), ("售价上涨", "han"),
        ("こんにちは世界", "kana"), ("매출 증가", "hangul"), ("المبيعات", "arabic"), ("מכירות", "hebrew"),
        ("πωλήσεις", "greek"),
        ("बिक्री", "indic"), ("ยอดขาย", "thai"), ("12 % !", "none"), ("", "none"), ("😀😀", "none"), ("𠀀𠀁", "han"),
    ],
)  # fmt: skip
def test_the_script_is_that_of_most_letters(text: str, script: str) -> None:
    assert SCRIPTS[int(Counts([text]).script[0])] == script


def test_hundreds_of_texts_count_as_each_alone() -> None:
    texts = [f"{'Ab 1, é!' * (n % 5)}{'日本' * (n % 3)}" for n in range(300)]
    together, alone = Counts(texts), [Counts([text]) for text in texts]

    for name in ("chars", "digit", "punctuation", "upper", "non_ascii", "repeated", "script"):
        assert getattr(together, name).tolist() == [float(getattr(one, name)[0]) for one in alone], name
    assert Counts([]).chars.tolist() == []


def test_a_text_is_known_while_it_is_among_the_latest() -> None:
    seen = Seen(most=2)
    again = [seen.again(text) for text in ("a", "A ", "b", "c", "a", "c", "c", "c", "b", "c")]

    assert again == [False, True, False, False, False, True, True, True, False, True]


def test_shares_of_a_known_text() -> None:
    rows = [encoded(4), encoded(0), encoded(1, truncated=True)]
    columns, script = features.input_columns(["Up 12 %, oké!", "", "abb"], rows, Seen())

    assert {name: round(values[0] * 13) for name, values in columns.items() if name.endswith("share")} == {
        "digit_share": 2, "punctuation_share": 3, "upper_share": 1, "non_ascii_share": 1, "repeated_share": 0,
    }  # fmt: skip
    assert columns["repeated_share"][2] == pytest.approx(1 / 3)
    assert columns["empty"].tolist() == [0, 1, 0]
    assert columns["truncated"].tolist() == [0, 0, 1]
    assert [columns[name][1] for name in columns if name not in ("empty",)] == [0] * (len(columns) - 1)
    assert script.tolist() == ["latin", "none", "latin"]
    assert tuple(columns) == features.INPUT


@given(st.lists(st.lists(st.floats(0, 1), min_size=3, max_size=3), min_size=1, max_size=6).map(np.array))
def test_prediction_columns_stay_in_range_also_where_rows_do_not_sum_to_one(scores: np.ndarray) -> None:
    columns = features.prediction_columns(scores, [False] * len(scores))

    assert tuple(columns) == features.PREDICTION
    assert all(((values >= 0) & (values <= 1)).all() for values in columns.values())
    best = [sorted(row.tolist(), reverse=True)[:2] for row in scores]
    assert columns["margin"].tolist() == pytest.approx([first - second for first, second in best])


def test_entropy_is_one_when_nothing_is_known_and_zero_when_all_is() -> None:
    columns = features.prediction_columns(np.array([[1 / 3, 1 / 3, 1 / 3], [1.0, 0.0, 0.0]]), [True, False])

    assert columns["entropy"].tolist() == pytest.approx([1.0, 0.0])
    assert columns["abstained"].tolist() == [1.0, 0.0]


def test_unknown_rate_rises_with_unknown_words_for_both_ways_of_counting_length() -> None:
    rows = [encoded(5, length=10), encoded(5, length=10, unknown=5), encoded(0, length=1, unknown=90)]
    columns = features.vocabulary_columns(rows)

    assert np.all(np.diff(columns["unknown_rate"]) > 0)
    assert columns["unknown_rate"].max() < 1
    assert columns["tokens_per_word"].tolist() == [2, 2, 1]


def test_a_text_sent_again_is_known_but_for_case_and_white_space_until_it_is_long_ago() -> None:
    seen = Seen(most=3)

    assert [seen.again(text) for text in ("Buy  now", "buy now", "a", "b", "c", "buy now")] == [
        False, True, False, False, False, False,
    ]  # fmt: skip


@given(st.lists(any_text, min_size=1, max_size=6), st.integers(0, 6))
def test_columns_of_two_parts_are_those_of_the_whole(texts: list[str], at: int) -> None:
    records = [record(text) for text in texts]
    whole = features.derive(records, Seen())
    seen = Seen()
    parts = [features.derive(part, seen) for part in (records[:at], records[at:]) if part]

    for name, values in whole.numbers.items():
        assert np.concatenate([part.numbers[name] for part in parts]).tolist() == values.tolist()
    assert sum(len(part) for part in parts) == len(whole) == len(texts)


def test_records_of_embeddings_have_no_prediction_columns() -> None:
    rows = features.derive([record("a b", scores=())], Seen())

    assert tuple(rows.numbers) == features.INPUT + features.VOCABULARY
    assert list(rows.classes) == ["script"]
    assert rows.scores.shape == (1, 0)


def test_no_column_holds_a_text() -> None:
    frame = features.derive([record("4111 1111 1111 1111"), record("secret")], Seen()).frame()

    assert set(frame.select_dtypes("str").to_numpy().ravel()) <= {"a", *SCRIPTS}
