"""Permits to compute: the cores of the process, shared by the runs of every model, first come first served.

A run holds as many permits as it has threads, so models that share a machine take turns instead of preempting each
other. Waited for in runner threads only, never on the event loop. First come first served, because a run that wants
every core would otherwise starve behind runs that want one.
"""

import threading
from collections import deque


class Permits:
    """`total` cores; `acquire` and `release` from any thread."""

    def __init__(self, total: int) -> None:
        self._free = self._total = total
        self._changed = threading.Condition()
        self._line: deque[object] = deque()

    def acquire(self, count: int) -> None:
        """Wait for `count` cores, or for all of them when there are not as many."""
        count = min(count, self._total)
        with self._changed:
            place = object()
            self._line.append(place)
            self._changed.wait_for(lambda: self._line[0] is place and self._free >= count)
            self._line.popleft()
            self._free -= count
            self._changed.notify_all()

    def release(self, count: int) -> None:
        """Give them back."""
        with self._changed:
            self._free += min(count, self._total)
            self._changed.notify_all()
