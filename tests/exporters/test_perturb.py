"""Copies are damaged texts with true labels, in the order that fitting relies on."""

from difflib import SequenceMatcher
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporters.perturb import KINDS, MAX_COPIES, Damage, perturbed
from monitoring.accuracy_fit import DAMAGES

ROWS = [
    (f"Operating profit of company {n} rose by {n} % in the second quarter , analysts said", "positive")
    for n in range(99)
]


def test_the_same_seed_gives_the_same_copies_and_another_others() -> None:
    assert perturbed(ROWS, 3) == perturbed(ROWS, 3)
    assert perturbed(ROWS, 3) != perturbed(ROWS, 4)


def test_every_kind_has_as_many_copies_and_fitting_knows_how_many_kinds_there_are() -> None:
    assert len(perturbed(ROWS, 0)) == len(KINDS) * len(ROWS)
    assert len(KINDS) == DAMAGES


def test_many_rows_give_no_more_copies_than_an_export_can_wait_for() -> None:
    assert len(perturbed(ROWS * 20, 0)) == MAX_COPIES


def test_the_first_copy_of_a_kind_is_nearer_to_its_text_than_the_last() -> None:
    copies = perturbed(ROWS, 0)
    for kind in range(len(KINDS)):
        own = copies[kind * len(ROWS) : (kind + 1) * len(ROWS)]
        likeness = [max(SequenceMatcher(None, text, copy).ratio() for text, _ in ROWS[:5]) for copy, _ in own]

        assert sum(likeness[:25]) > sum(likeness[-25:]), kind


def test_a_copy_has_the_label_of_its_text() -> None:
    rows = [("profit rose again", "up"), ("profit fell again", "down")]
    assert {label for text, label in perturbed(rows, 0) if "rose" in text.lower()} == {"up"}


@pytest.mark.parametrize("kind", KINDS)
@given(text=st.text(min_size=1), strength=st.floats(0, 1), seed=st.integers(0, 9))
def test_any_text_can_be_damaged(kind: Damage, text: str, strength: float, seed: int) -> None:
    assert isinstance(kind(text, strength, Random(seed)), str)


@given(texts=st.lists(st.text(min_size=1).filter(lambda text: bool(text.strip())), min_size=1, max_size=5))
def test_no_copy_is_blank_whatever_the_text(texts: list[str]) -> None:
    assert all(copy.strip() for copy, _ in perturbed([(text, "a") for text in texts], seed=1))


def test_no_rows_give_no_copies() -> None:
    assert perturbed([], seed=0) == []
