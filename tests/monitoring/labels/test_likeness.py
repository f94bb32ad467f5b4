"""Texts that are alike are found as comparing every pair would find them."""

from hypothesis import given
from hypothesis import strategies as st

from monitoring.labels.likeness import alike

TEXTS = st.lists(st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=8).map(" ".join), max_size=12)


def jaccard(one: str, other: str) -> float:
    a, b = set(one.split()), set(other.split())
    return len(a & b) / len(a | b)


@given(TEXTS, TEXTS, st.sampled_from([0.5, 0.6, 0.75, 0.9, 1.0]))
def test_the_same_pairs_as_by_comparing_all(texts: list[str], others: list[str], least: float) -> None:
    found = alike(texts, others, least)

    for text, place in zip(texts, found, strict=True):
        near = [index for index, other in enumerate(others) if jaccard(text, other) >= least]
        assert place == min(near, default=None)


def test_one_changed_word_of_twenty_is_alike_and_one_of_five_is_not() -> None:
    long = "one two three four five six seven eight nine ten eleven twelve a b c d e f g h"
    assert alike([long.replace("twelve", "twenty")], [long]) == [0]
    assert alike(["net sales rose by six"], ["net sales rose by nine"]) == [None]


def test_case_and_punctuation_do_not_make_texts_unlike() -> None:
    assert alike(["Net SALES, rose!"], ["net sales rose"]) == [0]
    assert alike(["???"], ["!!!", "???"]) == [1]
