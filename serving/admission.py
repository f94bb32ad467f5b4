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
# Predictions below this tell of the scheduler, not of the queue.
_WORTH_PREDICTING = 0.02
_STEP, _LEAST_USUAL, _MOST_SLACK = 0.02, 0.5, 3.0
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
        self._shares = 0.0  # turns that those callers have together, where one of normal priority has one
        self._seconds = 0.0  # decayed sums over batches: the time they took of the whole model ...
        self._costs = 0.0  # ... and what they cost
        self._last = 0.0  # when a batch was answered last and others waited; 0 when none did
        # Answers take a multiple of what is predicted: half of them stay within the first, nine of ten in the second.
        self._usual = self._slack = 1.0

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
        if self._cost and (self._cost + cost_of(texts)) * self._rate * self._slack > seconds:
            wait = self.wait_seconds(caller, texts) * self._slack
            if wait > seconds:
                raise Overloaded(
                    f"the answer would take {wait:.2f} s and is wanted within {max(0.0, seconds):.2f} s",
                    retry_after_seconds=self.drain_seconds,
                    reason="deadline",
                    wait_seconds=wait,
                )

    @property
    def drain_seconds(self) -> float:
        """How long what is in line now will take; 0 as long as no batch was measured."""
        return self._cost * self._rate * self._usual

    def wait_seconds(self, caller: Caller, texts: Sequence[str]) -> float:
        """How long until these texts of a caller, behind those that it has in line, are answered.

        At most: nobody is served more than this caller before that, weighted by priority, or more than it has in line.
        """
        owed = self._of.get(caller, _NOTHING)[1]
        mine = owed + cost_of(texts)
        weight = WEIGHTS[caller.priority]
        others = self._shares - (1 / weight if caller in self._of else 0.0)
        return (mine + min(self._cost - owed, mine * weight * others)) * self._rate

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

    def observe(self, texts: Sequence[str], seconds: float, now: float) -> None:
        """A batch of these texts was answered.

        Args:
            texts: of the batch.
            seconds: its run alone.
            now: `time.perf_counter` seconds. While others wait, what counts is the time from one batch to the next,
                with everything that stands between two runs.
        """
        took = max(0.0, now - self._last) if self._last else seconds / self._runs
        cost = cost_of(texts)
        self._seconds += (took - self._seconds) * _NEWEST if self._costs else took
        self._costs += (cost - self._costs) * _NEWEST if self._costs else cost
        self._last = now if self.texts > len(texts) else 0.0

    def finished(self, predicted_seconds: float, seconds: float) -> None:
        """A request that was expected to take so long has taken so long; both from its arrival.

        Source: quantile by stochastic approximation, Robbins and Monro 1951.
        """
        if predicted_seconds > _WORTH_PREDICTING:
            ratio = seconds / predicted_seconds
            usual = self._usual + _STEP * (0.5 if ratio > self._usual else -0.5)
            slack = self._slack + _STEP * (0.9 if ratio > self._slack else -0.1)
            self._usual = min(_MOST_SLACK, max(_LEAST_USUAL, usual))
            self._slack = min(_MOST_SLACK, max(1.0, slack))

    @property
    def _rate(self) -> float:
        """Seconds for a cost of one, with every runner at work."""
        return self._seconds / self._costs if self._costs else 0.0

    def _count(self, caller: Caller, texts: int, cost: float) -> None:
        self.texts += texts
        self._cost += cost
        books = self._of.get(caller)
        if books is None:
            books = self._of[caller] = [0, 0.0]
            self._shares += 1 / WEIGHTS[caller.priority]
        books[0] += texts
        books[1] += cost
        if not books[0]:
            del self._of[caller]
            self._shares -= 1 / WEIGHTS[caller.priority]
        if not self.texts:
            self._cost = self._shares = 0.0  # sums of floats drift


_NOTHING = (0, 0.0)


def cost_of(texts: Sequence[str]) -> float:
    """What texts cost, in characters."""
    return sum(map(_cost, texts))


def _cost(text: str) -> float:
    return _BASE_CHARS + min(len(text), _MOST_CHARS)
