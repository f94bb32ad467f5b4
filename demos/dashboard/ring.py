"""The ring: the live figures of the last 15 minutes, read from the registry now and then, for whoever looks.

One task reads every `IDLE_SECONDS`, as a scraping Prometheus does, so that the page opens with history; while somebody
looks, their polls read in between, at most every `LEAST_SECONDS` for all viewers together. Reading runs in a thread,
and the rarer the more it costs: never more than a twentieth of a core, nor than half a hundredth when nobody looks.
Points are kept as the JSON they are sent as: small, and nothing to encode for a second viewer.
Before: `app`, which owns one; after: `live`. Limits: a ring belongs to one worker; all of them read the same sums, so
their points agree, at other moments.
"""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import orjson
from starlette.concurrency import run_in_threadpool

from demos.dashboard.readings import EVERY, Reading, Row, points, read, rows
from serving.gateway import Gateway

KEPT_SECONDS = 900.0
IDLE_SECONDS = 15.0
LEAST_SECONDS = 1.5
# Of many models and workers a reading costs a tenth of a second of a core and more: it may not become a load itself.
_IDLE_SHARE, _WATCHED_SHARE = 1 / 200, 1 / 20  # of one core
MOST_POINTS = 300  # sent at once; of more, every other one and so on
_MOST_KEPT = int(KEPT_SECONDS / LEAST_SECONDS)


@dataclass(frozen=True, slots=True)
class Point:
    """What happened up to `at` (Unix seconds), by model, as JSON."""

    at: float
    encoded: dict[str, bytes]


class Ring:
    """The last points; used on the event loop."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._points: deque[Point] = deque(maxlen=_MOST_KEPT)
        self._now: Reading | None = None
        self.rows: list[Row] = []  # the newest figures; empty before two readings
        self._reading = asyncio.Lock()
        self._cost_seconds = 0.0  # of a core, for the last reading

    async def follow(self, gateway: Gateway) -> None:
        """Read again and again, until cancelled."""
        while True:
            await self.advance(gateway)
            await asyncio.sleep(max(IDLE_SECONDS, self._cost_seconds / _IDLE_SHARE))

    async def advance(self, gateway: Gateway) -> None:
        """Read, unless somebody just did; who asks meanwhile waits for that reading."""
        async with self._reading:
            least = max(LEAST_SECONDS, self._cost_seconds / _WATCHED_SHARE)
            if self._now is not None and 0 <= self._clock() - self._now.at < least:
                return
            gateway.repository.show()
            self._now = await run_in_threadpool(self._read, gateway, self._now)
            while self._points and self._points[0].at < self._now.at - KEPT_SECONDS:
                self._points.popleft()

    def since(self, at: float, model: str = EVERY) -> bytes:
        """The points after a moment, oldest first, as a JSON list; thinned where they are many."""
        chosen = [point for point in self._points if point.at > at]
        step = -(-len(chosen) // MOST_POINTS) or 1
        thinned = chosen[(len(chosen) - 1) % step :: step]  # the newest is always among them
        nothing = b'{"at":%f,"plots":{}}'
        return b"[" + b",".join(point.encoded.get(model) or nothing % point.at for point in thinned) + b"]"

    def points(self, model: str = EVERY) -> list[dict[str, Any]]:
        """The same of all that is kept, decoded."""
        decoded: list[dict[str, Any]] = orjson.loads(self.since(0.0, model))
        return decoded

    def _read(self, gateway: Gateway, before: Reading | None) -> Reading:
        """Read, and keep what happened since the reading before."""
        started = time.thread_time()
        now = read(gateway.registry.collect(), self._clock())
        if before is not None:
            plots = points(before, now)
            encoded = {model: orjson.dumps({"at": now.at, "plots": one}) for model, one in plots.items()}
            self._points.append(Point(now.at, encoded))
            self.rows = rows(before, now)
        self._cost_seconds = time.thread_time() - started
        return now


@asynccontextmanager
async def following(ring: Ring, gateway: Gateway) -> AsyncIterator[None]:
    """Read for as long as the app lives."""
    task = asyncio.create_task(ring.follow(gateway), name="tidegate-live")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait((task,))
