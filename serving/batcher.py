"""The batcher: rows wait while the model is busy, and leave in batches of like length when it is free.

No timer: an idle model runs a row at once, a busy one finds the next batch waiting (the idea of Hugging Face's
text-embeddings-inference). A batch is led by the requests in turn, so that a large one cannot block small ones
behind it, and filled with the leader's nearest neighbours in length, up to a budget of padded tokens.

Owned by `serving.model`; lives on the event loop, runs `infer` in threads of its own. Limits: one queue a model.
"""

import asyncio
import time
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tidegate.errors import DeadlinePassed, InferenceFailed, NotReady, Overloaded, TidegateError
from tidegate.preprocess import Encoded

Infer = Callable[[Sequence[Encoded]], NDArray[np.float64]]


@dataclass(frozen=True, slots=True)
class Limits:
    """What bounds a batcher.

    Attributes:
        runs: batches that run at once.
        batch_size: most rows in a batch.
        batch_tokens: most padded tokens in a batch; a single longer row still runs, alone.
        queued: most rows admitted and not yet answered.
    """

    runs: int = 1
    batch_size: int = 64
    batch_tokens: int = 4_096
    queued: int = 4_096


@dataclass(frozen=True, slots=True)
class BatchStats:
    """One batch that ran: rows, tokens with and without padding, seconds in the model."""

    rows: int
    padded_tokens: int
    tokens: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Inferred:
    """Probabilities (rows, classes) of one request; seconds until its first row ran, and from there to its last."""

    probabilities: NDArray[np.float64]
    queue_seconds: float
    infer_seconds: float


@dataclass(slots=True, eq=False)
class _Request:
    """One `submit`: its rows still waiting, its answers so far, and the future its caller awaits."""

    deadline: float
    submitted: float
    answer: "asyncio.Future[None]"
    results: list[Any]
    waiting: "deque[_Entry]" = field(default_factory=deque)
    missing: int = 0
    started: float = 0.0

    def deliver(self, index: int, row: NDArray[np.float64]) -> None:
        self.results[index] = row
        self.missing -= 1
        if not self.missing and not self.answer.done():
            self.answer.set_result(None)

    def fail(self, error: TidegateError) -> None:
        if not self.answer.done():
            self.answer.set_exception(error)


@dataclass(slots=True, eq=False)
class _Entry:
    """One row of a request, and whether a batch has taken it."""

    request: _Request
    index: int
    row: Encoded
    order: int
    taken: bool = False

    @property
    def key(self) -> tuple[int, int]:
        return self.row.length, self.order


class Batcher:
    """Queues rows and runs them in batches; `start` inside the event loop that will use it."""

    def __init__(self, infer: Infer, limits: Limits, on_batch: Callable[[BatchStats], None] = lambda _: None) -> None:
        self._infer = infer
        self._limits = limits
        self._on_batch = on_batch
        self._turns: deque[_Request] = deque()  # requests with waiting rows, in the order of their next turn
        self._by_length: list[tuple[tuple[int, int], _Entry]] = []  # every waiting row
        self._admitted = 0
        self._order = 0
        self._rows_per_second = 0.0
        self._closing = False
        self._work = asyncio.Event()
        self._threads = ThreadPoolExecutor(limits.runs, thread_name_prefix="infer")
        self._runners: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Start one runner a concurrent run."""
        self._runners = [asyncio.create_task(self._run_batches()) for _ in range(self._limits.runs)]

    async def close(self, drain_seconds: float) -> None:
        """Refuse new work, finish what waits within `drain_seconds`, fail the rest, leave no task behind."""
        self._closing = True
        self._work.set()
        if self._runners:
            await asyncio.wait(self._runners, timeout=drain_seconds)
        for request in {entry.request for _, entry in self._by_length}:
            request.fail(NotReady("the server stopped before this request's turn came; send it again"))
        for runner in self._runners:
            runner.cancel()
        await asyncio.gather(*self._runners, return_exceptions=True)
        self._threads.shutdown(wait=False, cancel_futures=True)

    @property
    def waiting(self) -> int:
        """Rows that wait for a run."""
        return len(self._by_length)

    @contextmanager
    def admit(self, rows: int) -> Iterator[None]:
        """Hold places for the rows of a request, from before tokenization until its answer.

        Raises:
            Overloaded: that many are not free; says when they will be, by the measured rate.
            NotReady: the batcher is closing.
        """
        if self._closing:
            raise NotReady("the server is stopping; send this to another one, or again later")
        if self._admitted + rows > self._limits.queued:
            seconds = min(60.0, max(1.0, self._admitted / self._rows_per_second)) if self._rows_per_second else 1.0
            raise Overloaded(
                f"{self._admitted} texts are waiting and {self._limits.queued} may; try again in {seconds:.0f} s",
                retry_after_seconds=seconds,
            )
        self._admitted += rows
        try:
            yield
        finally:
            self._admitted -= rows

    async def submit(self, rows: Sequence[Encoded], deadline: float) -> Inferred:
        """Probabilities of rows, in order.

        Args:
            rows: one or more encoded texts.
            deadline: `loop.time()` after which no work is done for them.

        Raises:
            DeadlinePassed: the deadline came first.
            InferenceFailed: the model failed on one of them; other requests of its batch are not affected.
            NotReady: the batcher closed first.
        """
        loop = asyncio.get_running_loop()
        request = _Request(deadline, loop.time(), loop.create_future(), [None] * len(rows), missing=len(rows))
        for index, row in enumerate(rows):
            self._order += 1
            entry = _Entry(request, index, row, self._order)
            request.waiting.append(entry)
            insort(self._by_length, (entry.key, entry), key=lambda pair: pair[0])
        self._turns.append(request)
        self._work.set()
        try:
            async with asyncio.timeout_at(deadline):
                await request.answer
        except TimeoutError:
            raise _too_late() from None
        finally:
            self._forget(request)
        queued = request.started - request.submitted
        return Inferred(np.stack(request.results), queued, loop.time() - request.started)

    def _forget(self, request: _Request) -> None:
        """Free the places of rows whose caller has left (or whose request has failed) at once."""
        for entry in request.waiting:
            self._take(entry)
        request.waiting.clear()

    def _take(self, entry: _Entry) -> None:
        if not entry.taken:
            entry.taken = True
            del self._by_length[bisect_left(self._by_length, entry.key, key=lambda pair: pair[0])]

    async def _run_batches(self) -> None:
        while True:
            await self._work.wait()
            batch = self._cut()
            if batch:
                await self._run(batch)
            elif self._closing:
                return
            else:
                self._work.clear()

    def _cut(self) -> list[_Entry]:
        """The next batch: the leader and its nearest neighbours in length; empty when nothing waits."""
        leader = self._next_leader()
        if leader is None:
            return []
        batch = [leader]
        place = bisect_left(self._by_length, leader.key, key=lambda pair: pair[0])
        left, right = place - 1, place + 1
        longest = leader.row.length
        while len(batch) < self._limits.batch_size:
            below = self._by_length[left][1] if left >= 0 else None
            above = self._by_length[right][1] if right < len(self._by_length) else None
            entry = _nearer(leader, below, above)
            if entry is None or max(longest, entry.row.length) * (len(batch) + 1) > self._limits.batch_tokens:
                break
            longest = max(longest, entry.row.length)
            batch.append(entry)
            left, right = (left - 1, right) if entry is below else (left, right + 1)
        del self._by_length[left + 1 : right]
        for entry in batch:
            entry.taken = True
        return batch

    def _next_leader(self) -> _Entry | None:
        """The first waiting row of the request whose turn it is; the request then goes to the end of the line."""
        now = asyncio.get_running_loop().time()
        while self._turns:
            request = self._turns.popleft()
            if request.deadline < now:
                request.fail(_too_late())
                self._forget(request)
            while request.waiting:
                entry = request.waiting.popleft()
                if not entry.taken:
                    self._turns.append(request)
                    return entry
        return None

    async def _run(self, batch: list[_Entry]) -> None:
        loop = asyncio.get_running_loop()
        started = loop.time()
        for entry in batch:
            entry.request.started = entry.request.started or started
        rows = [entry.row for entry in batch]
        try:
            probabilities, seconds = await loop.run_in_executor(self._threads, _timed, self._infer, rows)
        except Exception as error:  # the runner must outlive whatever a model does
            await self._isolate(batch, error)
            return
        self._rows_per_second = _blend(self._rows_per_second, self._limits.runs * len(batch) / max(seconds, 1e-6))
        longest = max(row.length for row in rows)
        self._on_batch(BatchStats(len(rows), longest * len(rows), sum(row.length for row in rows), seconds))
        for entry, row in zip(batch, probabilities, strict=True):
            entry.request.deliver(entry.index, row)

    async def _isolate(self, batch: list[_Entry], error: Exception) -> None:
        """Run the rows of a failed batch alone, so that only the poisoned one fails."""
        if len(batch) == 1:
            mapped = error if isinstance(error, TidegateError) else _failed(error)
            batch[0].request.fail(mapped)
            return
        for entry in batch:
            if not entry.request.answer.done():
                await self._run([entry])


def _nearer(leader: _Entry, below: _Entry | None, above: _Entry | None) -> _Entry | None:
    if below is None or above is None:
        return below or above
    shorter, longer = leader.row.length - below.row.length, above.row.length - leader.row.length
    return below if shorter <= longer else above


def _timed(infer: Infer, rows: Sequence[Encoded]) -> tuple[NDArray[np.float64], float]:
    started = time.perf_counter()
    return infer(rows), time.perf_counter() - started


def _blend(average: float, latest: float) -> float:
    """Exponentially weighted: the last ten batches or so decide."""
    return latest if not average else 0.9 * average + 0.1 * latest


def _failed(error: Exception) -> InferenceFailed:
    return InferenceFailed(f"the model failed on this text: {type(error).__name__}")


def _too_late() -> DeadlinePassed:
    return DeadlinePassed("the deadline passed before this request's turn came; send less, or allow more time")
