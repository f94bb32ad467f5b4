"""The backlog: rows that wait for a run, between the tokenizer threads and the runner threads. One per model.

`put` never waits. A free runner waits in `take` for work, then for a core, and cuts its batch last, so that a batch
grows until the moment it runs and an idle model answers at once; there is no timer (text-embeddings-inference's
idea). One runner at a time has the turn; the others wait behind it, asleep.

Who goes first says `serving.line`. A run that hangs gives its cores back when it is given up (`abandon`).
"""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from queue import Empty, SimpleQueue

from serving.batch import Entry, Ticket, cut, padded_tokens
from serving.line import Line
from tidegate.permits import Permits
from tidegate.plan import Plan

# Company is chosen among this many times the batch size: a wider choice pads less, a narrower one waits less.
WINDOW_BATCHES = 4

# Rows start to stop of a ticket; a ticket with a text to encode first when stop is 0.
_Arrival = tuple[Ticket, int, int]


@dataclass(frozen=True, slots=True)
class Run:
    """A batch that runs: its rows, and since when (`time.monotonic`)."""

    rows: int
    started: float


class Backlog:
    """Rows by rank; `put` from tokenizer threads, `take` from `plan.runs` runner threads, `close` from anywhere."""

    def __init__(
        self, plan: Plan, permits: Permits, max_queued: int, encode: Callable[[Ticket], None] = lambda _: None
    ) -> None:
        self._encode = encode
        self._plan = plan
        self._permits = permits
        self._cores = plan.threads if plan.device == "cpu" else 0  # a run on a GPU holds no core
        self._max_queued = max_queued
        self._inbox: SimpleQueue[_Arrival | None] = SimpleQueue()
        self._turn = threading.Lock()  # taken by runners only
        self._line = Line()
        self._running: dict[int, Run] = {}  # by runner
        self._closed = False

    @property
    def running(self) -> int:
        """Rows that are in a batch now."""
        return sum(run.rows for run in list(self._running.values()))

    def put(self, ticket: Ticket, start: int, stop: int) -> None:
        """Queue rows `start` to `stop` of a request."""
        self._inbox.put((ticket, start, stop))

    def put_text(self, ticket: Ticket) -> None:
        """Have the runner itself encode a short request: with nothing else to do, a hop between threads is saved."""
        self._inbox.put((ticket, 0, 0))

    def close(self) -> None:
        """Let every runner go, now or when it comes back."""
        self._inbox.put(None)

    @property
    def longest_run_seconds(self) -> float:
        """For how long the oldest of the runs that go on has been going on; 0 when there is none."""
        started = [run.started for run in list(self._running.values())]
        return time.monotonic() - min(started) if started else 0.0

    def abandon(self) -> None:
        """Give up the runs that go on: their cores are free for others, whatever becomes of their threads."""
        self.close()
        for runner in list(self._running):
            if self._running.pop(runner, None):
                self._permits.release(self._cores)

    def take(self) -> list[Entry]:
        """Wait for work and cores, and cut a batch; `done` gives the cores back. Empty once closed."""
        with self._turn:
            while not self._closed:
                self._wait()
                self._permits.acquire(self._cores)
                batch = [] if self._closed else self._cut()
                if batch:
                    self._running[threading.get_ident()] = Run(len(batch), time.monotonic())
                    return batch
                self._permits.release(self._cores)
        return []

    def done(self) -> None:
        """The runner is finished with its batch."""
        if self._running.pop(threading.get_ident(), None):  # else it was given up, and its cores with it
            self._permits.release(self._cores)

    def _wait(self) -> None:
        """Sleep until there is a row, or the end."""
        if not self._line:
            self._accept(self._inbox.get())

    def _accept(self, arrival: _Arrival | None) -> None:
        if arrival is None:
            self._closed = True
            return
        ticket, start, stop = arrival
        if stop:
            self._line.add(ticket, start, stop)
        else:
            self._encode(ticket)

    def _cut(self) -> list[Entry]:
        """The next batch, out of the line; empty when the front held only what nobody wants."""
        while not self._inbox.empty():
            try:
                self._accept(self._inbox.get_nowait())
            except Empty:  # only runners take, and only with the turn; but the queue does not promise it
                break
        now = time.monotonic()
        if len(self._line) > self._max_queued:  # drop what nobody wants before it outgrows the queue
            self._line.sweep(lambda ticket: _wanted(ticket, now))
        plan = self._plan
        window = self._line.front(WINDOW_BATCHES * plan.max_batch_rows, lambda ticket: _wanted(ticket, now))
        if not window:
            return []
        batch = cut(window, self._budget(window), plan.max_batch_rows, plan.run_tokens)
        self._line.take(batch, padded_tokens(batch))
        started = time.perf_counter()
        for entry in batch:
            entry.ticket.started_at = entry.ticket.started_at or started
        return batch

    def _budget(self, window: Sequence[Entry]) -> int:
        """Padded tokens of this batch: no more than its share when other runners are free too."""
        free = self._plan.runs - len(self._running)
        if free <= 1:
            return self._plan.max_batch_tokens
        share = -(-sum(entry.row.length for entry in window) // free)
        return min(self._plan.max_batch_tokens, share)


def _wanted(ticket: Ticket, now: float) -> bool:
    """Whether somebody still waits; a deadline that passed counts before work is done, not after."""
    return not ticket.left and now < ticket.deadline
