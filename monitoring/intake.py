"""The intake: the bounded queue between the event loop and the writer thread.

`put` takes a lock for microseconds and never waits; what does not fit is dropped and counted. `wait_written`
is the barrier behind which everything put so far is in the database. Bounded by rows and by characters, since
a text may be a hundred thousand characters long. What comes sealed in parcels is opened as it is taken.
"""

import threading
from collections.abc import Sequence

from monitoring.parcels import Sealed
from tidegate.records import Record

MAX_ROWS = 20_000  # ten seconds of the fastest model measured on two cores
MAX_CHARS = 50_000_000  # 50 to 200 MB of memory


class Intake:
    """A queue with one reader; any number of threads may put and wait.

    Args:
        max_rows, max_chars: most that it holds.
        enough: rows for which the reader gathers no longer.
    """

    def __init__(self, max_rows: int = MAX_ROWS, max_chars: int = MAX_CHARS, enough: int = MAX_ROWS) -> None:
        self._changed = threading.Condition()
        self._parts: list[Sequence[Record] | Sealed] = []
        self._rows = 0
        self._chars = 0
        self._max_rows = max_rows
        self._max_chars = max_chars
        self._enough = enough
        self._taken = 0  # rows ever accepted
        self._written = 0  # rows that the writer is done with
        self._hurry = False
        self._closed = False

    def put(self, records: Sequence[Record] | Sealed) -> bool:
        """Take all of the records, or none when they do not fit or the intake is closed."""
        chars = records.chars if isinstance(records, Sealed) else sum(len(record.text) for record in records)
        with self._changed:
            before, rows = self._rows, self._rows + len(records)
            if self._closed or rows > self._max_rows or self._chars + chars > self._max_chars:
                return False
            self._parts.append(records)
            self._rows = rows
            self._chars += chars
            self._taken += len(records)
            if not before or before < self._enough <= rows:  # all that the writer waits for
                self._changed.notify_all()
        return True

    def take(self, gather_seconds: float, idle_seconds: float) -> list[Record] | None:
        """Wait for records, gather more for a while, and hand all over; the writer's side.

        Returns:
            The records; empty after `idle_seconds` without any; None once closed and empty.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._rows or self._closed, timeout=idle_seconds)
            if self._rows:
                self._changed.wait_for(
                    lambda: self._hurry or self._closed or self._rows >= self._enough, timeout=gather_seconds
                )
            elif self._closed:
                return None
            parts, self._parts, self._rows, self._chars = self._parts, [], 0, 0
        return [record for part in parts for record in part]

    def done(self, rows: int) -> None:
        """The writer has dealt with this many more rows."""
        with self._changed:
            self._written += rows
            self._hurry = self._hurry and self._written < self._taken
            self._changed.notify_all()

    def wait_written(self, timeout_seconds: float) -> bool:
        """Wait until all that was put before this call is dealt with; False when that took too long."""
        with self._changed:
            target = self._taken
            if self._written >= target:
                return True
            self._hurry = True
            self._changed.notify_all()
            return self._changed.wait_for(lambda: self._written >= target, timeout=timeout_seconds)

    def close(self) -> None:
        """Refuse what comes, and let the writer finish what is here."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
