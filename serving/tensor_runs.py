"""Runs of a graph on a caller's own tensors: no tokenizer, no batcher, but the same cores and the same deadlines.

A request waits on the event loop for its turn, as many at once as the plan has runs; then a thread of its own runs it
in pieces no larger than a batch of texts, and gives the cores back between two pieces, so that texts come through.
Before: `ServedModel.run_tensors`; after: the session. Limits: bounded in requests and rows; a run that hangs makes the
model stuck, as one of the batcher does.
"""

import asyncio
import logging
import math
import threading
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from serving.statistics import Statistics
from tidegate.engine import Engine
from tidegate.errors import DeadlinePassed, InferenceFailed, InvalidInput, NotReady, Overloaded, PayloadTooLarge
from tidegate.permits import Permits
from tidegate.preprocess import Feeds

# Requests in flight: with bodies of 2 MB they hold 64 MB.
MOST_WAITING = 32
_NEWEST = 0.1  # weight of the newest run in the measured seconds, as in serving.admission

Output = NDArray[np.float32]

log = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class Work:
    """One request: what to run, until when, and who waits."""

    feeds: Feeds
    deadline: float
    future: asyncio.Future[Output]
    queued: float
    left: bool = False
    queued_seconds: float = 0.0
    run_seconds: float = 0.0


class TensorRuns:
    """Runs tensors through one engine; create it on the event loop, `close` it there."""

    def __init__(self, engine: Engine, permits: Permits, statistics: Statistics, max_rows: int) -> None:
        self._engine = engine
        self._permits = permits
        self._statistics = statistics
        self._max_rows = max_rows
        self._cores = engine.plan.threads if engine.plan.device == "cpu" else 0  # a run on a GPU holds no core
        self._loop = asyncio.get_running_loop()
        self._turns = engine.plan.runs  # that are free
        self._line: deque[Work] = deque()
        self._works: set[Work] = set()
        self._running: dict[Work, float] = {}  # since when (`time.monotonic`)
        self._seconds = 0.0  # of a request, lately
        self._closed = False

    @property
    def longest_run_seconds(self) -> float:
        """For how long the oldest of the runs that go on has been going on; 0 when there is none."""
        started = list(self._running.values())
        return time.monotonic() - min(started) if started else 0.0

    async def run(self, feeds: Feeds, deadline: float) -> Output:
        """Run tensors of the graph's datatypes and ranks, rows first.

        Args:
            feeds: by input name.
            deadline: `time.monotonic` seconds.

        Raises:
            InvalidInput: rows that do not go together, or that the graph cannot run.
            PayloadTooLarge: too many rows, or rows that are too long.
            Overloaded: too many wait.
            NotReady: closing.
            DeadlinePassed: no answer in time.
        """
        self._check(feeds)
        if self._closed:
            raise NotReady("the model is shutting down; send the request to another server, or later")
        if len(self._works) >= MOST_WAITING:
            seconds = self._seconds * len(self._works) / self._engine.plan.runs
            raise Overloaded(f"{MOST_WAITING} requests with tensors wait already", retry_after_seconds=seconds or 1.0)
        work = Work(feeds, deadline, self._loop.create_future(), time.perf_counter())
        self._works.add(work)
        self._line.append(work)
        self._start()
        try:
            async with asyncio.timeout(max(0.0, deadline - time.monotonic())):
                output = await work.future
        except TimeoutError:
            raise DeadlinePassed("the deadline passed before the answer") from None
        finally:
            work.left = True
            self._works.discard(work)
        self._statistics.answered(len(output), work.queued_seconds, 0.0, work.run_seconds)
        self._seconds += (work.run_seconds - self._seconds) * _NEWEST
        return output

    def abandon(self) -> None:
        """Give up what hangs: its callers are told, its cores are free, its threads are left behind."""
        self._tell(NotReady("the model hung and is started again; send the request once more"))
        for work in list(self._running):
            if self._running.pop(work, None) is not None:
                self._permits.release(self._cores)

    async def close(self, drain_seconds: float) -> None:
        """Refuse new requests, finish those that wait within `drain_seconds`, fail the rest."""
        self._closed = True
        if self._works:
            await asyncio.wait([work.future for work in self._works], timeout=drain_seconds)
        self._tell(NotReady("the server shut down before this request was answered; send it again"))

    def _start(self) -> None:
        """Give the turns that are free to those who wait longest."""
        while self._line and self._turns:
            work = self._line.popleft()
            if work.left or work.future.done():
                continue
            self._turns -= 1
            work.queued_seconds = time.perf_counter() - work.queued
            threading.Thread(target=self._work, args=(work,), name="tidegate-tensors", daemon=True).start()

    def _check(self, feeds: Feeds) -> None:
        rows, plan = {len(array) for array in feeds.values()}, self._engine.plan
        if len(rows) > 1:
            shapes = {name: list(array.shape) for name, array in feeds.items()}
            raise InvalidInput(f"inputs of shapes {shapes} differ in their rows; send as many of each")
        if max(rows) > self._max_rows:
            raise PayloadTooLarge(f"{max(rows)} rows in one request and {self._max_rows} are the most; send several")
        if _longest(feeds) > plan.max_batch_tokens:
            raise PayloadTooLarge(f"rows of {_longest(feeds)} values; {plan.max_batch_tokens} are the most here")

    def _tell(self, error: NotReady) -> None:
        for work in tuple(self._works):
            if not work.future.done():
                work.future.set_exception(error)

    # From here on: a thread for each request whose turn it is.

    def _work(self, work: Work) -> None:
        try:
            outcome: Output | Exception = np.concatenate([self._piece(work, piece) for piece in self._pieces(work)])
        except InferenceFailed:
            log.info("model %s: its graph did not run on a caller's tensors", self._engine.bundle.manifest.name)
            outcome = InvalidInput(
                "the graph could not run these tensors; look for ids beyond its vocabulary, rows that are too long, "
                "lengths that differ between inputs, or numbers that are not finite"
            )
        except Exception as error:
            outcome = error
        try:
            self._loop.call_soon_threadsafe(self._conclude, work, outcome)
        except RuntimeError:
            log.warning("the event loop ended before a run did")

    def _piece(self, work: Work, feeds: Feeds) -> Output:
        """Run one piece, on cores of its own."""
        self._permits.acquire(self._cores)
        if work.left or time.monotonic() >= work.deadline:  # nobody waits; the core is wanted elsewhere
            self._permits.release(self._cores)
            raise DeadlinePassed("the deadline passed before the answer")
        self._running[work] = time.monotonic()
        started = time.perf_counter()
        try:
            output = self._engine.run_tensors(feeds)
        finally:
            if self._running.pop(work, None) is not None:  # else it was given up, and its cores with it
                self._permits.release(self._cores)
        seconds = time.perf_counter() - started
        work.run_seconds += seconds
        self._statistics.ran(len(output), seconds)
        return output

    def _pieces(self, work: Work) -> Iterator[Feeds]:
        """The rows of a request, no more at a time than a batch of texts would hold."""
        plan = self._engine.plan
        rows = len(next(iter(work.feeds.values())))
        size = max(1, min(plan.max_batch_rows, plan.max_batch_tokens // max(1, _longest(work.feeds))))
        for start in range(0, rows, size):
            yield {name: array[start : start + size] for name, array in work.feeds.items()}

    # From here on: the event loop again.

    def _conclude(self, work: Work, outcome: Output | Exception) -> None:
        self._turns += 1
        self._start()
        if work.future.done():
            return
        if isinstance(outcome, Exception):
            work.future.set_exception(outcome)
        else:
            work.future.set_result(outcome)


def _longest(feeds: Feeds) -> int:
    """Values in a row of the widest input."""
    return max(math.prod(array.shape[1:]) for array in feeds.values())
