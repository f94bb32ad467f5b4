"""People: who labels a queue, how they agree, what they hold and what they do not settle.

Parts of the document of `overview`. Answers of the source `decision` are nobody's who labels, and count nowhere here.
Before: the tables of labels; after: `overview`. Limits: people, pairs and disputed items are cut to so many;
agreement is of the newest `MOST_COMPARED` items with two answers, since its interval resamples them.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict
from itertools import combinations
from typing import Any

from sqlalchemy import Connection, case, func, select

from monitoring.labels import agreement
from monitoring.labels.budget import slot_of
from monitoring.labels.items import CLAIMED, DISPUTED
from monitoring.labels.states import DECISION, LABEL, NONE, SKIP
from tidegate.annotation import Document
from tidegate.store import annotations
from tidegate.store import relabel_items as table

MOST_COMPARED = 500  # items; an interval resamples them 200 times
_MOST_PEOPLE = 50
_MOST_PAIRS = 6
_MOST_ITEMS = 50


def annotators(connection: Connection, model: str) -> list[Document]:
    """What each person did, who did most first, with how often they were right on gold items."""
    done = func.sum(case((annotations.c.verdict != SKIP, 1), else_=0))
    columns = (
        annotations.c.annotator,
        done,
        func.sum(case((annotations.c.verdict == SKIP, 1), else_=0)),
        func.sum(case((annotations.c.verdict == NONE, 1), else_=0)),
        func.avg(case((annotations.c.verdict != SKIP, annotations.c.seconds))),
        func.max(annotations.c.created_at),
    )
    query = select(*columns).select_from(of_model()).where(table.c.model == model, annotations.c.source != DECISION)
    rows = connection.execute(
        query.group_by(annotations.c.annotator).order_by(done.desc(), annotations.c.annotator).limit(_MOST_PEOPLE)
    ).all()
    tested = {each.annotator: each for each in agreement.accuracies(_answers(connection, model, gold=True))}
    return [
        {
            "annotator": who,
            "answers": int(answers),
            "skipped": int(skipped),
            "none": int(none),
            "seconds": None if seconds is None else float(seconds),
            "last_at": float(last),
            "gold": _gold(tested.get(who)),
        }
        for who, answers, skipped, none, seconds, last in rows
    ]


def _gold(told: agreement.Accuracy | None) -> Document | None:
    if told is None:
        return None
    return {"items": told.items, "accuracy": told.accuracy, "low": told.low, "high": told.high}


def leases(connection: Connection, model: str) -> list[Document]:
    """Who has how many items on the screen, and until when the first of them."""
    held = (table.c.model == model, table.c.state == CLAIMED, table.c.claimed_by != "")
    query = select(table.c.claimed_by, func.count(), func.min(table.c.leased_until)).where(*held)
    return [
        {"annotator": who, "items": int(rows), "until": float(until or 0.0)}
        for who, rows, until in connection.execute(query.group_by(table.c.claimed_by).order_by(table.c.claimed_by))
    ]


def disputed(connection: Connection, model: str) -> list[Document]:
    """Items that their annotators, or the quality check, do not settle; oldest first."""
    chosen = (table.c.model == model, table.c.state == DISPUTED)
    query = select(table).where(*chosen).order_by(table.c.created_at, table.c.id).limit(_MOST_ITEMS)
    items = connection.execute(query).all()
    said: dict[str, dict[str, str]] = defaultdict(dict)
    of_these = annotations.c.item_id.in_([item.id for item in items])
    for row in connection.execute(select(annotations).where(of_these).order_by(annotations.c.created_at)):
        if row.verdict != SKIP:
            said[row.item_id][row.annotator] = row.label if row.verdict == LABEL else NONE
    return [
        {
            "id": item.id,
            "text": item.text,
            "predicted": item.predicted,
            "slot": slot_of(item.reason),
            "answers": said[item.id],
            "doubt": item.doubt,
            "created_at": float(item.created_at),
        }
        for item in items
    ]


def agreed(connection: Connection, model: str) -> Document:
    """Agreement of all who label, and of the pairs with most items in common."""
    answers = _answers(connection, model, gold=False)
    pairs = [
        {"one": one, "other": other} | asdict(agreement.kappa(answers, one, other)) for one, other in _pairs(answers)
    ]
    return {"agreement": asdict(agreement.alpha(answers)), "pairs": pairs}


def _pairs(answers: Sequence[agreement.Answer]) -> list[tuple[str, str]]:
    """Pairs of annotators, those with most items in common first."""
    people: dict[str, set[str]] = defaultdict(set)
    for answer in answers:
        people[answer.item].add(answer.annotator)
    common: dict[tuple[str, str], int] = defaultdict(int)
    for who in people.values():
        for one, other in combinations(sorted(who), 2):
            common[one, other] += 1
    return sorted(common, key=lambda pair: (-common[pair], pair))[:_MOST_PAIRS]


def _answers(connection: Connection, model: str, *, gold: bool) -> list[agreement.Answer]:
    """Answers to gold items, or to the newest others that have two answers or more; "none" is a label of its own."""
    chosen = (table.c.model == model, *counted(), table.c.gold.is_not(None) if gold else table.c.gold.is_(None))
    answered = func.count()
    ids = select(annotations.c.item_id).select_from(of_model()).where(*chosen).group_by(annotations.c.item_id)
    ids = ids.having(answered > (0 if gold else 1)).order_by(func.max(annotations.c.created_at).desc())
    newest = ids.limit(MOST_COMPARED).subquery()
    query = select(annotations, table.c.gold).select_from(of_model()).where(*chosen)
    query = query.where(annotations.c.item_id.in_(select(newest.c.item_id)))
    rows = connection.execute(query.order_by(annotations.c.item_id, annotations.c.annotator))
    return [agreement.Answer(row.item_id, row.annotator, row.label or NONE, row.gold) for row in rows]


def of_model() -> Any:
    """Answers joined with their items."""
    return annotations.join(table, table.c.id == annotations.c.item_id)


def counted() -> tuple[Any, ...]:
    """Answers that are labels or say that none fits, by people who label."""
    return annotations.c.verdict != SKIP, annotations.c.source != DECISION
