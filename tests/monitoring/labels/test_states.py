"""What answers make of an item, whoever gave them and in whatever order."""

from hypothesis import given
from hypothesis import strategies as st

from monitoring.labels.states import verdict

answers = st.lists(st.one_of(st.none(), st.sampled_from(("up", "down", "flat"))), max_size=7)


@given(answers, st.integers(1, 4), st.randoms(use_true_random=False))
def test_the_order_of_answers_does_not_matter(given_answers: list[str | None], wanted: int, chance: object) -> None:
    shuffled = sorted(given_answers, key=lambda _: chance.random())  # type: ignore[attr-defined]

    assert verdict(given_answers, wanted) == verdict(shuffled, wanted)


@given(answers, st.integers(1, 4))
def test_an_accepted_label_has_more_than_half_of_all_that_were_wanted(
    given_answers: list[str | None], wanted: int
) -> None:
    state, label = verdict(given_answers, wanted)
    if state in ("accepted", "discarded"):
        assert len(given_answers) >= wanted
        assert 2 * given_answers.count(label) > len(given_answers)
        assert (label is None) == (state == "discarded")
    else:
        assert label is None


def test_the_ways_of_an_item() -> None:
    assert verdict([], 1) == ("new", None)
    assert verdict(["up"], 1) == ("accepted", "up")
    assert verdict(["up"], 2) == ("labelled", None)
    assert verdict(["up", "up"], 2) == ("accepted", "up")
    assert verdict(["up", "down"], 2) == ("disputed", None)
    assert verdict(["up", "down", "up"], 2) == ("accepted", "up")
    assert verdict(["up", "down", None], 2) == ("disputed", None)
    assert verdict([None], 1) == ("discarded", None)
