"""What a click on a demo costs beyond the API's own answer, and what visitors do to the API's callers.

One server. In turn: the API alone at a steady rate (an open loop), then with ten visitors who click, think, and click
again, then with ten callers of the API who ask the same questions at the same pace: what visitors would do to others if
pages cost nothing. A click is counted from the join of Gradio's queue to its answer; the API's answers are counted from
when each was due. Visitors and callers beside are a process of their own, so that the API's caller does not wait for
what their browsers do.
Before: `house` and `visitor`; after: `command` prints medians over the turns, with the lowest and highest.
"""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import cycle
from multiprocessing import get_context
from pathlib import Path
from statistics import median

import aiohttp

from benchmarks.demos.house import House, names, serving
from benchmarks.demos.visitor import Visitor, browsing
from tests.bundles import SAMPLES
from tidegate.errors import InferenceFailed

VISITORS = 10
_THINK_SECONDS = 1.0  # mean of an exponential draw
_WARM_SECONDS = 3.0
_MODEL = names(1)[0]

_Stay = Callable[[aiohttp.ClientSession, float, int], Awaitable[list[float]]]


@dataclass(slots=True)
class Turn:
    """Seconds of every answer in one turn."""

    api: list[float] = field(default_factory=list)
    clicks: list[float] = field(default_factory=list)

    @property
    def api_p99(self) -> float:
        """Of the API's callers."""
        return sorted(self.api)[int(0.99 * (len(self.api) - 1))]


@dataclass(frozen=True, slots=True)
class Latency:
    """Turns without visitors, with them, and with callers who ask what visitors would; one after the other."""

    rate: float
    alone: list[Turn]
    beside: list[Turn]
    asked: list[Turn]

    @property
    def added(self) -> list[float]:
        """Seconds by which the median click is slower than the API's median answer beside it, a turn."""
        return [median(turn.clicks) - median(turn.api) for turn in self.beside]

    @property
    def moved(self) -> list[float]:
        """The API's p99 with visitors over without, a turn."""
        return self._over_alone(self.beside)

    @property
    def moved_by_questions(self) -> list[float]:
        """The same with callers in the place of visitors: no page could do better."""
        return self._over_alone(self.asked)

    def _over_alone(self, turns: list[Turn]) -> list[float]:
        return [turn.api_p99 / alone.api_p99 for alone, turn in zip(self.alone, turns, strict=True)]


def measure_latency(home: Path, rate: float, repeats: int, seconds: float) -> Latency:
    """Alternate; `rate` in requests a second, `seconds` of each turn."""
    with serving(home, [_MODEL]) as house, _elsewhere() as elsewhere:
        asyncio.run(_turn(house, rate, _WARM_SECONDS, elsewhere, visiting))
        alone, beside, asked = [], [], []
        for _ in range(repeats):
            alone.append(asyncio.run(_turn(house, rate, seconds)))
            beside.append(asyncio.run(_turn(house, rate, seconds, elsewhere, visiting)))
            asked.append(asyncio.run(_turn(house, rate, seconds, elsewhere, asking)))
    return Latency(rate, alone, beside, asked)


@contextmanager
def _elsewhere() -> Iterator[Executor]:
    """A process for the visitors, started and with everything imported."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        pool.submit(time.perf_counter).result()
        yield pool


async def _turn(
    house: House, rate: float, seconds: float, elsewhere: Executor | None = None, do: _Stay | None = None
) -> Turn:
    turn = Turn()
    crowd = elsewhere.submit(crowded, do, house.url, seconds) if elsewhere and do else None
    async with browsing(house.url) as client:
        await _steadily(client, turn, rate, time.perf_counter() + seconds)
    if crowd is not None:
        turn.clicks = await asyncio.wrap_future(crowd)
    return turn


async def _steadily(client: aiohttp.ClientSession, turn: Turn, rate: float, end: float) -> None:
    """Questions that come whether answers come or not."""
    texts, due, tasks = cycle(SAMPLES), time.perf_counter(), set[asyncio.Task[None]]()

    async def ask(text: str, due: float) -> None:
        await _ask(client, text)
        turn.api.append(time.perf_counter() - due)

    while due < end:
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        tasks.add(asyncio.create_task(ask(next(texts), due)))
        due += 1 / rate
    await asyncio.gather(*tasks)


async def _ask(client: aiohttp.ClientSession, text: str) -> None:
    async with client.post(f"/models/{_MODEL}/predict", json={"inputs": text}) as answer:
        content = await answer.text()
    if answer.status != 200:
        raise InferenceFailed(f"the API answered {answer.status}: {content[:200]}")


def crowded(do: _Stay, url: str, seconds: float) -> list[float]:
    """Seconds of every answer to `VISITORS` who come at once and stay for a while, each doing `do`."""

    async def stay() -> list[list[float]]:
        async with browsing(url) as client:
            end = time.perf_counter() + seconds
            return await asyncio.gather(*(do(client, end, seed) for seed in range(VISITORS)))

    return [answer for answers in asyncio.run(stay()) for answer in answers]


async def visiting(client: aiohttp.ClientSession, end: float, seed: int) -> list[float]:
    """Open the page, then click and think; the first click is a session's, and counts."""
    visitor = Visitor(client, _MODEL)
    await visitor.open()
    return [await visitor.click(text) async for text in _thoughts(end, seed)]


async def asking(client: aiohttp.ClientSession, end: float, seed: int) -> list[float]:
    """Ask the API what the visitor of this seed would ask, when it would."""
    seconds = []
    async for text in _thoughts(end, seed):
        started = time.perf_counter()
        await _ask(client, text)
        seconds.append(time.perf_counter() - started)
    return seconds


async def _thoughts(end: float, seed: int) -> AsyncIterator[str]:
    """A text, each after a while; the pace of people who read an answer."""
    rng = random.Random(seed)
    while time.perf_counter() < end:
        await asyncio.sleep(rng.expovariate(1 / _THINK_SECONDS))
        yield rng.choice(SAMPLES)
