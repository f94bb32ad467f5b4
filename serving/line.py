"""The line: rows that wait for a run, in the order in which fairness owes them one. Used by runners, one at a time.

Two levels of fair queueing. Callers share the model by turns, weighted by priority, so that one with a thousand
requests in line delays another by no more than its share; below, the requests of one caller share the caller's turns,
so that the thousandth row of a list stands behind the first row of the next request.
Source: start-time fair queueing, Goyal, Vin and Cheng 1996, with tokens for bits.
Limits: no locks, no clock; who uses it holds the turn (`serving.backlog`).
"""

from bisect import insort
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from heapq import heapify, heappop, heapreplace

from serving.batch import Entry, Ticket
from serving.caller import HIGH, LOW, NORMAL, Caller

# A row of high priority counts an eighth, one of low priority eight times: classes share, none starves.
WEIGHTS = {HIGH: 0.125, NORMAL: 1.0, LOW: 8.0}

Wanted = Callable[[Ticket], bool]


@dataclass(slots=True, eq=False)
class Flow:
    """The rows of one caller in one priority class.

    Attributes:
        weight: what a token counts.
        turn: virtual time among callers, in weighted tokens: the lowest goes first.
        served: virtual time among this caller's requests, in tokens.
        rows: by rank; may hold rows that nobody waits for any more.
        requests: those with rows in it.
    """

    weight: float
    turn: float
    served: float = 0.0
    rows: list[Entry] = field(default_factory=list)
    requests: set[Ticket] = field(default_factory=set)


class Line:
    """Every waiting row of one model."""

    def __init__(self) -> None:
        self._flows: dict[Caller, Flow] = {}  # also those without rows that are ahead of their share
        self._now = 0.0  # the turn of the flow that was served last
        self._rows = 0
        self._reach = 0  # how deep into a flow the last front looked

    def __len__(self) -> int:
        return self._rows

    def add(self, ticket: Ticket, start: int, stop: int) -> None:
        """Queue rows `start` to `stop` of a request."""
        rows = ticket.rows[start:stop]  # none once its caller has left
        if not rows:
            return
        flow = self._flow(ticket.caller)
        rank = max(ticket.next_rank, flow.served)
        for index, row in enumerate(rows, start):
            insort(flow.rows, Entry(row, rank, index, ticket), key=_rank)
            rank += row.length
        ticket.next_rank = rank
        ticket.waiting += len(rows)
        flow.requests.add(ticket)
        self._rows += len(rows)

    def front(self, size: int, wanted: Wanted) -> list[Entry]:
        """The next rows in order of their turn, `size` at most; those that nobody wants are dropped on the way."""
        self._reach = size
        flows = [flow for flow in self._flows.values() if flow.rows]
        for flow in flows:
            self._clean(flow, size, wanted)
        flows = [flow for flow in flows if flow.rows]
        if len(flows) == 1:
            return flows[0].rows[:size]
        return _merged(flows, size)

    def take(self, batch: Sequence[Entry], tokens: int) -> None:
        """Remove rows that `front` gave and charge for them.

        Args:
            batch: the rows that are run.
            tokens: of the batch, padding included; shared out by length.
        """
        if not batch:
            return
        taken = set(batch)
        rate = tokens / sum(entry.row.length for entry in batch)
        flows = {id(flow): flow for flow in (self._flows[entry.ticket.caller] for entry in batch)}
        self._now = max(self._now, min(flow.turn for flow in flows.values()))
        for entry in batch:
            flow, cost = self._flows[entry.ticket.caller], entry.row.length * rate
            flow.turn += cost * flow.weight
            flow.served += cost / max(1, len(flow.requests))
            entry.ticket.waiting -= 1
            if not entry.ticket.waiting:
                flow.requests.discard(entry.ticket)
        for flow in flows.values():
            flow.rows[: self._reach] = [entry for entry in flow.rows[: self._reach] if entry not in taken]
        self._rows -= len(batch)
        self._forget()

    def sweep(self, wanted: Wanted) -> None:
        """Drop every row that nobody wants."""
        for flow in self._flows.values():
            self._clean(flow, len(flow.rows), wanted)

    def _flow(self, caller: Caller) -> Flow:
        flow = self._flows.get(caller)
        if flow is None:
            flow = self._flows[caller] = Flow(WEIGHTS[caller.priority], self._now)
        elif not flow.rows:  # it does not save up turns while it asks nothing
            flow.turn = max(flow.turn, self._now)
        return flow

    def _clean(self, flow: Flow, size: int, wanted: Wanted) -> None:
        head = flow.rows[:size]
        kept = [entry for entry in head if wanted(entry.ticket)]
        if len(kept) < len(head):
            flow.rows[:size] = kept
            self._rows -= len(head) - len(kept)
            flow.requests.difference_update(entry.ticket for entry in head if not wanted(entry.ticket))

    def _forget(self) -> None:
        """Drop flows that would start where the line is now: nothing is owed to them, and they owe nothing."""
        idle = [caller for caller, flow in self._flows.items() if not flow.rows and flow.turn <= self._now]
        for caller in idle:
            del self._flows[caller]


def _merged(flows: Sequence[Flow], size: int) -> list[Entry]:
    """Rows of several flows in the order of their turns, as if each were run alone."""
    heap = [(flow.turn, number, 0) for number, flow in enumerate(flows)]
    heapify(heap)
    front: list[Entry] = []
    while heap and len(front) < size:
        turn, number, position = heap[0]
        flow = flows[number]
        entry = flow.rows[position]
        front.append(entry)
        if position + 1 < len(flow.rows):
            heapreplace(heap, (turn + entry.row.length * flow.weight, number, position + 1))
        else:
            heappop(heap)
    return front


def _rank(entry: Entry) -> float:
    return entry.rank
