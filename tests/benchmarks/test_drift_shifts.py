"""The shifts of the drift bench change what they say, and nothing else."""

from random import Random

import numpy as np

from benchmarks.drift import foreign, shifts

TEXT = "Operating profit of the company's steel unit rose to EUR 5.2 mn from EUR 3.1 mn a year earlier"


def test_broken_encoding_turns_typographic_characters_into_two_or_three_others() -> None:
    broken = shifts.break_encoding(TEXT, Random(0))

    assert "companyâ€™s" in broken
    assert "EUR" not in broken


def test_typos_keep_the_number_of_words_and_touch_about_one_long_word_in_ten() -> None:
    words = " ".join(["sentence"] * 4_000)
    slipped = shifts.misspell(words, Random(0)).split(" ")

    assert len(slipped) == 4_000
    assert 300 < sum(word != "sentence" for word in slipped) < 500


def test_typos_leave_short_words_alone() -> None:
    assert shifts.misspell("a to the of", Random(0)) == "a to the of"


def test_a_cut_text_is_a_beginning_of_half_its_words() -> None:
    kept = shifts.cut(TEXT, Random(0))

    assert TEXT.startswith(kept)
    assert abs(len(kept.split()) - len(TEXT.split()) / 2) <= 1


def test_every_change_takes_an_empty_text_and_a_single_character() -> None:
    for change in shifts.CHANGES.values():
        assert change("", Random(0)) == ""
        assert len(change("x", Random(0))) == 1


def test_topics_keep_texts_with_the_same_words_together() -> None:
    about = [f"steel mill order number{n} furnace" for n in range(30)] + [
        f"film actor scene{n} director" for n in range(30)
    ]
    found = shifts.topics(about, np.random.default_rng(0))

    assert not set(found[:30]) & set(found[30:])


def test_foreign_sentences_are_different_ones_and_advertising_is_nearly_the_same() -> None:
    assert len(set(foreign.sentences(300, Random(0)))) == 300
    assert len({text[:30] for text in foreign.advertising(300, Random(0))}) == 1
