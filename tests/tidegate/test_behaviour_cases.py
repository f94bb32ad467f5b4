"""Expansion: what becomes of templates and changes, the same each time, never more than was asked for."""

from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.behaviour import Suite
from tidegate.behaviour_cases import Case, expand
from tidegate.behaviour_change import CHANGES, exchange, fill, slots_of

TEXTS = st.text(max_size=80)
WORDS = st.lists(st.text("abcdeé☂", min_size=1, max_size=4), min_size=1, max_size=12, unique=True)


def suite(**test: Any) -> Suite:
    return Suite.model_validate({"tests": [{"name": "t", **test}]})


def cases(seed: int = 0, sampled: tuple[str, ...] = (), **test: Any) -> list[Case]:
    made = suite(**test)
    return expand(made.tests[0], made, sampled, seed)


@given(WORDS, WORDS, st.integers(1, 40), st.integers(0, 5))
def test_a_template_gives_every_combination_or_as_many_as_wanted(
    a: list[str], b: list[str], most: int, seed: int
) -> None:
    made = cases(
        seed, kind="minimum-functionality", templates=["{a}/{b}"], slots={"a": a, "b": b}, expect="x", max_cases=most
    )
    whole = {f"{x}/{y}" for x in a for y in b}
    assert len(made) == min(len(whole), most)
    assert len({case.text for case in made}) == len(made)
    assert {case.text for case in made} <= whole


@given(st.lists(TEXTS.filter(bool), min_size=1, max_size=20), st.integers(1, 30), st.integers())
def test_expansion_is_decided_by_the_seed_and_bounded(texts: list[str], most: int, seed: int) -> None:
    test: dict[str, Any] = {"kind": "invariance", "sample": 10, "change": list(CHANGES), "max_cases": most}
    made = cases(seed, tuple(texts), **test)
    assert made == cases(seed, tuple(texts), **test)
    assert len(made) <= most
    assert all(case.changed not in (None, "", case.text) for case in made)
    assert {case.text for case in made} <= set(texts)


def test_billions_of_combinations_are_drawn_from_and_not_listed() -> None:
    many = [str(number) for number in range(200)]
    template = " ".join(f"{{s{number}}}" for number in range(12))
    made = cases(
        kind="minimum-functionality",
        templates=[template],
        slots={f"s{number}": many for number in range(12)},
        expect="x",
    )
    assert len({case.text for case in made}) == 60


def test_another_seed_draws_others_and_another_test_in_the_suite_changes_nothing() -> None:
    test: dict[str, Any] = {"kind": "minimum-functionality", "templates": ["{a}"], "expect": "x", "max_cases": 5}
    slots: dict[str, Any] = {"slots": {"a": [str(number) for number in range(100)]}}
    alone, other = cases(0, **test, **slots), cases(1, **test, **slots)
    both = Suite.model_validate({"tests": [{"name": "first", **test, **slots}, {"name": "t", **test, **slots}]})
    assert alone != other
    assert expand(both.tests[1], both) == alone


def test_a_slot_that_stands_twice_is_filled_alike_and_other_braces_stay() -> None:
    assert slots_of("{a} {b} {a} {} { a }") == ["a", "b"]
    assert fill("{a} {b} {a} {} { a }", {"a": "1", "b": "2"}) == "1 2 1 {} { a }"


def test_an_addition_stands_where_it_is_asked_for() -> None:
    test: dict[str, Any] = {
        "kind": "direction",
        "texts": ["x", "y"],
        "add": ["p", "q"],
        "expect": {"label": "l", "must": "rise"},
    }
    assert [case.changed for case in cases(**test)] == ["x p", "x q", "y p", "y q"]
    assert [case.changed for case in cases(**test, where="start")] == ["p x", "q x", "p y", "q y"]


@pytest.mark.parametrize("name", CHANGES)
@given(text=TEXTS, seed=st.integers(0, 3))
def test_a_change_is_a_pure_function_of_text_and_seed(name: str, text: str, seed: int) -> None:
    assert CHANGES[name](text, Random(seed)) == CHANGES[name](text, Random(seed))


@pytest.mark.parametrize(
    ("name", "text", "possible"),
    [
        ("typos", "a word", {"a wrod"} | {"a wodr"}),
        ("typos", "an a 12345", {"an a 12345"}),
        ("case", "Profit", {"PROFIT", "profit"}),
        ("case", "12 ☂", {"12 ☂"}),
        ("punctuation", "It rose.", {"It rose", "It rose ."}),
        ("punctuation", "It rose", {"It rose.", "It rose ."}),
        ("punctuation", "...", {"..."}),
        ("contractions", "It isn't good", {"It is not good"}),
        ("contractions", "Do not go", {"Don't go"}),
        ("contractions", "nothing here", {"nothing here"}),
        ("numbers", "no digits, and 0", {"no digits, and 0"}),
        ("names", "nobody", {"nobody"}),
    ],
)
def test_a_change_makes_what_it_says_or_nothing(name: str, text: str, possible: set[str]) -> None:
    assert {CHANGES[name](text, Random(seed)) for seed in range(40)} == possible


def test_names_are_exchanged_as_whole_words_everywhere_alike() -> None:
    change = exchange(["Oslo", "Rome", "Stora Enso", "Stora"])
    made = {change("Oslo, Oslo's and Oslovian", Random(seed)) for seed in range(40)}
    assert made == {f"{name}, {name}'s and Oslovian" for name in ("Rome", "Stora Enso", "Stora")}
    assert change("Stora Enso", Random(0)) in {"Oslo", "Rome", "Stora"}


def test_numbers_keep_their_length_and_their_zeros() -> None:
    made = CHANGES["numbers"]("EUR 10.5 mn in 2026", Random(0))
    assert [character.isdigit() for character in made] == [c.isdigit() for c in "EUR 10.5 mn in 2026"]
    assert made[5] == "0"
