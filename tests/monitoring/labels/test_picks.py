"""Picks fill the room there is, each for its reason and with a probability, classes below their floor first."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from monitoring.labels.picks import Pool, fill, witness_of
from monitoring.labels.policies_information import Candidates
from tidegate.label_slots import Slot


def pool(rows: int, seed: int = 0, disputed: int = 0, dimensions: int = 4) -> Pool:
    rng = np.random.default_rng(seed)
    scores = rng.dirichlet([1.0, 1.0, 0.2], size=rows)
    candidates = Candidates(
        tuple(f"p{row}" for row in range(rows)),
        scores,
        rng.normal(size=(rows, dimensions)).astype(np.float32),
        witness_of(rng.random(rows)),
        np.arange(rows) < disputed,
    )
    labels = [("a", "b", "c")[best] for best in scores.argmax(axis=1)]
    return Pool(candidates, labels, [""] * rows, rng.normal(size=(3, dimensions)).astype(np.float32), 1.0)


@settings(deadline=None, max_examples=40)
@given(
    rows=st.integers(1, 30),
    disputed=st.integers(0, 5),
    dimensions=st.sampled_from([0, 4]),
    margin=st.integers(0, 8),
    diverse=st.integers(0, 4),
    witness=st.integers(0, 4),
    reported=st.integers(0, 4),
    lacking=st.sets(st.sampled_from(["a", "b", "c", "gone"])),
    seed=st.integers(0, 2**32),
)
def test_room_is_filled_once_with_probabilities(
    rows: int, disputed: int, dimensions: int, margin: int, diverse: int, witness: int, reported: int,
    lacking: set[str], seed: int,
) -> None:  # fmt: skip
    room: dict[Slot, int] = {"margin": margin, "diverse": diverse, "witness": witness, "reported": reported}
    picked = fill(pool(rows, seed, disputed, dimensions), room, lacking, seed)

    assert len({pick.row for pick in picked}) == len(picked) == min(rows, sum(room.values()))
    assert all(0.0 < pick.probability <= 1.0 for pick in picked)
    assert sum(pick.slot == "disagreement" for pick in picked) <= reported


def test_each_slot_gets_its_room() -> None:
    room: dict[Slot, int] = {"margin": 4, "diverse": 3, "witness": 2, "reported": 1}
    picked = fill(pool(100, disputed=5), room, (), 1)
    reasons = [pick.slot for pick in picked]

    assert {reason: reasons.count(reason) for reason in set(reasons)} == {
        "margin": 4,
        "diverse": 3,
        "witness": 2,
        "disagreement": 1,
    }


def test_what_is_disputed_is_drawn_evenly() -> None:
    drawn = [fill(pool(50, disputed=5), {"reported": 1}, (), seed)[0] for seed in range(60)]

    assert {pick.row for pick in drawn} == {0, 1, 2, 3, 4}
    assert {round(pick.probability, 6) for pick in drawn} == {0.2}


def test_a_class_below_its_floor_comes_first() -> None:
    choices = pool(200)
    rare = {row for row, label in enumerate(choices.labels) if label == "c"}
    for seed in range(10):
        assert fill(choices, {"margin": 1}, ["c"], seed)[0].row in rare


def test_the_least_typical_pull_most_and_unknown_ones_do_not() -> None:
    weights = witness_of(np.array([0.5, np.nan, 0.1, 0.9]))
    assert np.argsort(-weights).tolist()[:3] == [2, 0, 3]
    assert weights[1] == 0.0
