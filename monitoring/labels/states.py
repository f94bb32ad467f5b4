"""States: what the answers to an item make of it; the one place that decides, whoever answered and how.

As many different annotators as `wanted` must have answered, and more than half of them alike. A person's decision
overrules. Skipped items have no answer of that person, and are not shown to them again.
Before: `claims`, `answers`; after: `data_sets`, which alone moves accepted items on.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any, cast

from sqlalchemy import Connection, Row, bindparam, select, update

from monitoring.labels import items
from monitoring.labels.items import ACCEPTED, CLAIMED, DISCARDED, DISPUTED, IN_DATA_SET, LABELLED, NEW, State
from tidegate.errors import ItemNotFound
from tidegate.store import annotations
from tidegate.store import relabel_items as table

LABEL, NONE, SKIP = "label", "none", "skip"
DECISION = "decision"  # the source of an answer that overrules the others

# Made once, for imports of thousands: SQLAlchemy takes as long to make a statement as SQLite to carry it out.
_GIVEN = (
    select(annotations)
    .where(annotations.c.item_id == bindparam("item"), annotations.c.verdict != SKIP)
    .order_by(annotations.c.created_at, annotations.c.annotator)
)
_SETTLE = update(table).where(table.c.id == bindparam("item"))


def verdict(answers: Sequence[str | None], wanted: int) -> tuple[State, str | None]:
    """State and label by the answers of different annotators; None is "not a case for these labels".

    Args:
        answers: one a person, skips left out.
        wanted: how many it takes, 1 or more.
    """
    if not answers:
        return NEW, None
    if len(answers) < wanted:
        return LABELLED, None
    (most, votes), *_ = Counter(answers).most_common(1)
    if 2 * votes <= len(answers):
        return DISPUTED, None
    return (DISCARDED, None) if most is None else (ACCEPTED, most)


def settle(connection: Connection, item_id: str) -> State:
    """Give an item the state that its answers make, unless it is claimed or in a data set; returns its state.

    Args:
        connection: in a transaction.
        item_id: of the item.

    Raises:
        ItemNotFound: there is none.
    """
    item = items.find(connection, item_id)
    if item is None:
        raise ItemNotFound(f"no item {item_id!r} on the queue")
    if item.state == IN_DATA_SET or (item.state == CLAIMED and item.claimed_by):
        return cast(State, item.state)
    state, label = _judged(connection, item)
    if (state, label) != (item.state, item.label):
        connection.execute(_SETTLE, {"item": item_id, "state": state, "label": label})
    return state


def _judged(connection: Connection, item: Row[Any]) -> tuple[State, str | None]:
    if item.gold is not None:
        return NEW, None  # open to every annotator, for ever
    given = connection.execute(_GIVEN, {"item": item.id}).all()
    decided = [answer for answer in given if answer.source == DECISION]
    if decided:
        return verdict([decided[-1].label], 1)
    state, label = verdict([answer.label for answer in given], item.wanted)
    return (DISPUTED, label) if state == LABELLED and item.doubt else (state, label)
