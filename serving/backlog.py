"""The backlog: rows that wait for a run, between the tokenizer threads and the runner threads. One per model.

`put` never waits. A free runner waits in `take` for work, then for a core, and cuts its batch last, so that a batch
grows until the moment it runs and an idle model answers at once; there is no timer (text-embeddings-inference's
idea). One runner at a time has the turn; the others wait behind it, asleep.

Fairness: a row's rank is the virtual time at which it would start if the waiting requests shared the model equally,
so the thousandth row of one list stands behind the first of another.
Source: fair queueing, Demers, Keshav and Shenker 1989, with tokens for bits and one weight for all.
"""

import threading
import time
from bisect import insort
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue

from serving.batch import Entry, Ticket, cut, padded_tokens
from tidegate.permits import Permits
from tidegate.plan import Plan

# Company is chosen among this many times the batch size: a wider choice pads less, a narrower one waits less.
WINDOW_BATCHES = 4

# Rows start to stop of a ticket; a ticket with a text to encode first when stop is 0.
_Arrival = tuple[Ticket, int, int]


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
        self._line: list[Entry] = []  # by rank; may hold rows that nobody waits for any more
        self._requests: set[Ticket] = set()  # those with rows in the line
        self._virtual_tokens = 0.0
        self._running: dict[int, int] = {}  # rows in each runner's batch
        self._closed = False

    @property
    def running(self) -> int:
        """Rows that are in a batch now."""
        return sum(list(self._running.values()))

    def put(self, ticket: Ticket, start: int, stop: int) -> None:
        """Queue rows `start` to `stop` of a request."""
        self._inbox.put((ticket, start, stop))

    def put_text(self, ticket: Ticket) -> None:
        """Have the runner itself encode a short request: with nothing else to do, a hop between threads is saved."""
        self._inbox.put((ticket, 0, 0))

    def close(self) -> None:
        """Let every runner go, now or when it comes back."""
        self._inbox.put(None)

    def take(self) -> list[Entry]:
        """Wait for work and cores, and cut a batch; `done` gives the cores back. Empty once closed."""
        with self._turn:
            while not self._closed:
                self._wait()
                self._permits.acquire(self._cores)
                batch = [] if self._closed else self._cut()
                if batch:
                    self._running[threading.get_ident()] = len(batch)
                    return batch
                self._permits.release(self._cores)
        return []

    def done(self) -> None:
        """The runner is finished with its batch."""
        self._permits.release(self._cores)
        self._running.pop(threading.get_ident(), None)

    def _wait(self) -> None:
        """Sleep until there is a row, or the end."""
        if not self._line:
            self._accept(self._inbox.get())

    def _accept(self, arrival: _Arrival | None) -> None:
        if arrival is None:
            self._closed = True
            return
        ticket, start, stop = arrival
        if not stop:
            self._encode(ticket)
            return
        rows = ticket.rows[start:stop]  # none once its caller has left
        rank = max(ticket.next_rank, self._virtual_tokens)
        for index, row in enumerate(rows, start):
            insort(self._line, Entry(row, rank, index, ticket), key=_rank)
            rank += row.length
        ticket.next_rank = rank
        ticket.waiting += len(rows)
        if rows:
            self._requests.add(ticket)

    def _cut(self) -> list[Entry]:
        """The next batch, out of the line; empty when the front held only what nobody wants."""
        while not self._inbox.empty():
            try:
                self._accept(self._inbox.get_nowait())
            except Empty:  # only runners take, and only with the turn; but the queue does not promise it
                break
        self._sweep()
        plan = self._plan
        size = WINDOW_BATCHES * plan.max_batch_rows
        now = time.monotonic()
        window = [entry for entry in self._line[:size] if self._wanted(entry.ticket, now)]
        batch = cut(window, self._budget(window), plan.max_batch_rows, plan.run_tokens) if window else []
        taken = set(batch)
        self._line[:size] = [entry for entry in window if entry not in taken]
        self._start(batch)
        return batch

    def _budget(self, window: Sequence[Entry]) -> int:
        """Padded tokens of this batch: no more than its share when other runners are free too."""
        free = self._plan.runs - len(self._running)
        if free <= 1:
            return self._plan.max_batch_tokens
        share = -(-sum(entry.row.length for entry in window) // free)
        return min(self._plan.max_batch_tokens, share)

    def _start(self, batch: Sequence[Entry]) -> None:
        """Virtual time moves by the work of a batch, shared among the requests that wait."""
        if not batch:
            return
        now = time.perf_counter()
        self._virtual_tokens += padded_tokens(batch) / max(1, len(self._requests))
        for entry in batch:
            ticket = entry.ticket
            ticket.waiting -= 1
            ticket.started_at = ticket.started_at or now
            if not ticket.waiting:
                self._requests.discard(ticket)

    def _wanted(self, ticket: Ticket, now: float) -> bool:
        """Whether somebody still waits; a deadline that passed counts before work is done, not after."""
        if ticket.left or now >= ticket.deadline:
            self._requests.discard(ticket)
            return False
        return True

    def _sweep(self) -> None:
        """Drop rows that nobody wants before they outgrow the queue."""
        if len(self._line) > self._max_queued:
            now = time.monotonic()
            self._line = [entry for entry in self._line if self._wanted(entry.ticket, now)]


def _rank(entry: Entry) -> float:
    return entry.rank
