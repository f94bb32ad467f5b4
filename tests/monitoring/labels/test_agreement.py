"""Agreement against textbook figures, its bounds on any answers, and annotators against gold items."""

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitoring.labels.agreement import Answer, accuracies, alpha, kappa

# Krippendorff 2011, part C ("nominal data, any number of observers, missing data"): alpha = 0.743.
OBSERVERS = {"A": "123321412   ", "B": "1233224125 3", "C": " 3332342251 ", "D": "12332441251 "}


def answers(columns: dict[str, str]) -> list[Answer]:
    return [
        Answer(str(item), name, label)
        for name, row in columns.items()
        for item, label in enumerate(row)
        if label != " "
    ]


def test_alpha_is_that_of_the_published_example() -> None:
    found = alpha(answers(OBSERVERS))

    assert found.items == 11, "the last item has one answer"
    assert found.value == pytest.approx(0.743, abs=0.001)


def test_kappa_is_that_of_the_textbook_table() -> None:
    """20 yes/yes, 5 yes/no, 10 no/yes, 15 no/no: observed 0.7, by chance 0.5, kappa 0.4."""
    one, other = "y" * 25 + "n" * 25, "y" * 20 + "n" * 5 + "y" * 10 + "n" * 15
    found = kappa(answers({"one": one, "other": other}), "one", "other")

    assert found.items == 50
    assert found.value == pytest.approx(0.4)
    assert found.low is not None
    assert found.high is not None
    assert 0.05 < found.low < 0.3 < 0.5 < found.high < 0.75


def test_few_items_or_one_label_say_nothing() -> None:
    assert alpha(answers({"A": "abab", "B": "abab"})).value is None
    assert alpha(answers({"A": "a" * 30, "B": "a" * 30})).value is None
    assert kappa(answers({"A": "ab" * 15}), "A", "B").items == 0


def test_random_answers_agree_by_chance_alone() -> None:
    rng = Random(3)
    found = alpha(answers({name: "".join(rng.choice("abc") for _ in range(300)) for name in "ABC"}))

    assert found.low is not None
    assert found.high is not None
    assert found.low < 0 < found.high
    assert found.high - found.low < 0.2


@settings(deadline=None, max_examples=30)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("abc")), min_size=10, max_size=40))
def test_agreement_does_not_depend_on_names_or_order_and_keeps_its_bounds(rows: list[tuple[str, str]]) -> None:
    one, other = ("".join(column) for column in zip(*rows, strict=True))
    straight, turned = answers({"A": one, "B": other}), answers({"B": one, "A": other})[::-1]
    found, again = alpha(straight), alpha(turned)

    assert (found.value is None) == (again.value is None)
    if found.value is not None:
        assert again.value is not None
        assert found.low is not None
        assert found.high is not None
        assert found.value == pytest.approx(again.value)
        assert -1 <= found.low <= found.value <= found.high <= 1
        assert (found.value == 1) == (one == other)


def test_an_annotator_is_held_against_gold_items_alone() -> None:
    rows = [Answer(str(n), "ann", "a" if n < 8 else "b", gold="a") for n in range(10)]
    rows += [Answer("x", "ann", "b"), Answer("x", "bob", "b")]
    (found,) = accuracies(rows)

    assert (found.annotator, found.items, found.accuracy) == ("ann", 10, 0.8)
    assert found.confusion == {("a", "a"): 8, ("a", "b"): 2}
    assert 0.4 < found.low < 0.8 < found.high < 0.96
