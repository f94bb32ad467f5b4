"""Words that are new or gone are told; words that vary by chance are not."""

from pathlib import Path

import numpy as np
import pytest
from scipy.stats import hypergeom

from monitoring.words import MOST_WORDS, count_words, moved_words, read_words, write_words
from tests.bundles import headlines
from tidegate.errors import BundleCorrupt
from tidegate.proportions import surprise


@pytest.mark.parametrize(
    ("before", "of_before", "now", "of_now"),
    [(1, 3_000, 4, 200), (50, 1_000, 30, 100), (500, 1_000, 20, 100), (10, 10, 0, 10), (5, 10, 5, 10), (0, 9, 0, 9)],
)
def test_surprise_is_that_of_fishers_exact_test(before: int, of_before: int, now: int, of_now: int) -> None:
    draw = hypergeom(of_before + of_now, before + now, of_now)
    p_value = min(1.0, 2 * min(draw.cdf(now), draw.sf(now - 1)))

    assert surprise(before, of_before, now, of_now) == pytest.approx(-np.log10(p_value), abs=1e-9)


def test_surprise_stays_finite_where_the_p_value_is_below_every_float() -> None:
    assert 2_000 < surprise(0, 100_000, 10_000, 10_000) < 20_000


def test_a_text_counts_once_however_often_it_says_a_word() -> None:
    table = count_words(["Profit profit PROFIT!", "profit fell", "Übung fell 2024"])

    assert (table.documents, table.words) == (3, {"profit": 2, "fell": 2})


def test_a_new_and_a_vanished_word_are_told_with_their_shares() -> None:
    reference = count_words(["shares fell in helsinki"] * 300 + ["profit rose"] * 300)
    moved = moved_words(reference, ["profit rose for the actor"] * 100)

    assert {word.word for word in moved.new} == {"for", "the", "actor", "profit", "rose"}
    assert {word.word for word in moved.gone} == {"shares", "fell", "in", "helsinki"}
    gone = moved.gone[0]
    assert (gone.before, gone.now) == (0.5, 0.0)


def test_words_of_the_same_source_almost_never_move() -> None:
    reference = count_words(headlines(3_000, seed=1))
    found = [moved_words(reference, headlines(200, seed=100 + seed)) for seed in range(100)]

    assert sum(bool(moved.new or moved.gone) for moved in found) <= 4, "1 in 100 is what is promised"


def test_ten_words_at_most_are_shown_most_surprising_first() -> None:
    reference = count_words(["old text"] * 500)
    moved = moved_words(reference, [" ".join(f"{chr(97 + n)}{chr(97 + n)}x" for n in range(26))] * 50)

    assert len(moved.new) == 10
    surprises = [word.surprise for word in moved.new]
    assert surprises == sorted(surprises, reverse=True)


def test_no_texts_and_no_reference_say_nothing() -> None:
    table = count_words(["a table"] * 3)

    assert moved_words(table, []) == moved_words(count_words([]), ["a text"]) == moved_words(table, [""])


def test_a_word_that_a_full_table_left_out_counts_as_its_rarest() -> None:
    common = [f"w{_letters(number)}" for number in range(MOST_WORDS)]
    reference = count_words([" ".join(common)] * 20 + ["rare"] * 15)

    assert "rare" not in reference.words
    assert not moved_words(reference, ["rare"] * 2 + ["x"] * 2).new


def test_the_table_of_a_bundle_is_read_as_it_was_written(tmp_path: Path) -> None:
    texts = headlines(100, seed=3)
    write_words(texts, tmp_path)

    assert read_words(tmp_path) == count_words(texts)


def test_a_bundle_without_a_table_has_none_and_a_broken_one_is_named(tmp_path: Path) -> None:
    assert read_words(tmp_path) is None
    (tmp_path / "words.json").write_text('{"documents": -1}')
    with pytest.raises(BundleCorrupt, match=r"words\.json is no table of words: documents"):
        read_words(tmp_path)


def _letters(number: int) -> str:
    return "".join(chr(97 + int(digit)) for digit in str(number))
