"""Claims: who has which item on the screen, by a lease that expires, so that no two people do the same work.

A claim is a compare-and-swap on the item's row: of several annotators, workers and machines one gets it. Nothing is
lost with a process that dies: its lease runs out and the item is whatever its answers make it.
What comes first: items that only lack one answer (disputed, labelled), then new ones, oldest and least certain first.
Before: `relabel`; after: `answers`.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, Select, case, exists, func, or_, select, update

from monitoring.labels.items import CLAIMED, DISPUTED, LABELLED, NEW, WAITING, Item
from monitoring.labels.states import settle
from tidegate.store import annotations
from tidegate.store import relabel_items as table

LEASE_SECONDS = 600.0  # a long text and a cup of coffee
GOLD_EVERY = 20  # answers of an annotator to one test of them, where there are gold items
_TRIES = 50  # of others taking the items just read; each means that somebody else got on


def claim(
    connection: Connection,
    model: str,
    annotator: str,
    at: float,
    *,
    most: int = 1,
    lease_seconds: float = LEASE_SECONDS,
) -> list[Item]:
    """Give an annotator items that they have not answered; those that they hold already come first, leases renewed.

    Args:
        connection: in a transaction.
        model: whose queue.
        annotator: who asks.
        at: Unix time in seconds.
        most: items to hold at once.
        lease_seconds: for which nobody else gets them.

    Returns:
        At most `most` items; fewer when the queue has no more for this annotator.
    """
    expire(connection, model, at)
    held = connection.execute(_held(model, annotator)).all()[:most]
    taken = [row for row in held if _take(connection, row, annotator, at, lease_seconds)]
    for _ in range(_TRIES):
        if len(taken) >= most:
            break
        rows = _next(connection, model, annotator, [each.id for each in taken], most - len(taken))
        if not rows:
            break
        taken += [row for row in rows if _take(connection, row, annotator, at, lease_seconds)]
    ids = [row.id for row in taken]
    fresh = {row.id: Item.of(row) for row in connection.execute(select(table).where(table.c.id.in_(ids)))}
    return [fresh[item_id] for item_id in ids]


def hold(connection: Connection, item_id: str, annotator: str, at: float, lease_seconds: float = LEASE_SECONDS) -> bool:
    """Claim one item that nobody has on the screen; whether it was done."""
    row = connection.execute(select(table).where(table.c.id == item_id)).one_or_none()
    free = row is not None and row.state in WAITING and not held_by_another(row, annotator, at)
    return row is not None and free and _take(connection, row, annotator, at, lease_seconds)


def release(connection: Connection, item_id: str, annotator: str) -> None:
    """Give an item back; one that somebody else holds stays theirs."""
    mine = (table.c.id == item_id, table.c.claimed_by == annotator, table.c.state == CLAIMED)
    if connection.execute(update(table).where(*mine).values(claimed_by="", leased_until=None)).rowcount:
        settle(connection, item_id)


def expire(connection: Connection, model: str, at: float) -> None:
    """Take back a model's items whose leases have run out."""
    out = (table.c.model == model, table.c.state == CLAIMED, table.c.leased_until <= at)
    for item_id in connection.execute(select(table.c.id).where(*out)).scalars().all():
        freed = update(table).where(table.c.id == item_id, *out).values(claimed_by="", leased_until=None)
        if connection.execute(freed).rowcount:
            settle(connection, item_id)


def _take(connection: Connection, row: Row[Any], annotator: str, at: float, lease_seconds: float) -> bool:
    """Whether the item was still as it was read."""
    same = (table.c.id == row.id, table.c.state == row.state, table.c.claimed_by == row.claimed_by)
    lease = {"state": CLAIMED, "claimed_by": annotator, "leased_until": at + lease_seconds}
    return bool(connection.execute(update(table).where(*same).values(**lease)).rowcount)


def _held(model: str, annotator: str) -> Select[Any]:
    mine = (table.c.model == model, table.c.state == CLAIMED, table.c.claimed_by == annotator)
    return select(table).where(*mine).order_by(table.c.created_at, table.c.score, table.c.id)


def _next(connection: Connection, model: str, annotator: str, but: Sequence[str], most: int) -> list[Row[Any]]:
    """A gold item when it is time for one, and the first that this annotator may answer: `most` together."""
    answered = exists().where(annotations.c.item_id == table.c.id, annotations.c.annotator == annotator)
    theirs = select(table).where(table.c.model == model, ~answered, table.c.id.not_in(but))
    ordered = theirs.order_by(table.c.created_at, table.c.score, table.c.id)
    gold = ordered.where(table.c.gold.is_not(None), table.c.state == NEW).limit(1)
    found = list(connection.execute(gold).all())
    if found and not _is_time_for_gold(connection, model, annotator):
        found = []
    for state in (DISPUTED, LABELLED, NEW):  # one by one, so that the index gives the first without a sort
        if len(found) < most:
            plain = ordered.where(table.c.state == state, table.c.gold.is_(None)).limit(most - len(found))
            found += connection.execute(plain).all()
    return found


def _is_time_for_gold(connection: Connection, model: str, annotator: str) -> bool:
    of_model = annotations.join(table, table.c.id == annotations.c.item_id)
    query = select(func.count(), func.sum(case((table.c.gold.is_not(None), 1), else_=0))).select_from(of_model)
    answers, tests = connection.execute(query.where(table.c.model == model, annotations.c.annotator == annotator)).one()
    return int(answers) + 1 >= GOLD_EVERY * (int(tests or 0) + 1)


def held_by_another(row: Row[Any], annotator: str, at: float) -> bool:
    """Whether somebody else has the item on the screen now."""
    return bool(row.state == CLAIMED and row.claimed_by != annotator and row.leased_until > at)


def has_run_out(row: Row[Any], at: float) -> bool:
    """Whether the lease of a claimed item is over."""
    return row.leased_until is None or bool(row.leased_until <= at)


def waits(model: str, annotator: str) -> Select[Any]:
    """How many items wait for this annotator, those that others hold left out."""
    theirs = select(annotations.c.item_id).where(annotations.c.annotator == annotator)
    free = or_(table.c.state != CLAIMED, table.c.claimed_by == annotator)
    return select(func.count()).where(
        table.c.model == model, table.c.state.in_(WAITING), free, table.c.gold.is_(None), table.c.id.not_in(theirs)
    )
