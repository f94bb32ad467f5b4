"""Progress: what an annotator has done, what waits, and how their answers compare with others' and with gold items.

What somebody has been told of other people's answers to an item makes their own answer final: else they would agree
with everybody by correcting themselves, and agreement would say nothing.
Before: `answers`; after: `desk`, which tells it to the person.
"""

import time
from typing import Any

from sqlalchemy import Connection, Row, Select, and_, case, func, select

from monitoring.labels.claims import waits
from monitoring.labels.states import SKIP
from tidegate.store import annotations
from tidegate.store import relabel_items as table

Document = dict[str, Any]


def counts(connection: Connection, model: str, annotator: str, at: float) -> Document:
    """Counts of a model's queue for one annotator; skipped items do not count as done.

    Args:
        connection: to read with.
        model: whose queue.
        annotator: who asks.
        at: Unix time in seconds; its day begins at midnight, local time.
    """
    day = time.localtime(at)
    midnight = time.mktime((day.tm_year, day.tm_mon, day.tm_mday, 0, 0, 0, 0, 0, -1))
    mine, today = annotations.c.annotator == annotator, annotations.c.created_at >= midnight
    counts = _given(model).with_only_columns(
        func.coalesce(func.sum(case((today, 1), else_=0)), 0),
        func.coalesce(func.sum(case((and_(mine, today), 1), else_=0)), 0),
        func.coalesce(func.sum(case((mine, 1), else_=0)), 0),
    )
    done, mine_today, ever = connection.execute(counts).one()
    return {
        "annotator": annotator,
        "waiting": int(connection.execute(waits(model, annotator)).scalar_one()),
        "today": int(done),
        "mine_today": int(mine_today),
        "mine": int(ever),
        "agreement": _agreement(connection, model, annotator),
    }


def told(connection: Connection, item: Row[Any], annotator: str) -> Document | None:
    """What an annotator is told of an item they have answered; None where nothing is known to compare with.

    For a gold item whether they are right, and what is; else how many others had answered it by then, and how many of
    those alike. What others said stays with them.
    """
    mine = _answer_of(connection, item.id, annotator)
    if mine is None or mine.verdict == SKIP:
        return None
    if item.gold is not None:
        return {"kind": "gold", "right": mine.label == item.gold, "label": item.gold}
    others = connection.execute(
        select(annotations.c.label).where(
            annotations.c.item_id == item.id,
            annotations.c.annotator != annotator,
            annotations.c.verdict != SKIP,
            annotations.c.created_at <= mine.created_at,
        )
    ).scalars()
    alike = [label == mine.label for label in others]
    return {"kind": "others", "others": len(alike), "agreed": sum(alike)} if alike else None


def last_answer(connection: Connection, model: str, annotator: str) -> Row[Any] | None:
    """The item that an annotator answered last on the page, or None."""
    query = (
        select(table)
        .join(annotations, table.c.id == annotations.c.item_id)
        .where(table.c.model == model, annotations.c.annotator == annotator, annotations.c.source == "page")
        .order_by(annotations.c.created_at.desc(), annotations.c.item_id)
        .limit(1)
    )
    return connection.execute(query).one_or_none()


def is_another(connection: Connection, item_id: str, annotator: str, verdict: str, label: str | None) -> bool:
    """Whether it differs from what the annotator has answered; not where they have answered nothing."""
    mine = _answer_of(connection, item_id, annotator)
    return mine is not None and (mine.verdict, mine.label) != (verdict, label)


def _answer_of(connection: Connection, item_id: str, annotator: str) -> Row[Any] | None:
    given = select(annotations).where(annotations.c.item_id == item_id, annotations.c.annotator == annotator)
    return connection.execute(given).one_or_none()


def _agreement(connection: Connection, model: str, annotator: str) -> dict[str, int]:
    """Pairs of this annotator's answers with another's to the same item, and tests by gold items."""
    theirs = annotations.alias("theirs")
    same = func.coalesce(theirs.c.label, "") == func.coalesce(annotations.c.label, "")
    met = and_(
        theirs.c.item_id == annotations.c.item_id,
        theirs.c.annotator != annotations.c.annotator,
        theirs.c.verdict != SKIP,
        theirs.c.source != "decision",
    )
    by_me = _given(model).where(annotations.c.annotator == annotator)
    pairs = by_me.join(theirs, met).where(table.c.gold.is_(None))
    tests = by_me.where(table.c.gold.is_not(None))
    compared, agreed = connection.execute(pairs.with_only_columns(*_counted(same))).one()
    tested, right = connection.execute(tests.with_only_columns(*_counted(annotations.c.label == table.c.gold))).one()
    return {"compared": int(compared), "agreed": int(agreed), "tests": int(tested), "right": int(right)}


def _counted(good: Any) -> tuple[Any, Any]:
    return func.count(), func.coalesce(func.sum(case((good, 1), else_=0)), 0)


def _given(model: str) -> Select[Any]:
    """Answers to a model's items, skips left out."""
    of_model = annotations.join(table, table.c.id == annotations.c.item_id)
    return (
        select(annotations)
        .select_from(of_model)
        .where(table.c.model == model, annotations.c.verdict != SKIP, annotations.c.source != "decision")
    )
