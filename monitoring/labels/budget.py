"""The budget: how many texts selection may put on the relabel queue now, and in which slots.

It accrues with the time that a model has had traffic, over the last 24 hours at most, and what it paid for is counted
on the queue itself: so a restart, a second worker or a clock that jumps can neither double it nor save it up, and no 24
hours bring more than a day's. What callers report uses up its own slot and no other, however much it is; texts of an
alert come on top. Before: `slots`, `random_stream`; after: `relabel`.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
from sqlalchemy import Connection, case, func, select

from monitoring.labels.items import WAITING
from monitoring.labels.relabel import FEEDBACK
from tidegate.label_slots import Slot, parse_shares
from tidegate.settings import Settings
from tidegate.store import relabel_items as table
from tidegate.store import windows

DAY_SECONDS = 86_400.0
LEAST_SECONDS = 3_600.0  # of traffic to go by: the first minutes of a model say little about its day
DISAGREEMENT = "disagreement"
SELECTED: tuple[Slot, ...] = ("margin", "diverse", "witness", "reported")  # random ones are drawn as they are written
SLOT_OF: Mapping[str, Slot] = {  # by reason
    "margin": "margin",
    "diverse": "diverse",
    "witness": "witness",
    DISAGREEMENT: "reported",
    FEEDBACK: "reported",
}
_SLACK = 1e-9  # of sums of shares such as 0.4 + 0.2 + 0.1


@dataclass(frozen=True, slots=True)
class Budget:
    """What a day may cost.

    Attributes:
        per_day: items, random ones included.
        shares: of all slots, adding up to 1.
    """

    per_day: int
    shares: Mapping[Slot, float]

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """The budget of each model; nothing where no texts are kept."""
        return cls(settings.relabel_per_day if settings.keep_records else 0, parse_shares(settings.relabel_shares))

    @property
    def random(self) -> int:
        """Most draws of the random stream in 24 hours; a part of one is one."""
        return math.ceil(self.per_day * self.shares["random"] - _SLACK)

    @property
    def selected(self) -> int:
        """Most items of the other slots in 24 hours."""
        return self.per_day - self.random


@dataclass(frozen=True, slots=True)
class Spent:
    """What of the queue a model's budget has paid for.

    Attributes:
        seconds: for which the budget has accrued, at most a day.
        slots: items by slot in that time; reported ones include callers' own.
        selected: items in that time that selection chose, of all slots.
        day: items in the last 24 hours that selection chose.
        classes: of those, by predicted label.
        callers: of those, by the digest of who asked; empty where nobody can tell.
    """

    seconds: float
    slots: Mapping[Slot, int]
    selected: int
    day: int
    classes: Mapping[str, int]
    callers: Mapping[str, int]


def read(connection: Connection, model: str, at: float) -> Spent:
    """What was spent on a model until `at` (Unix seconds); call it within the turn that spends more."""
    seconds = age(connection, model, at)
    columns = (table.c.reason, table.c.predicted, table.c.caller, table.c.created_at)
    paid = (table.c.model == model, table.c.created_at > at - DAY_SECONDS, table.c.reason.in_(SLOT_OF))
    rows = connection.execute(select(*columns).where(*paid)).all()
    chosen = [row for row in rows if row.reason != FEEDBACK]
    since = at - seconds
    return Spent(
        seconds,
        Counter(SLOT_OF[row.reason] for row in rows if row.created_at > since),
        sum(row.created_at > since for row in chosen),
        len(chosen),
        Counter(row.predicted for row in chosen),
        Counter(row.caller for row in chosen),
    )


def age(connection: Connection, model: str, at: float) -> float:
    """Seconds for which a model has had traffic, in [3,600, 86,400]."""
    latest = (windows.c.model == model, windows.c.ended_at > at - DAY_SECONDS)
    since = connection.scalar(select(func.min(windows.c.started_at)).where(*latest))
    return min(max(at - since, LEAST_SECONDS), DAY_SECONDS) if since is not None else LEAST_SECONDS


def left(budget: Budget, spent: Spent) -> int:
    """How many items selection may add now."""
    accrued = budget.selected * spent.seconds / DAY_SECONDS - spent.selected
    return max(0, math.floor(min(accrued, budget.selected - spent.day) + _SLACK))


def divide(budget: Budget, spent: Spent, filled: Collection[Slot], rng: np.random.Generator) -> dict[Slot, int]:
    """How many items each slot may take now, `left` in all.

    One after the other goes to a slot that lies behind its share of what has accrued, likelier the further it does, so
    that small budgets reach every slot in time; none gets more than a part of an item beyond its share. Slots that
    cannot be filled leave theirs to `margin`.

    Args:
        budget: of a day.
        spent: so far.
        filled: slots that there are candidates for.
        rng: which slot is next.
    """
    shares = {slot: budget.shares[slot] for slot in SELECTED if slot in filled or slot == "margin"}
    shares["margin"] += sum(budget.shares[slot] for slot in SELECTED if slot not in shares)
    accrued = budget.per_day * spent.seconds / DAY_SECONDS
    behind = np.array([share * accrued - spent.slots.get(slot, 0) for slot, share in shares.items()])
    given: dict[Slot, int] = dict.fromkeys(SELECTED, 0)
    for _ in range(left(budget, spent)):
        lag = np.where(behind > _SLACK, behind, 0.0)
        if not lag.any():
            break
        place = int(rng.choice(len(lag), p=lag / lag.sum()))
        given[list(shares)[place]] += 1
        behind[place] -= 1.0
    return given


def slot_of(reason: str) -> str:
    """The slot of a reason: callers' reports and disagreements share one; texts of an alert are their own."""
    return SLOT_OF.get(reason, reason)


def depths(connection: Connection) -> dict[tuple[str, str], int]:
    """(model, slot) to items that wait for a person; 0 for a slot that is done. Gold items do not count."""
    waits = func.sum(case(((table.c.state.in_(WAITING)) & table.c.gold.is_(None), 1), else_=0))
    found: dict[tuple[str, str], int] = defaultdict(int)
    for model, reason, rows in connection.execute(
        select(table.c.model, table.c.reason, waits).group_by(table.c.model, table.c.reason)
    ):
        found[model, slot_of(reason)] += int(rows)
    return dict(found)
