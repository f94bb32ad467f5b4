"""Decisions: what one person settles about an item, over the annotators' heads: its label, or that it tests them.

A decision is an answer of its own, with the source `decision`, and overrules the others until it is taken by another
one. A gold item goes to every annotator now and then and is never training data. Items are named as `tidegate relabel
list` shows them, by the first characters of their id. Before: `tidegate relabel decide|gold`; after: `states`.
"""

from typing import Any

from sqlalchemy import Engine, Row, select, update
from sqlalchemy.engine import Connection

from monitoring.labels import answers
from monitoring.labels.answers import Allowed
from monitoring.labels.items import IN_DATA_SET, NEW, State
from monitoring.labels.states import DECISION, settle
from monitoring.tables import storable, turn
from tidegate.errors import InvalidInput, ItemNotFound
from tidegate.store import relabel_items as table

FEWEST_CHARS = 4


def decide(database: Engine, name: str, label: str | None, at: float, allowed: Allowed) -> tuple[str, State]:
    """Decide what an item is; returns its id and its state after it.

    Args:
        database: the state database.
        name: the item's id or how it begins.
        label: None says that the text is no case for these labels.
        at: Unix time in seconds.
        allowed: what labels the item's model takes.

    Raises:
        ItemNotFound: no such item.
        InvalidInput: several such items, no label of the model, or the item is in a data set or gold.
    """
    with turn(database) as connection:
        found = _named(connection, name)
        if found.gold is not None:
            raise InvalidInput(f"item {found.id[:8]} is gold: it tests annotators; `relabel gold --remove` ends that")
        verdict: answers.Verdict = "none" if label is None else "label"
        _, state = answers.answer(connection, found.id, DECISION, verdict, label, at, allowed, "decision")
        return found.id, state


def set_gold(database: Engine, name: str, label: str | None, allowed: Allowed) -> tuple[str, State]:
    """Make an item test annotators, by the label that is right, or None to end that; returns its id and state.

    Raises:
        ItemNotFound: no such item.
        InvalidInput: several such items, no label of the model, or the item is in a data set.
    """
    with turn(database) as connection:
        found = _named(connection, name)
        if found.state == IN_DATA_SET:
            raise InvalidInput(f"item {found.id[:8]} is in data set {found.data_set}: what is trained on tests nobody")
        if label is not None:
            answers.check_label(found, label, allowed)
        values: dict[str, Any] = {"gold": label}
        if label is not None and not found.claimed_by:
            values |= {"state": NEW, "label": None}
        connection.execute(update(table).where(table.c.id == found.id).values(**values))
        return found.id, settle(connection, found.id)


def _named(connection: Connection, name: str) -> Row[Any]:
    start = storable(name)
    if len(start) < FEWEST_CHARS:
        raise InvalidInput(f"{name!r} names no item; give {FEWEST_CHARS} characters of its id or more")
    begins = table.c.id.startswith(start, autoescape=True)
    found = connection.execute(select(table).where(begins).limit(2)).all()
    if not found:
        raise ItemNotFound(f"no item {name[:80]!r} on the queue; `tidegate relabel list` shows those there are")
    if len(found) > 1:
        raise InvalidInput(f"several items begin with {name!r}; give more characters of the id")
    return found[0]
