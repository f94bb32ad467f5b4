import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from demos.highlights import explanation
from demos.occlusion import MOST_PARTS, Explanation, Piece, split, weigh, without

TEXTS = st.text(max_size=200) | st.lists(st.sampled_from(["profit", "rises,", "利益", "a"]), max_size=200).map(" ".join)


@given(text=TEXTS)
def test_the_parts_hold_every_word_once_in_order_and_are_bounded(text: str) -> None:
    parts = split(text)

    assert len(parts) <= MOST_PARTS
    kept = "".join(text[part.start : part.stop] for part in parts)
    assert "".join(kept.split()) == "".join(text.split())
    assert all(one.stop <= other.start for one, other in pairwise(parts))
    assert all(text[part.start : part.stop].strip() for part in parts)


@given(text=TEXTS)
def test_the_pieces_give_the_text_back_but_for_what_ends_it(text: str) -> None:
    parts = split(text)

    pieces = weigh(text, parts, 0.5, [0.25] * len(parts))

    assert text.startswith("".join(piece.gap + piece.text for piece in pieces))
    assert all(piece.effect == pytest.approx(math.log(3)) and piece.score == 0.25 for piece in pieces)


def test_a_word_is_left_out_alone() -> None:
    text = "profit rises  again"

    assert [without(text, part) for part in split(text)] == [" rises  again", "profit   again", "profit rises  "]


def test_japanese_is_split_by_character_and_other_words_stay_whole() -> None:
    text = "利益 up 10%"

    assert [text[part.start : part.stop] for part in split(text)] == ["利", "益", "up", "10%"]


def test_an_explanation_colours_by_strength_and_names_the_strongest() -> None:
    pieces = [
        *(Piece("", "shares", 2.5, 0.4), Piece(" ", "<b>", -1.2, 0.97)),
        *(Piece(" ", "the", 0.01, 0.9), Piece("", "!", 0.2, 0.89)),
    ]

    html = explanation(Explanation("positive", 0.9, pieces))

    assert (
        '<span class="tg-for tg-shade-4">shares</span> <span class="tg-against tg-shade-3">&lt;b&gt;</span> the' in html
    )
    assert "the<span" in html
    assert "For it: <em>shares</em>, 40.0" in html
    assert "Against it: <em>&lt;b&gt;</em>, 97.0" in html


def test_words_count_where_the_answer_is_all_but_certain_too() -> None:
    [piece] = weigh("profit", split("profit"), 0.9999, [0.99])

    assert piece.effect > 4
    assert weigh("profit", split("profit"), 1.0, [1.0])[0].effect == 0


def test_an_answer_that_rests_on_no_word_says_so() -> None:
    html = explanation(Explanation("positive", 0.9, [Piece("", "a", 0.0, 0.9), Piece(" ", "b", 0.0, 0.9)]))

    assert "No single word changes the answer" in html
