"""What was chosen unevenly speaks for all: the interval covers the truth, narrower than that of the random slot."""

import numpy as np
import pytest
from numpy.typing import NDArray

from monitoring.labels.policies import UNIFORM, fill
from monitoring.labels.policies_information import Candidates, Labelled
from monitoring.labels.weighted import Weighted, estimate
from tidegate.intervals import wilson


def test_even_chances_give_the_plain_share_and_about_wilsons_interval() -> None:
    right = np.arange(100) < 80
    found = estimate(right, np.full(100, 0.1))

    assert found.accuracy == pytest.approx(0.8)
    assert (found.low, found.high) == pytest.approx(wilson(0.8, 100), abs=0.01)


def test_rare_picks_count_for_more() -> None:
    right = np.array([True] * 10 + [False] * 10)
    chance = np.array([0.1] * 10 + [0.4] * 10)

    assert estimate(right, chance).accuracy == pytest.approx(0.8)


def test_no_label_says_nothing_and_few_are_not_trusted() -> None:
    assert estimate(np.zeros(0, dtype=np.bool_), np.zeros(0)) == Weighted(0, 0.0, 0.0, 1.0, 0.0)
    assert not estimate(np.ones(9, dtype=np.bool_), np.ones(9)).trusted


@pytest.mark.parametrize("chance", [0.0, 1.1, float("nan")])
def test_a_chance_outside_its_range_is_refused(chance: float) -> None:
    with pytest.raises(ValueError, match="chances from"):
        estimate(np.ones(2, dtype=np.bool_), np.array([0.5, chance]))


@pytest.mark.parametrize("accuracy", [0.7, 0.95])
def test_the_interval_covers_the_truth_and_is_narrower_than_the_random_slots(accuracy: float) -> None:
    found = [_simulated(accuracy, seed) for seed in range(60)]
    covered, width, even = np.mean(found, axis=0)

    assert covered >= 0.9
    assert width < even


def _simulated(accuracy: float, seed: int) -> NDArray[np.float64]:
    """Covered, width, width of the random slot alone."""
    rng = np.random.default_rng(seed)
    chance = rng.beta(accuracy * 4.0, (1.0 - accuracy) * 4.0, 400)
    right = rng.random(400) < chance
    best = 0.5 + np.abs(chance - 0.5)
    none = np.zeros(400)
    scores = np.stack([best, 1.0 - best], axis=1)
    embedding = rng.normal(size=(400, 4)).astype(np.float32)
    given = Candidates(tuple(map(str, range(400))), scores, embedding, none, none.astype(np.bool_))
    picks = fill(given, Labelled(), 60, seed, runs=2)
    said = estimate(right[[pick.row for pick in picks]], np.array([pick.probability for pick in picks]))
    even = right[[pick.row for pick in picks if pick.slot == UNIFORM]]
    low, high = wilson(float(even.mean()), len(even))
    return np.array([said.low <= right.mean() <= said.high, said.high - said.low, high - low])
