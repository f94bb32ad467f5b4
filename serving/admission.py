"""Admission: what waits, of whom, what it costs, and whether more of it could be answered in time. One per batcher.

Everything here happens on the event loop, before a text is queued, so a refusal costs nothing. Cost is counted in
characters and turned into seconds by what batches took lately. A caller's wait follows from fair queueing: before its
last text is answered, every other caller is served at most as much as it is, weighted by priority.
Before: `Batcher.submit`; after: `serving.line` serves in the order that the prediction assumes.
"""

from collections.abc import Sequence

from serving.batch import Ticket
from serving.caller import Caller
from serving.line import WEIGHTS
from tidegate.errors import Overloaded

# A text costs its characters and this many more: a short one is not free. Texts are cut at the model's length anyway.
_BASE_CHARS, _MOST_CHARS = 20, 2_000
# Weight of the newest batch in the measured cost: the last twenty batches or so count.
_NEWEST = 0.1
# Callers who hold less than an eighth of the queue may go a quarter over it, so that a greedy one cannot lock them out.
_SMALL, _RESERVE = 8, 4


class Admission:
    """The books of one queue."""

    def __init__(self, runs: int, max_queued: int) -> None:
        self.texts = 0  # that somebody waits for
        self._runs = runs
        self._max_queued = max_queued
        self._cost = 0.0  # of those texts
        self._of: dict[Caller, list[float]] = {}  # by caller: texts and their cost
        self._seconds = 0.0  # decayed sums over batches: what they took ...
        self._costs = 0.0  # ... and what they cost

    def check(self, caller: Caller, texts: Sequence[str], seconds: float, waiting: int) -> None:
        """Refuse texts that there is no room for, or that would not be answered within `seconds`.

        Args:
            caller: who asks.
            texts: what is asked.
            seconds: how long the caller waits.
            waiting: texts that are in no batch yet.

        Raises:
            Overloaded: with the time that the texts before them take.
        """
        room = self._max_queued
        if self._of.get(caller, _NOTHING)[0] < room // _SMALL:
            room += room // _RESERVE
        if waiting + len(texts) > room:
            raise Overloaded(
                f"{waiting} texts are waiting and {room} may; come back later with these {len(texts)}",
                retry_after_seconds=self.drain_seconds or 1.0,
            )
        # An idle model takes what comes: refusing there would keep a wrong measurement for ever.
        if self._cost and (self._cost + cost_of(texts)) * self._rate > seconds:
            wait = self.wait_seconds(caller, texts)
            if wait > seconds:
                raise Overloaded(
                    f"the answer would take {wait:.2f} s and is wanted within {max(0.0, seconds):.2f} s",
                    retry_after_seconds=self.drain_seconds,
                )

    @property
    def drain_seconds(self) -> float:
        """How long what is in line now will take; 0 as long as no batch was measured."""
        return self._cost * self._rate

    def wait_seconds(self, caller: Caller, texts: Sequence[str]) -> float:
        """How long until these texts of a caller, behind those that it has in line, are answered."""
        mine = self._of.get(caller, _NOTHING)[1] + cost_of(texts)
        share = WEIGHTS[caller.priority]
        others = [(WEIGHTS[other.priority], cost) for other, (_, cost) in self._of.items() if other != caller]
        ahead = sum(min(cost, mine * share / weight) for weight, cost in others)
        return (mine + ahead) * self._rate

    def add(self, ticket: Ticket) -> None:
        """A request was queued."""
        self._count(ticket.caller, len(ticket.texts), cost_of(ticket.texts))

    def answered(self, ticket: Ticket, index: int) -> None:
        """One text of a request was answered."""
        self._count(ticket.caller, -1, -_cost(ticket.texts[index]))

    def remove(self, ticket: Ticket) -> None:
        """Nobody waits for a request any more: its texts without an answer leave the books."""
        left = [text for text, answer in zip(ticket.texts, ticket.answers, strict=True) if answer is None]
        if left:
            self._count(ticket.caller, -len(left), -cost_of(left))

    def observe(self, texts: Sequence[str], seconds: float) -> None:
        """A batch of these texts took so long."""
        self._seconds += (seconds - self._seconds) * _NEWEST if self._costs else seconds
        cost = cost_of(texts)
        self._costs += (cost - self._costs) * _NEWEST if self._costs else cost

    @property
    def _rate(self) -> float:
        """Seconds for a cost of one, with every runner at work."""
        return self._seconds / self._costs / self._runs if self._costs else 0.0

    def _count(self, caller: Caller, texts: int, cost: float) -> None:
        self.texts += texts
        self._cost += cost
        books = self._of.setdefault(caller, [0, 0.0])
        books[0] += texts
        books[1] += cost
        if not books[0]:
            del self._of[caller]
        if not self.texts:
            self._cost = 0.0  # sums of floats drift


_NOTHING = (0, 0.0)


def cost_of(texts: Sequence[str]) -> float:
    """What texts cost, in characters."""
    return sum(map(_cost, texts))


def _cost(text: str) -> float:
    return _BASE_CHARS + min(len(text), _MOST_CHARS)
