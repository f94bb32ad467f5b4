"""Overview: a model's queue as who runs it sees it: what waits, who labels, how well, and what became of it.

One document of plain values, for the dashboard. What is costly (agreement, accuracy by labels, labels saved) is
reckoned anew only when an answer came since, at most once in `KEEP_SECONDS`, one model at a time.
Before: the tables of labels; after: `desk`. Limits: days begin at midnight, local time; data sets and
retrainings are cut to the newest.
"""

import threading
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict
from itertools import pairwise
from typing import Any

from sqlalchemy import Connection, Engine, Integer, and_, case, cast, func, select

from monitoring.labels import overview_people as people
from monitoring.labels import retrainings
from monitoring.labels.budget import slot_of
from monitoring.labels.data_sets import list_data_sets
from monitoring.labels.items import DISPUTED, FINAL, WAITING
from monitoring.labels.overview_people import counted, of_model
from monitoring.labels.worth import worth_of
from tidegate.annotation import Document
from tidegate.store import annotations
from tidegate.store import relabel_items as table

KEEP_SECONDS = 300.0  # the meter takes a second or two of a core
DAYS = 30
_WEEK = 7
_MOST_ROWS = 30  # of data sets, and of retrainings
_MOST_KEPT = 64  # models whose costly figures are kept


class Overviews:
    """Documents of a state database; keeps the costly figures of the models that were asked for last."""

    def __init__(self, database: Engine) -> None:
        self._database = database
        self._kept: dict[str, tuple[tuple[Any, ...], float, Document]] = {}
        self._reckoning = threading.Lock()

    def of(self, model: str, at: float) -> Document:
        """Everything about one queue.

        Args:
            model: whose queue; one that has none has empty lists.
            at: Unix time in seconds.
        """
        with self._database.connect() as connection:
            told: Document = {
                "model": model,
                "items": _items(connection, model),
                "oldest_at": _oldest(connection, model),
                "days": _days(connection, model, at),
                "annotators": people.annotators(connection, model),
                "leases": people.leases(connection, model),
                "disputed": people.disputed(connection, model),
                "data_sets": [asdict(each) for each in list_data_sets(self._database, model)[:_MOST_ROWS]],
                "retrainings": [
                    asdict(each) for each in retrainings.list_retrainings(self._database, model)[:_MOST_ROWS]
                ],
            }
            return told | self._costly(connection, model, at)

    def queues(self, at: float) -> list[Document]:
        """A line a queue: what waits, is disputed and done, the oldest, and labels of this week."""
        with self._database.connect() as connection:
            return _queues(connection, at)

    def _costly(self, connection: Connection, model: str, at: float) -> Document:
        """Agreement and worth, reckoned anew where answers came since."""
        stands = _mark(connection, model)
        with self._reckoning:  # one reckoning at a time: who asks meanwhile gets its outcome
            kept = self._kept.pop(model, None)
            if kept is None or (kept[0] != stands and at - kept[1] >= KEEP_SECONDS):
                kept = (stands, at, people.agreed(connection, model) | {"worth": worth_of(connection, model)})
            self._kept[model] = kept
            if len(self._kept) > _MOST_KEPT:
                del self._kept[next(iter(self._kept))]
            return kept[2]


def _items(connection: Connection, model: str) -> list[Document]:
    """Items by slot and state; gold ones apart, as the slot `gold`."""
    gold = table.c.gold.is_not(None)
    columns = (table.c.reason, table.c.state, gold)
    counts: dict[tuple[str, str], int] = defaultdict(int)
    query = select(*columns, func.count()).where(table.c.model == model).group_by(*columns)
    for reason, state, is_gold, rows in connection.execute(query):
        counts["gold" if is_gold else slot_of(reason), state] += int(rows)
    return [{"slot": slot, "state": state, "items": rows} for (slot, state), rows in sorted(counts.items())]


def _oldest(connection: Connection, model: str) -> float | None:
    """When the item that has waited longest was queued."""
    waits = (table.c.model == model, table.c.state.in_(WAITING), table.c.gold.is_(None))
    oldest = connection.scalar(select(func.min(table.c.created_at)).where(*waits))
    return None if oldest is None else float(oldest)


def _midnights(at: float, days: int) -> list[float]:
    """The beginnings of the last days, today's last, and of tomorrow."""
    today = time.localtime(at)
    return [
        time.mktime((today.tm_year, today.tm_mon, today.tm_mday - back, 0, 0, 0, 0, 0, -1))
        for back in range(days - 1, -2, -1)
    ]


def _days(connection: Connection, model: str, at: float) -> list[Document]:
    """Answers a day, skips left out, and items queued a day; oldest first."""
    starts = _midnights(at, DAYS)
    answered = _by_day(annotations.c.created_at, starts)
    queued = _by_day(table.c.created_at, starts)
    given = select(*answered).select_from(of_model()).where(table.c.model == model, *counted())
    came = select(*queued).where(table.c.model == model, table.c.created_at >= starts[0])
    given_rows = connection.execute(given.where(annotations.c.created_at >= starts[0])).one()
    came_rows = connection.execute(came).one()
    return [
        {"day": time.strftime("%Y-%m-%d", time.localtime(start)), "labelled": int(done or 0), "queued": int(new or 0)}
        for start, done, new in zip(starts, given_rows, came_rows, strict=False)
    ]


def _by_day(column: Any, starts: Sequence[float]) -> list[Any]:
    """A count for each day, in one pass over the rows."""
    return [func.sum(case((and_(column >= start, column < end), 1), else_=0)) for start, end in pairwise(starts)]


def _mark(connection: Connection, model: str) -> tuple[Any, ...]:
    """What changes whenever an answer is given, changed or taken back."""
    columns = (func.count(), func.max(annotations.c.created_at), func.sum(cast(table.c.state.in_(FINAL), Integer)))
    return tuple(connection.execute(select(*columns).select_from(of_model()).where(table.c.model == model)).one())


def _queues(connection: Connection, at: float) -> list[Document]:
    def count(condition: Any) -> Any:
        return func.sum(case((condition & table.c.gold.is_(None), 1), else_=0))

    waits = table.c.state.in_(WAITING)
    columns = (
        table.c.model,
        count(waits),
        count(table.c.state == DISPUTED),
        count(table.c.state.in_(FINAL)),
        func.min(case((waits & table.c.gold.is_(None), table.c.created_at))),
    )
    since = _midnights(at, _WEEK)[0]
    week = select(table.c.model, func.count()).select_from(of_model())
    week = week.where(*counted(), annotations.c.created_at >= since).group_by(table.c.model)
    labelled = {model: int(rows) for model, rows in connection.execute(week)}
    return [
        {
            "model": model,
            "waiting": int(waiting_items),
            "disputed": int(disputed),
            "accepted": int(accepted),
            "oldest_at": None if oldest is None else float(oldest),
            "labelled_this_week": labelled.get(model, 0),
        }
        for model, waiting_items, disputed, accepted, oldest in connection.execute(
            select(*columns).group_by(table.c.model).order_by(table.c.model)
        )
    ]
