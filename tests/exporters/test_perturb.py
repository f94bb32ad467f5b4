"""Perturbed copies are seeded, keep their labels, are never blank, and do what their names say."""

from collections.abc import Sequence
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporters.perturb import KINDS, MAX_COPIES, Corruption, gappy, mojibake, perturbed, shouted, truncated, typos

TEXT = "Profit rises on strong sales as the company met analysts on Monday"
ROWS = [(f"{TEXT} {index}", f"label {index % 3}") for index in range(MAX_COPIES + 200)]


def test_copies_are_seeded_bounded_and_keep_their_labels() -> None:
    copies = perturbed(ROWS, seed=3)

    assert copies == perturbed(ROWS, seed=3)
    assert copies != perturbed(ROWS, seed=4)
    assert len(copies) == MAX_COPIES
    assert perturbed([], seed=0) == []
    kept = [label for text, label in copies if text.endswith(label[-1])]
    assert {label for _, label in copies} == {"label 0", "label 1", "label 2"} == set(kept)


def test_most_copies_differ_from_their_originals() -> None:
    originals = {text for text, _ in ROWS}

    assert sum(text in originals for text, _ in perturbed(ROWS, seed=0)) < 0.1 * MAX_COPIES


@given(texts=st.lists(st.text(min_size=1).filter(lambda text: bool(text.strip())), min_size=1, max_size=5))
def test_no_copy_is_blank_whatever_the_text(texts: Sequence[str]) -> None:
    assert all(copy.strip() for copy, _ in perturbed([(text, "a") for text in texts], seed=1))


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (truncated, TEXT[: round(len(TEXT) / 3)]),
        (shouted, TEXT.upper()),
        (mojibake, "PrÃ¶fÃ®t"),
    ],
)
def test_at_full_strength_a_corruption_is_what_its_name_says(kind: Corruption, expected: str) -> None:
    assert kind(TEXT, 1.0, Random(0)).startswith(expected)


def test_typos_and_gaps_leave_most_of_a_text_as_it_is() -> None:
    mistyped, thinned = typos(TEXT, 1.0, Random(0)), gappy(TEXT, 1.0, Random(0))

    assert 0.7 * len(TEXT) < len(mistyped) < 1.3 * len(TEXT)
    assert set(thinned.split()) < set(TEXT.split())
    assert len(thinned.split()) >= 3
    assert len(KINDS) == len({kind(TEXT, 1.0, Random(0)) for kind in KINDS})
