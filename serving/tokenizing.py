"""Tokenizing: texts to rows, in threads between the event loop and the backlog.

A thread takes what waits and encodes it in one call, up to a chunk; a request of many texts goes piece by piece and
stands in line again between two pieces, so that others get their turn. Rows go straight into the backlog, without
a stop at the event loop. A text that the tokenizer cannot take fails its own request alone.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from typing import Protocol

from serving.backlog import Backlog
from serving.batch import Ticket
from tidegate.errors import InferenceFailed, TidegateError
from tidegate.preprocess import Encoded

log = logging.getLogger(__name__)

# Two, so that one page-long text does not hold up every headline behind it.
THREADS = 2
# Characters tokenized in one go, about 5 ms of work.
CHUNK_CHARS = 10_000

_Piece = tuple[Ticket, int, int]  # texts start to stop of a ticket


class Encoder(Protocol):
    """What tokenizes: an engine."""

    def encode(self, texts: Sequence[str]) -> list[Encoded]:
        """One row a text."""
        ...


class Tokenizing:
    """The threads; `put` from the event loop, which it never holds up."""

    def __init__(self, encoder: Encoder, backlog: Backlog, fail: Callable[[Ticket, TidegateError], None]) -> None:
        self._encoder = encoder
        self._backlog = backlog
        self._fail = fail
        self._inbox: SimpleQueue[Ticket | None] = SimpleQueue()
        self._threads = [
            threading.Thread(target=self._work, name=f"tidegate-tokenize-{n}", daemon=True) for n in range(THREADS)
        ]
        for thread in self._threads:
            thread.start()

    def put(self, ticket: Ticket) -> None:
        """Tokenize a request."""
        self._inbox.put(ticket)

    def encode_here(self, ticket: Ticket) -> None:
        """Encode a whole request in the calling thread."""
        if not ticket.left:
            self._encode([(ticket, 0, len(ticket.texts))])

    def close(self) -> None:
        """Let the threads end when they are free."""
        for _ in self._threads:
            self._inbox.put(None)

    def _work(self) -> None:
        while (ticket := self._inbox.get()) is not None:
            self._encode(self._gather(ticket))

    def _gather(self, first: Ticket) -> list[_Piece]:
        """The next piece of the first request, and whatever else waits, up to a chunk."""
        pieces = [piece_of(first, CHUNK_CHARS)]
        room = CHUNK_CHARS - _chars(pieces[0])
        while room > 0:
            try:
                ticket = self._inbox.get_nowait()
            except Empty:
                break
            if ticket is None:
                self._inbox.put(None)
                break
            pieces.append(piece_of(ticket, room))
            room -= _chars(pieces[-1])
        return [piece for piece in pieces if not piece[0].left]

    def _encode(self, pieces: Sequence[_Piece]) -> None:
        texts = [text for ticket, start, stop in pieces for text in ticket.texts[start:stop]]
        try:
            rows = self._encoder.encode(texts) if texts else []
        except Exception as error:  # whatever a tokenizer raises must fail its request, never the thread
            self._encode_apart(pieces, error)
            return
        taken = 0
        for ticket, start, stop in pieces:
            ticket.rows.extend(rows[taken : taken + stop - start])
            taken += stop - start
            if stop == len(ticket.texts):
                ticket.encoded_at = time.perf_counter()
            else:
                self._inbox.put(ticket)
            self._backlog.put(ticket, start, stop)

    def _encode_apart(self, pieces: Sequence[_Piece], error: Exception) -> None:
        if len(pieces) > 1:
            for piece in pieces:
                self._encode([piece])
            return
        log.error("the tokenizer raised on %s texts", pieces[0][2] - pieces[0][1], exc_info=error)
        failure = InferenceFailed(f"the tokenizer raised {type(error).__name__}; the server's log has the trace")
        self._fail(pieces[0][0], error if isinstance(error, TidegateError) else failure)


def piece_of(ticket: Ticket, room: int) -> _Piece:
    """The next texts of a request: as many as fit into `room` characters, at least one."""
    start = stop = len(ticket.rows)
    chars = 0
    while stop < len(ticket.texts) and (stop == start or chars < room):
        chars += len(ticket.texts[stop])
        stop += 1
    return ticket, start, stop


def _chars(piece: _Piece) -> int:
    ticket, start, stop = piece
    return sum(len(text) for text in ticket.texts[start:stop])
