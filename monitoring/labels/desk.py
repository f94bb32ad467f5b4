"""The desk: what the page to label asks of the queue, one transaction a call. Fits `tidegate.annotation.Desk`.

An annotator sees the text and, on asking, the model's answer; never which items test them, nor what others said.
An answer is stored before the call returns; one that comes late, after its lease ran out, counts like any other and
says so. Before: `serving.relabel`, in route threads; after: `claims`, `answers`, `progress`.
"""

import time
from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection, Engine, Row

from monitoring.labels import answers, claims, items, progress
from monitoring.labels.items import Item
from monitoring.labels.known import KnownLabels
from monitoring.labels.overview import Overviews
from monitoring.tables import turn
from tidegate.annotation import Document, Verdict
from tidegate.bundle_store import BundleStore
from tidegate.errors import InvalidInput, ItemNotFound
from tidegate.redaction import Redactor
from tidegate.settings import Settings
from tidegate.store import reachable


class QueueDesk:
    """The desk over the state database; what it holds is a copy of what stands there, so every worker has one."""

    def __init__(
        self, database: Engine, bundles: BundleStore, settings: Settings, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._database = database
        self._clock = clock
        self._labels = KnownLabels(bundles)
        self._redact = Redactor.of(settings.redact)
        self._overviews = Overviews(database)

    def next(self, model: str, annotator: str, count: int) -> Document:
        """Claim items for an annotator: those that they hold already first; at most `count` of them."""
        now = self._clock()
        with reachable("no item is given out"), turn(self._database) as connection:
            given = claims.claim(connection, model, annotator, now, most=count)
            return {
                "items": [self._shown(item) for item in given],
                "progress": progress.counts(connection, model, annotator, now),
            }

    def answer(
        self,
        model: str,
        item: str,
        annotator: str,
        verdict: Verdict,
        label: str | None,
        seconds: float | None,
        comment: str,
    ) -> Document:
        """Store an answer; a second time the same changes nothing.

        Raises:
            ItemNotFound: no such item on the model's queue.
            InvalidInput: not a label of the model, or an answer that stands: in a data set, or compared already.
            NotReady: the state database cannot be written now; nothing was stored.
        """
        now, comment = self._clock(), self._redact(comment)
        with reachable("the answer is not stored"), turn(self._database) as connection:
            found = _found(connection, model, item)
            if progress.is_another(connection, item, annotator, verdict, label):
                _check_open(connection, found, annotator)
            held = found.claimed_by == annotator and not claims.has_run_out(found, now)
            given = (item, annotator, verdict, label, now, self._labels)
            outcome, state = answers.answer(connection, *given, "page", comment, seconds)
            return {
                "item": item,
                "outcome": outcome,
                "state": state,
                "held": held or outcome == "unchanged",
                "told": progress.told(connection, found, annotator),
                "progress": progress.counts(connection, model, annotator, now),
            }

    def undo(self, model: str, annotator: str) -> Document:
        """Take the annotator's last answer back, and claim its item for them once more.

        Raises:
            ItemNotFound: there is none.
            InvalidInput: it stands: its item is in a data set, or they know how others answered.
            NotReady: the state database cannot be written now.
        """
        now = self._clock()
        with reachable("nothing is taken back"), turn(self._database) as connection:
            found = progress.last_answer(connection, model, annotator)
            if found is None:
                raise ItemNotFound(f"{annotator} has not answered anything of {model} that can be taken back")
            _check_open(connection, found, annotator)
            answers.undo(connection, found.id, annotator)
            claims.hold(connection, found.id, annotator, now)
            again = Item.of(_found(connection, model, found.id))
            return {"item": self._shown(again), "progress": progress.counts(connection, model, annotator, now)}

    def release(self, model: str, item: str, annotator: str) -> Document:
        """Give an item back before its lease runs out; one that somebody else holds stays theirs.

        Raises:
            ItemNotFound: no such item on the model's queue.
        """
        now = self._clock()
        with reachable("the item is not given back"), turn(self._database) as connection:
            _found(connection, model, item)
            claims.release(connection, item, annotator)
            return progress.counts(connection, model, annotator, now)

    def progress(self, model: str, annotator: str) -> Document:
        """What waits for the annotator, what was done, and how often others agreed."""
        with reachable("progress is not known"), self._database.connect() as connection:
            return progress.counts(connection, model, annotator, self._clock())

    def waiting(self) -> dict[str, int]:
        """Model to items that wait for people."""
        with reachable("the queue is not known"), self._database.connect() as connection:
            return items.depths(connection)

    def stats(self, model: str) -> Document:
        """A model's whole queue for who runs it; what is costly is kept and may be five minutes old."""
        with reachable("the queue is not known"):
            return self._overviews.of(model, self._clock())

    def queues(self) -> list[Document]:
        """A line for each queue there is."""
        with reachable("the queues are not known"):
            return self._overviews.queues(self._clock())

    def _shown(self, item: Item) -> Document:
        labels = self._labels.classes(item.model, item.version)
        return {
            "id": item.id,
            "text": item.text,
            "version": item.version,
            "labels": list(labels),
            "predicted": item.predicted,
            "scores": dict(zip(labels, item.scores, strict=False)),
            "suggested": item.suggested,
            "lease_seconds": claims.LEASE_SECONDS,
        }


def _found(connection: Connection, model: str, item_id: str) -> Row[Any]:
    found = items.find(connection, item_id)
    if found is None or found.model != model:
        raise ItemNotFound(f"no item {item_id[:80]!r} on the queue of {model}")
    return found


def _check_open(connection: Connection, item: Row[Any], annotator: str) -> None:
    """Refuse to change an answer whose comparison the annotator has seen."""
    if progress.told(connection, item, annotator) is not None:
        raise InvalidInput(
            f"the answer to item {item.id[:8]} stands: you have been told how it compares; who decides disputes can "
            "overrule it with `tidegate relabel decide`"
        )
