"""Slots are filled as their shares say, the same seed picks the same, and probabilities are those of being chosen."""

from collections import Counter

import numpy as np
import pytest

from monitoring.labels.policies import (
    DIVERSE,
    MARGIN,
    REPORTED,
    UNIFORM,
    WITNESS,
    diverse,
    fill,
    margin,
    uniform,
    witness,
)
from monitoring.labels.policies_information import Candidates, Labelled

ROWS = 200


def made(rows: int = ROWS, embedded: bool = True, terms: bool = False, reported: int = 0) -> Candidates:
    rng = np.random.default_rng(0)
    embedding = rng.normal(size=(rows, 8)).astype(np.float32)
    bag = [(np.sort(rng.choice(50, 5, replace=False)), np.full(5, 0.4, dtype=np.float32)) for _ in range(rows)]
    return Candidates(
        ids=tuple(f"item-{row}" for row in range(rows)),
        scores=rng.dirichlet([1.0, 1.0, 1.0], rows),
        embedding=embedding if embedded else embedding[:, :0],
        witness=rng.normal(size=rows),
        reported=np.arange(rows) < reported,
        terms=bag if terms else (),
    )


@pytest.mark.parametrize("terms", [False, True])
def test_slots_are_filled_by_their_shares_and_no_row_twice(terms: bool) -> None:
    picks = fill(made(reported=9, terms=terms), Labelled(), 50, seed=1, runs=1)

    assert Counter(pick.slot for pick in picks) == {REPORTED: 5, UNIFORM: 10, WITNESS: 5, DIVERSE: 10, MARGIN: 20}
    assert len({pick.row for pick in picks}) == 50
    assert [pick.row for pick in picks[:5]] == [0, 1, 2, 3, 4]


def test_slots_that_find_nothing_go_to_margin() -> None:
    none = made(embedded=False)
    picks = fill(none, Labelled(), 50, seed=1, runs=1)

    assert Counter(pick.slot for pick in picks) == {UNIFORM: 10, WITNESS: 5, MARGIN: 35}


def test_the_same_seed_picks_the_same_and_another_does_not() -> None:
    assert fill(made(), Labelled(), 20, seed=3) == fill(made(), Labelled(), 20, seed=3)
    assert fill(made(), Labelled(), 20, seed=3) != fill(made(), Labelled(), 20, seed=4)


@pytest.mark.parametrize(("rows", "budget", "picked"), [(3, 50, 3), (ROWS, 0, 0), (1, 1, 1), (0, 5, 0)])
def test_a_budget_takes_no_more_than_there_is(rows: int, budget: int, picked: int) -> None:
    picks = fill(made(rows), Labelled(), budget, seed=1, runs=2)

    assert len(picks) == picked
    assert all(0.0 < pick.probability <= 1.0 for pick in picks)


def test_uniform_picks_have_exactly_the_same_chance() -> None:
    assert {round(pick.probability, 12) for pick in uniform(made(), Labelled(), 20, seed=1)} == {20 / ROWS}


def test_margin_asks_about_the_unsure_and_diverse_and_witness_about_their_own() -> None:
    candidates = made()
    by_margin = margin(candidates, Labelled(), 20, seed=1)
    spread = diverse(candidates, Labelled(candidates.embedding[:5]), 20, seed=1)
    pulling = witness(candidates, Labelled(), 20, seed=1)

    assert np.mean([pick.score for pick in by_margin]) > 0.7
    assert min(pick.score for pick in spread) > 0.4
    assert min(candidates.witness[pick.row] for pick in pulling) > 0.0


def test_every_predicted_class_has_its_floor() -> None:
    candidates = made()
    scores = candidates.scores.copy()
    scores[:, 2] = 0.0
    scores[:4] = [0.0, 0.01, 0.99]
    rare = Candidates(candidates.ids, scores, candidates.embedding, candidates.witness, candidates.reported)
    picks = fill(rare, Labelled(), 20, seed=1, shares={MARGIN: 1.0}, floor=2, runs=1)

    assert sum(pick.row < 4 for pick in picks) >= 2


def test_what_is_labelled_already_is_asked_about_less() -> None:
    rng = np.random.default_rng(1)
    near = np.concatenate([np.tile([1.0, 0.0], (130, 1)), np.tile([0.0, 1.0], (70, 1))]).astype(np.float32)
    near += rng.normal(scale=0.05, size=near.shape).astype(np.float32)
    none = np.zeros(ROWS)
    same = Candidates(tuple(map(str, range(ROWS))), np.full((ROWS, 2), 0.5), near, none, none.astype(np.bool_))
    picks = margin(same, Labelled(near[:80]), 10, seed=1)

    assert sum(pick.row >= 130 for pick in picks) >= 8


def test_what_tells_much_about_others_does_not_outweigh_being_unsure() -> None:
    rng = np.random.default_rng(2)
    near = np.concatenate([np.tile([1.0, 0.0], (150, 1)), np.tile([0.0, 1.0], (50, 1))]).astype(np.float32)
    near += rng.normal(scale=0.05, size=near.shape).astype(np.float32)
    scores = np.concatenate([np.tile([0.75, 0.25], (150, 1)), np.tile([0.5, 0.5], (50, 1))])
    none = np.zeros(ROWS)
    picks = margin(
        Candidates(tuple(map(str, range(ROWS))), scores, near, none, none.astype(np.bool_)), Labelled(), 10, seed=1
    )

    assert all(pick.row >= 150 for pick in picks)


def test_probabilities_are_how_often_a_row_is_chosen() -> None:
    candidates = made(40)
    picks = [fill(candidates, Labelled(), 12, seed=seed, runs=8) for seed in range(60)]
    chosen = np.zeros(40)
    stated = np.zeros(40)
    for one in picks:
        for pick in one:
            chosen[pick.row] += 1 / 60
            stated[pick.row] += pick.probability
    mean = stated / (chosen * 60).clip(1.0)
    often = (chosen > 0.1) & (chosen < 0.7)

    assert mean[often] == pytest.approx(chosen[often], abs=0.15)
    # One over the chance of every pick counts all candidates, in the mean.
    assert np.mean([sum(1.0 / pick.probability for pick in one) for one in picks]) == pytest.approx(40, rel=0.1)
