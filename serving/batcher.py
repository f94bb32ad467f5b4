"""The batcher: texts of many requests in, batches through the engine, probabilities back. One per model.

The event loop makes a ticket and waits; tokenizer threads (`serving.tokenizing`) and runner threads (`serving.running`)
work it through the backlog (`serving.backlog`), and a runner hands a whole batch back in one call to the loop.
Before: checked texts; after: probabilities, with the encoded rows that monitoring wants.
Limits: bounded in texts; a request is answered in whole; when one of its texts fails, the request fails, no other.
"""

import asyncio
import logging
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from serving.admission import Admission
from serving.backlog import Backlog
from serving.batch import Entry, Ticket
from serving.caller import ANYONE, Caller
from serving.metrics import ModelMetrics
from serving.running import Answers, Runner, Running
from serving.tokenizing import Tokenizing
from tidegate.errors import DeadlinePassed, InferenceFailed, NotReady, TidegateError
from tidegate.permits import Permits
from tidegate.preprocess import Encoded

log = logging.getLogger(__name__)

# A text that a free runner may as well tokenize itself: about 0.2 ms of work.
_SHORT_CHARS = 500


@dataclass(frozen=True, slots=True)
class Inferred:
    """What one request got.

    Attributes:
        rows: its texts, encoded, in order.
        probabilities: one list of class probabilities per text, in the request's order.
        embeddings: one vector per text, a view into its batch; None where the bundle has none.
        tokenize_seconds: from submit to the last row's encoding, waiting included.
        queue_seconds: from there to the first batch that took one of its rows; 0 when that came before.
        infer_seconds: from the first batch to the last row's answer.
    """

    rows: Sequence[Encoded]
    probabilities: Sequence[list[float]]
    embeddings: Sequence[NDArray[np.float32] | None]
    tokenize_seconds: float
    queue_seconds: float
    infer_seconds: float


class Batcher:
    """Batches for one engine; create it on the event loop, `close` it there."""

    def __init__(
        self,
        engine: Runner,
        metrics: ModelMetrics,
        permits: Permits,
        *,
        max_queued: int,
        run_seconds: float = math.inf,
    ) -> None:
        self._engine = engine
        self._metrics = metrics
        self._run_seconds = run_seconds
        self._loop = asyncio.get_running_loop()
        self._backlog = Backlog(engine.plan, permits, max_queued, lambda ticket: self._tokenizing.encode_here(ticket))
        self._tokenizing = Tokenizing(engine, self._backlog, self._fail_from_thread)
        self._admission = Admission(engine.plan.runs, max_queued)
        self._tickets: set[Ticket] = set()
        self._shown = 0  # what the gauge, which all versions of a model share, holds of this one
        self._shown_drain = 0.0  # the same
        self._closed = False
        self._broken = False
        delivered, died = partial(self._call, self._deliver), partial(self._call, self._runner_died)
        self._running = Running(engine, self._backlog, metrics, delivered, self._fail_from_thread, died)

    @property
    def stuck(self) -> bool:
        """Whether a runner died, or one of its runs has taken longer than any should."""
        return self._broken or self._backlog.longest_run_seconds > self._run_seconds

    @property
    def waiting(self) -> int:
        """Texts that are in no batch yet."""
        return max(0, self._admission.texts - self._backlog.running)

    def admit(self, deadline: float, caller: Caller = ANYONE, texts: Sequence[str] = ("",)) -> None:
        """Refuse texts that the queue has no room for, or that would not be answered in time.

        Args:
            deadline: `time.monotonic` seconds.
            caller: who asks.
            texts: what is asked; one of no length when that is not known yet.

        Raises:
            Overloaded: carries when to come back, from the measured cost of what waits.
            NotReady: closing, or broken.
        """
        if self._closed:
            raise NotReady("the model is shutting down; send the request to another server, or later")
        self._admission.check(caller, texts, deadline - time.monotonic(), self.waiting)

    async def submit(self, texts: Sequence[str], deadline: float, caller: Caller = ANYONE) -> Inferred:
        """Queue the texts of one request and wait for all of them.

        Args:
            texts: at least one.
            deadline: `time.monotonic` seconds; texts not in a batch by then are never run.
            caller: who asks.

        Raises:
            Overloaded: the queue has no room.
            NotReady: closing.
            DeadlinePassed: the deadline passed before every text was answered.
            InferenceFailed: the engine raised on one of these texts, alone.
        """
        self.admit(deadline, caller, texts)
        ticket = self._enqueue(texts, deadline, caller)
        seconds = deadline - time.monotonic()
        expiry = self._loop.call_later(max(0.0, seconds), _fail, ticket, DeadlinePassed(_TOO_LATE))
        try:
            await ticket.future
        finally:
            expiry.cancel()
        return Inferred(
            rows=ticket.rows,
            probabilities=[answer for answer in ticket.answers if answer is not None],
            embeddings=ticket.embeddings,
            tokenize_seconds=ticket.encoded_at - ticket.queued_at,
            queue_seconds=max(0.0, ticket.started_at - ticket.encoded_at),
            infer_seconds=ticket.answered_at - ticket.started_at,
        )

    def show(self) -> None:
        """Show how long what waits will take; now and then, because it changes with every request."""
        seconds = 0.0 if self._closed else self._admission.drain_seconds
        if seconds != self._shown_drain:
            self._metrics.drain_seconds.inc(seconds - self._shown_drain)
            self._shown_drain = seconds

    def abandon(self) -> None:
        """Give up what hangs: its callers are told, its cores are free, its threads are left behind."""
        self._closed = True
        self.show()
        for ticket in tuple(self._tickets):
            _fail(ticket, NotReady("the model hung and is started again; send the request once more"))
        self._tokenizing.close()
        self._backlog.abandon()

    async def close(self, drain_seconds: float) -> None:
        """Refuse new texts, finish those queued within `drain_seconds`, fail the rest; no thread is left."""
        self._closed = True
        self.show()
        waiting = [ticket.future for ticket in self._tickets]
        if waiting:
            await asyncio.wait(waiting, timeout=drain_seconds)
        for ticket in tuple(self._tickets):
            _fail(ticket, NotReady("the server shut down before this request was answered; send it again"))
        self._tokenizing.close()
        self._backlog.close()
        await asyncio.to_thread(self._running.join)

    def _enqueue(self, texts: Sequence[str], deadline: float, caller: Caller) -> Ticket:
        ticket = Ticket(texts, deadline, self._loop.create_future(), time.perf_counter(), caller)
        self._tickets.add(ticket)
        ticket.future.add_done_callback(lambda _: self._release(ticket))
        if self._admission.texts:
            ticket.predicted_seconds = self._admission.wait_seconds(caller, texts)
        self._admission.add(ticket)
        self._show()
        if self._admission.texts == 1 and len(texts[0]) <= _SHORT_CHARS:
            self._backlog.put_text(ticket)
        else:
            self._tokenizing.put(ticket)
        return ticket

    def _release(self, ticket: Ticket) -> None:
        """Its caller has the answer, or left: whatever still waits gives its places back at once."""
        ticket.left = True
        self._tickets.discard(ticket)
        self._admission.remove(ticket)
        self._show()
        if ticket.unanswered:
            # Its time was up, so the prediction was wrong; a poisoned text or a caller who left says nothing of it.
            if not ticket.future.cancelled() and isinstance(ticket.future.exception(), DeadlinePassed):
                self._admission.finished(ticket.predicted_seconds, math.inf)
            ticket.rows = []  # what stands in line would hold them until a runner comes by

    def _show(self) -> None:
        waiting = self.waiting
        if waiting != self._shown:
            self._metrics.queued.inc(waiting - self._shown)
            self._shown = waiting

    def _fail_from_thread(self, ticket: Ticket, error: TidegateError) -> None:
        self._call(_fail, ticket, error)

    def _call(self, callback: object, *arguments: object) -> None:
        """Have the loop call something, unless it is gone."""
        try:
            self._loop.call_soon_threadsafe(callback, *arguments)  # type: ignore[arg-type]
        except RuntimeError:
            log.warning("the event loop ended before a batch did")

    def _deliver(self, batch: Sequence[Entry], answers: Answers, seconds: float, now: float) -> None:
        """Hand out the answers of a batch."""
        self._admission.observe([entry.ticket.texts[entry.index] for entry in batch], seconds, now)
        for entry, answer, embedding in zip(batch, *answers, strict=True):
            ticket = entry.ticket
            if ticket.left:
                continue
            ticket.answers[entry.index] = answer
            ticket.embeddings[entry.index] = embedding
            ticket.unanswered -= 1
            if not ticket.unanswered:
                ticket.answered_at = now
                self._admission.finished(ticket.predicted_seconds, now - ticket.queued_at)
                ticket.future.set_result(None)
            self._admission.answered(ticket, entry.index)
        self._show()

    def _runner_died(self, error: BaseException) -> None:
        log.critical("a runner died; the model refuses work from here on", exc_info=error)
        self._closed = self._broken = True
        for ticket in tuple(self._tickets):
            _fail(ticket, InferenceFailed("the model stopped; the server's log has the cause"))


_TOO_LATE = "the deadline passed before the answer"


def _fail(ticket: Ticket, error: TidegateError) -> None:
    if not ticket.future.done():
        ticket.future.set_exception(error)
