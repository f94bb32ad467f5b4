"""What a click on a demo costs beyond the API's own answer, and what visitors do to the API's callers.

One server. In turn: the API alone at a steady rate (an open loop), then with ten visitors who click, think, and click
again. A click is counted from the join of Gradio's queue to its answer; the API's answers are counted from when each
was due. The visitors are a process of their own, so that the API's caller does not wait for what their browsers do.
Before: `house` and `visitor`; after: `command` prints medians over the turns, with the lowest and highest.
"""

import asyncio
import random
import time
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import cycle
from multiprocessing import get_context
from pathlib import Path
from statistics import median

import httpx

from benchmarks.demos.house import House, names, serving
from benchmarks.demos.visitor import Visitor
from tests.bundles import SAMPLES
from tidegate.errors import InferenceFailed

VISITORS = 10
_THINK_SECONDS = 1.0  # mean of an exponential draw
_WARM_SECONDS = 3.0
_MODEL = names(1)[0]


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
    """Turns without visitors and with them, one after the other."""

    rate: float
    alone: list[Turn]
    beside: list[Turn]

    @property
    def added(self) -> list[float]:
        """Seconds by which the median click is slower than the API's median answer beside it, a turn."""
        return [median(turn.clicks) - median(turn.api) for turn in self.beside]

    @property
    def moved(self) -> list[float]:
        """The API's p99 with visitors over without, a turn."""
        return [beside.api_p99 / alone.api_p99 for alone, beside in zip(self.alone, self.beside, strict=True)]


def measure_latency(home: Path, rate: float, repeats: int, seconds: float) -> Latency:
    """Alternate; `rate` in requests a second, `seconds` of each turn."""
    with serving(home, [_MODEL]) as house, _elsewhere() as elsewhere:
        asyncio.run(_turn(house, rate, _WARM_SECONDS, elsewhere))
        alone, beside = [], []
        for _ in range(repeats):
            alone.append(asyncio.run(_turn(house, rate, seconds, None)))
            beside.append(asyncio.run(_turn(house, rate, seconds, elsewhere)))
    return Latency(rate, alone, beside)


@contextmanager
def _elsewhere() -> Iterator[Executor]:
    """A process for the visitors, started and with everything imported."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        pool.submit(time.perf_counter).result()
        yield pool


async def _turn(house: House, rate: float, seconds: float, visitors: Executor | None) -> Turn:
    turn = Turn()
    crowd = visitors.submit(crowded, house.url, seconds) if visitors is not None else None
    async with httpx.AsyncClient(base_url=house.url, timeout=60.0) as client:
        await _steadily(client, turn, rate, time.perf_counter() + seconds)
    if crowd is not None:
        turn.clicks = await asyncio.wrap_future(crowd)
    return turn


async def _steadily(client: httpx.AsyncClient, turn: Turn, rate: float, end: float) -> None:
    """Questions that come whether answers come or not."""
    texts, due, tasks = cycle(SAMPLES), time.perf_counter(), set[asyncio.Task[None]]()

    async def ask(text: str, due: float) -> None:
        answer = await client.post(f"/models/{_MODEL}/predict", json={"inputs": text})
        if answer.status_code != 200:
            raise InferenceFailed(f"the API answered {answer.status_code}: {answer.text[:200]}")
        turn.api.append(time.perf_counter() - due)

    while due < end:
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        tasks.add(asyncio.create_task(ask(next(texts), due)))
        due += 1 / rate
    await asyncio.gather(*tasks)


def crowded(url: str, seconds: float) -> list[float]:
    """Seconds of every click of `VISITORS` who come at once and stay for a while."""

    async def stay() -> list[list[float]]:
        async with httpx.AsyncClient(base_url=url, timeout=60.0) as client:
            end = time.perf_counter() + seconds
            return await asyncio.gather(*(_visitor(client, end, seed) for seed in range(VISITORS)))

    return [click for clicks in asyncio.run(stay()) for click in clicks]


async def _visitor(client: httpx.AsyncClient, end: float, seed: int) -> list[float]:
    """Open the page, then click and think; the first click is a session's, and counts."""
    rng, visitor, clicks = random.Random(seed), Visitor(client, _MODEL), []
    await visitor.open()
    while time.perf_counter() < end:
        await asyncio.sleep(rng.expovariate(1 / _THINK_SECONDS))
        clicks.append(await visitor.click(rng.choice(SAMPLES)))
    return clicks
