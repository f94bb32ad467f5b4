"""Slices: every one is what it says, bad ones are found, and luck alone finds few."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporters.slices import LEAST_ROWS, MOST_KEPT, Group, adjusted, find_slices, groups_of_names, groups_of_texts
from tidegate.health import Slice
from tidegate.preprocess import Encoded


def encoded(text: str, most: int = 12) -> Encoded:
    words = text.split()
    ids = np.arange(min(len(words), most) + 1)
    return Encoded({"input_ids": ids}, len(ids), len(words), sum(map(str.isdigit, words)), len(words) > most)


TEXTS = [
    f"{'margin' if row % 4 == 0 else 'sales'} of {'A' * (row % 3)} {'1' * (row % 5)} {'up ' * (row % 17)}"
    for row in range(200)
]
ENCODED = [encoded(text) for text in TEXTS]


def test_groups_are_of_the_texts_and_quarters_share_no_row() -> None:
    groups = groups_of_texts(TEXTS, ENCODED)
    by_kind: dict[str, list[Group]] = {}
    for group in groups:
        by_kind.setdefault(group.kind, []).append(group)

    assert set(by_kind) == {"length", "unknown rate", "digits", "capitals", "truncated", "script", "word"}
    for kind in ("length", "unknown rate", "digits", "capitals", "script"):
        assert np.sum([group.mask for group in by_kind[kind]], axis=0).tolist() == [1] * len(TEXTS), kind
    assert {group.name for group in by_kind["word"]} == {"margin", "sales", "of", "up", "aa"}
    assert by_kind["length"][0].name.startswith("3 to ")


def test_a_planted_fault_is_the_worst_slice() -> None:
    right = np.array(["margin" not in text or row % 3 == 0 for row, text in enumerate(TEXTS)])
    found, tried = find_slices(groups_of_texts(TEXTS, ENCODED), right)

    assert (found[0].kind, found[0].name, found[0].rows) == ("word", "margin", 50)
    assert found[0].right == int(right[::4].sum())
    assert found[0].adjusted_p < 1e-9
    assert tried >= len(found)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abcd"), st.booleans()), max_size=300))
def test_slices_count_their_rows_and_leave_a_rest(rows: list[tuple[str, bool]]) -> None:
    names, right = [name for name, _ in rows], np.array([hit for _, hit in rows], dtype=np.bool_)
    found, tried = find_slices(groups_of_names("letter", names), right)

    assert len(found) == min(tried, MOST_KEPT)
    for part in found:
        assert LEAST_ROWS <= part.rows <= len(rows) - LEAST_ROWS
        own = [hit for name, hit in rows if name == part.name]
        assert (part.rows, part.right) == (len(own), sum(own))


def test_luck_alone_is_seldom_called_a_bad_slice() -> None:
    rng = np.random.default_rng(1)
    groups = [Group("word", str(number), rng.random(400) < 0.2) for number in range(60)]
    called = [any(part.adjusted_p < 0.05 for part in find_slices(groups, rng.random(400) < 0.85)[0]) for _ in range(40)]

    assert sum(called) <= 6  # at a level of 5 %, two of forty are expected


def test_p_values_are_adjusted_as_in_the_paper() -> None:
    # Benjamini & Hochberg 1995, section 3.2: fifteen p-values of which the first four are called found at 0.05
    least = [0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344]
    chances = [*least, 0.0459, 0.3240, 0.4262, 0.5719, 0.6528, 0.7590, 1.0]
    assert [value <= 0.05 for value in adjusted(chances)] == [True] * 4 + [False] * 11


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(0.0, 1.0), max_size=30))
def test_adjusted_p_values_keep_their_order_and_depend_on_no_order(chances: list[float]) -> None:
    found = adjusted(chances)
    pairs = sorted(zip(chances, found, strict=True))

    assert all(before <= after + 1e-9 <= 1.0 + 1e-9 for before, after in pairs)
    assert [after for _, after in pairs] == pytest.approx(sorted(found))
    assert adjusted(chances[::-1]) == pytest.approx(found[::-1])


def test_a_slice_says_what_it_is() -> None:
    groups = groups_of_names("true label", ["bad"] * 30 + ["good"] * 30)
    found, _ = find_slices(groups, np.array([False] * 30 + [True] * 30))
    assert found[0] == Slice(kind="true label", name="bad", rows=30, right=0, adjusted_p=found[0].adjusted_p)
