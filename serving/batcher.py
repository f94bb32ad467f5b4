"""The batcher: rows of many requests in, batches through the engine, probabilities back. One per model.

There is no timer: a batch is cut the moment a run is free, so an idle model answers at once and a busy one
batches what came meanwhile (text-embeddings-inference's idea). Before: rows from the tokenizer; after: answers.

Fairness: a row's rank is the virtual time at which it would start if the requests shared the engine equally, so
the thousandth row of one list stands behind the first of another. Limits: the queue is bounded in rows; a
request is answered in whole; when one of its rows fails, the request fails, and no other.
Source: fair queueing, Demers, Keshav and Shenker 1989, with tokens for bits and one weight for all.
"""

import asyncio
import logging
import time
from bisect import insort
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from serving.batch import WINDOW_BATCHES, Entry, Ticket, cut, padded_tokens
from serving.metrics import ModelMetrics
from tidegate.errors import DeadlinePassed, InferenceFailed, NotReady, Overloaded, TidegateError
from tidegate.preprocess import Encoded

log = logging.getLogger(__name__)

# Weight of the newest batch in the measured cost of a row: the last twenty batches or so count.
_NEWEST = 0.1


class Runner(Protocol):
    """What runs a batch: an engine. Called from the batcher's threads."""

    @property
    def runs(self) -> int:
        """How many `infer` calls at once use the cores best."""
        ...

    def infer(self, rows: Sequence[Encoded]) -> NDArray[np.float64]:
        """Probabilities of shape (len(rows), classes)."""
        ...


@dataclass(frozen=True, slots=True)
class Inferred:
    """What one request got.

    Attributes:
        probabilities: one list of class probabilities per row, in the request's order.
        queue_seconds: from submit to the first batch that took one of its rows.
        infer_seconds: from there to the last row's answer.
    """

    probabilities: list[list[float]]
    queue_seconds: float
    infer_seconds: float


class Batcher:
    """Batches for one engine; create it on the event loop, `close` it there."""

    def __init__(
        self, engine: Runner, metrics: ModelMetrics, *, max_rows: int, max_tokens: int, max_queued: int
    ) -> None:
        self._engine = engine
        self._metrics = metrics
        self._max_rows = max_rows
        self._max_tokens = max_tokens
        self._max_queued = max_queued
        self._loop = asyncio.get_running_loop()
        self._queue: list[Entry] = []  # by rank; may hold entries that nobody waits for any more
        self._waiting = 0  # entries that somebody waits for
        self._tickets: set[Ticket] = set()
        self._virtual_tokens = 0.0
        self._row_seconds = 0.0
        self._work = asyncio.Event()
        self._closed = False
        self._executor = ThreadPoolExecutor(engine.runs, thread_name_prefix="tidegate-infer")
        self._runners = [asyncio.create_task(self._run(), name="tidegate-runner") for _ in range(engine.runs)]
        for runner in self._runners:
            runner.add_done_callback(self._runner_ended)

    def admit(self, rows: int) -> None:
        """Refuse `rows` more rows when the queue has no room for them.

        Raises:
            Overloaded: no room; carries when to come back, from the measured cost of a row.
            NotReady: closing.
        """
        if self._closed:
            raise NotReady("the model is shutting down; send the request to another server, or later")
        if self._waiting + rows > self._max_queued:
            raise Overloaded(
                f"{self._waiting} texts are waiting and {self._max_queued} may; come back later with these {rows}",
                retry_after_seconds=self.drain_seconds() or 1.0,
            )

    def drain_seconds(self) -> float:
        """How long the rows that wait will take, by the measured cost of a row; 0 when that is not known yet."""
        return self._waiting * self._row_seconds / self._engine.runs

    async def submit(self, rows: Sequence[Encoded], deadline: float) -> Inferred:
        """Queue the rows of one request and wait for all of them.

        Args:
            rows: at least one.
            deadline: loop time in seconds; rows not in a batch by then are never run.

        Raises:
            Overloaded: the queue has no room.
            NotReady: closing.
            DeadlinePassed: the deadline passed before every row was run.
            InferenceFailed: the engine raised on one of these rows, alone.
        """
        self.admit(len(rows))
        ticket = self._enqueue(rows, deadline)
        expiry = self._loop.call_at(deadline, _fail, ticket, DeadlinePassed("the deadline passed before the answer"))
        try:
            await ticket.future
        finally:
            expiry.cancel()
        return Inferred(
            probabilities=[answer for answer in ticket.answers if answer is not None],
            queue_seconds=ticket.started_at - ticket.queued_at,
            infer_seconds=ticket.answered_at - ticket.started_at,
        )

    async def close(self, drain_seconds: float) -> None:
        """Refuse new rows, finish those queued within `drain_seconds`, fail the rest; no task is left."""
        self._closed = True
        waiting = [ticket.future for ticket in self._tickets]
        if waiting:
            await asyncio.wait(waiting, timeout=drain_seconds)
        for ticket in tuple(self._tickets):
            _fail(ticket, NotReady("the server shut down before this request was answered; send it again"))
        for runner in self._runners:
            runner.cancel()
        await asyncio.gather(*self._runners, return_exceptions=True)
        self._executor.shutdown(wait=False, cancel_futures=True)

    def _enqueue(self, rows: Sequence[Encoded], deadline: float) -> Ticket:
        count = len(rows)
        ticket = Ticket(deadline, self._loop.create_future(), [None] * count, count, count, time.perf_counter())
        self._tickets.add(ticket)
        ticket.future.add_done_callback(lambda _: self._release(ticket))
        rank = self._virtual_tokens
        for index, row in enumerate(rows):
            insort(self._queue, Entry(row, rank, index, ticket), key=_rank)
            rank += row.length
        self._count(count)
        self._work.set()
        return ticket

    def _release(self, ticket: Ticket) -> None:
        """Its caller has the answer, or left: whatever still waits gives its places back at once."""
        self._tickets.discard(ticket)
        self._count(-ticket.waiting)
        ticket.waiting = 0
        if len(self._queue) - self._waiting > self._max_queued:  # the dead are swept before they outgrow the queue
            self._queue = [entry for entry in self._queue if not entry.ticket.future.done()]

    def _count(self, rows: int) -> None:
        self._waiting += rows
        self._metrics.queued.inc(rows)

    async def _run(self) -> None:
        """One runner: cut, run, answer, until cancelled by `close`."""
        while True:
            batch = self._take()
            if batch:
                await self._answer(batch)
            elif not self._queue:
                self._work.clear()
                await self._work.wait()

    def _runner_ended(self, runner: asyncio.Task[None]) -> None:
        """A runner that ends on its own is a fault of ours: better to refuse than to let callers wait for nothing."""
        if runner.cancelled() or runner.exception() is None:
            return
        log.critical("a runner died; the model refuses work from here on", exc_info=runner.exception())
        self._closed = True
        for ticket in tuple(self._tickets):
            _fail(ticket, InferenceFailed("the model stopped; the server's log has the cause"))

    def _take(self) -> list[Entry]:
        """The next batch, out of the queue; empty when the front held only the dead."""
        size = WINDOW_BATCHES * self._max_rows
        window = [entry for entry in self._queue[:size] if self._wanted(entry.ticket)]
        batch = cut(window, self._max_tokens, self._max_rows) if window else []
        taken = set(batch)
        self._queue[:size] = [entry for entry in window if entry not in taken]
        now = time.perf_counter()
        for entry in batch:
            ticket = entry.ticket
            ticket.waiting -= 1
            ticket.started_at = ticket.started_at or now
        self._count(-len(batch))
        return batch

    def _wanted(self, ticket: Ticket) -> bool:
        """Whether somebody still waits; a deadline that passed while the loop was busy counts here, before work."""
        if not ticket.future.done() and self._loop.time() >= ticket.deadline:
            _fail(ticket, DeadlinePassed("the deadline passed before the answer"))
        return not ticket.future.done()

    async def _answer(self, batch: list[Entry]) -> None:
        """Run a batch; when it fails, run its rows one by one, so that a poisoned one fails alone."""
        error = await self._infer(batch)
        if error is None:
            return
        if len(batch) == 1:
            _fail(batch[0].ticket, error)
            return
        log.warning("a batch of %s rows failed (%s); running its rows one by one", len(batch), type(error).__name__)
        for entry in batch:
            if self._wanted(entry.ticket):
                await self._answer([entry])

    async def _infer(self, batch: list[Entry]) -> TidegateError | None:
        """Run a batch in a thread and hand out the answers, or return what it failed with."""
        self._advance(batch)
        started = time.perf_counter()  # not the loop's time, which uvloop counts in whole milliseconds
        try:
            output = await self._loop.run_in_executor(self._executor, self._engine.infer, [e.row for e in batch])
            answers: list[list[float]] = output.tolist()  # (batch, classes)
            if len(answers) != len(batch):
                raise InferenceFailed(f"{len(batch)} rows went in and {len(answers)} came out")
        except TidegateError as error:
            return error
        except Exception as error:  # whatever an engine raises must fail its rows, never the runner
            log.exception("the engine raised on a batch of %s rows", len(batch))
            return InferenceFailed(f"the engine raised {type(error).__name__}; the server's log has the trace")
        now = time.perf_counter()
        self._measure(batch, now - started)
        for entry, answer in zip(batch, answers, strict=True):
            _deliver(entry, answer, now)
        return None

    def _advance(self, batch: list[Entry]) -> None:
        """Virtual time moves by the work of this batch, shared among the requests that are waiting."""
        self._virtual_tokens += padded_tokens(batch) / max(1, len(self._tickets))

    def _measure(self, batch: list[Entry], seconds: float) -> None:
        newest = seconds / len(batch)
        self._row_seconds += (newest - self._row_seconds) * (_NEWEST if self._row_seconds else 1.0)
        tokens = sum(entry.row.length for entry in batch)
        self._metrics.observe_batch(len(batch), tokens, padded_tokens(batch), seconds)


def _rank(entry: Entry) -> float:
    return entry.rank


def _fail(ticket: Ticket, error: TidegateError) -> None:
    if not ticket.future.done():
        ticket.future.set_exception(error)


def _deliver(entry: Entry, answer: list[float], now: float) -> None:
    ticket = entry.ticket
    ticket.answers[entry.index] = answer
    ticket.unanswered -= 1
    if not ticket.unanswered and not ticket.future.done():
        ticket.answered_at = now
        ticket.future.set_result(None)
