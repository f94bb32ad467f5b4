"""No day brings more than its budget, whenever predictions come, and slots get their shares of it."""

from dataclasses import dataclass, field

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from monitoring.labels.budget import DAY_SECONDS, LEAST_SECONDS, SELECTED, SLOT_OF, Budget, Spent, divide, left
from monitoring.labels.relabel import FEEDBACK
from tidegate.label_slots import DEFAULT_SHARES, Slot, parse_shares

SHARES = parse_shares(DEFAULT_SHARES)
ALL: frozenset[Slot] = frozenset(SELECTED)


@dataclass
class Queue:
    """A queue without a database: when an item was added, and why."""

    items: list[tuple[float, str]] = field(default_factory=list)
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))

    def spent(self, at: float, began: float) -> Spent:
        seconds = min(max(at - began, LEAST_SECONDS), DAY_SECONDS)
        day = [(when, why) for when, why in self.items if when > at - DAY_SECONDS]
        since = [why for when, why in day if when > at - seconds]
        slots = {slot: sum(SLOT_OF[why] == slot for why in since) for slot in SELECTED}
        chosen = [why for why in since if why != FEEDBACK]
        return Spent(seconds, slots, len(chosen), sum(why != FEEDBACK for _, why in day), {}, {})

    def select(self, budget: Budget, at: float, began: float, filled: frozenset[Slot] = ALL) -> dict[Slot, int]:
        given_ = divide(budget, self.spent(at, began), filled, self.rng)
        for slot, items in given_.items():
            self.items += [(at, "disagreement" if slot == "reported" else slot)] * items
        return given_


shares = (
    st.lists(st.floats(0.0, 1.0), min_size=5, max_size=5)
    .filter(lambda each: sum(each) > 0.1)
    .map(lambda each: dict(zip(SHARES, (one / sum(each) for one in each), strict=True)))
)


@given(
    per_day=st.integers(0, 300),
    divided=shares,
    waits=st.lists(st.floats(1.0, 40_000.0), min_size=1, max_size=40),
    filled=st.lists(st.frozensets(st.sampled_from(SELECTED)), min_size=1, max_size=40),
    reports=st.lists(st.integers(0, 3), min_size=1, max_size=40),
)
def test_no_24_hours_bring_more_than_a_day(
    per_day: int, divided: dict[Slot, float], waits: list[float], filled: list[frozenset[Slot]], reports: list[int]
) -> None:
    budget, queue, at = Budget(per_day, divided), Queue(), 0.0
    for turn, wait in enumerate(waits):
        at += wait
        queue.items += [(at, FEEDBACK)] * reports[turn % len(reports)]
        queue.select(budget, at, 0.0, filled[turn % len(filled)])

    chosen = [when for when, why in queue.items if why != FEEDBACK]
    assert all(sum(end - DAY_SECONDS < when <= end for when in chosen) <= budget.selected for end in chosen)
    assert budget.selected + budget.random == per_day


@given(per_day=st.integers(1, 300), waits=st.lists(st.floats(60.0, 7_200.0), min_size=1, max_size=60))
def test_within_a_day_no_slot_gets_more_than_a_part_of_an_item_beyond_its_share(
    per_day: int, waits: list[float]
) -> None:
    budget, queue, at = Budget(per_day, SHARES), Queue(), 0.0
    for wait in waits:
        at = min(at + wait, DAY_SECONDS - 1.0)
        queue.select(budget, at, 0.0)

    for slot in SELECTED:
        assert sum(SLOT_OF[why] == slot for _, why in queue.items) < per_day * SHARES[slot] + 1.0


def test_a_day_of_even_traffic_uses_the_budget_up_in_its_shares() -> None:
    budget, queue = Budget(100, SHARES), Queue()
    for minute in range(1, 24 * 60 + 1):
        queue.select(budget, 60.0 * minute, 0.0)
    got = {slot: sum(SLOT_OF[why] == slot for _, why in queue.items) for slot in SELECTED}

    assert got == {"margin": 40, "diverse": 20, "witness": 10, "reported": 10}


def test_a_small_budget_reaches_every_slot_in_turn() -> None:
    budget, queue = Budget(5, SHARES), Queue()
    for hour in range(1, 5 * 24):
        queue.select(budget, 3_600.0 * hour, 0.0)

    assert {SLOT_OF[why] for _, why in queue.items} == ALL


def test_what_a_slot_cannot_use_is_margins() -> None:
    budget, queue = Budget(100, SHARES), Queue()
    got = queue.select(budget, DAY_SECONDS, 0.0, frozenset({"diverse"}))

    assert got == {"margin": 60, "diverse": 20, "witness": 0, "reported": 0}


def test_reports_of_callers_use_up_their_own_slot_and_no_other() -> None:
    budget, queue = Budget(100, SHARES), Queue([(1.0, FEEDBACK)] * 500)
    got = queue.select(budget, DAY_SECONDS, 0.0)

    assert got == {"margin": 40, "diverse": 20, "witness": 10, "reported": 0}


def test_a_part_of_a_random_draw_is_one_and_comes_off_the_rest() -> None:
    budget = Budget(3, SHARES)
    assert (budget.random, budget.selected) == (1, 2)
    assert left(Budget(0, SHARES), Queue().spent(1e6, 0.0)) == 0
