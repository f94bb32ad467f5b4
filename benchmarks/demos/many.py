"""The demos of many models on one server: time to mount and to open, memory a demo, growth over many visits.

Before: `house` and `visitor`; after: `command` prints. A visit is a page, its configuration and one click, each in a
session of its own. Memory is that of the gateway and of the process with the pages, after a collection.
"""

import asyncio
import subprocess
import sys
import time
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from statistics import median

from benchmarks.demos.house import House, names, serving
from benchmarks.demos.visitor import Visitor, browsing
from tests.bundles import SAMPLES

AT_ONCE = 4  # visitors
_IDLE_SECONDS = 40.0  # the pages' queues rest after 30
_MOUNT = """\
import time
import serving.app, demos.guard
from fastapi import FastAPI
from types import SimpleNamespace
started = time.perf_counter()
from demos.front import mount_demos
from demos.process import DemoProcess
gateway = SimpleNamespace(repository=None)
mount_demos(FastAPI(), gateway, DemoProcess(gateway))
print(time.perf_counter() - started)
"""


@dataclass(frozen=True, slots=True)
class Crowd:
    """What was measured.

    Attributes:
        mount_seconds: of a server that has everything but demos.
        first_seconds: from the server's being ready to the answer of a click on the first page of all.
        open_seconds: median time to a page that was never opened, first click included.
        demo_mib: memory that an opened demo takes.
        visited_mib: memory after `visits` more visits, and `opened_mib` before.
        idle_cpu: share of one core that the server takes once everybody has left.
    """

    models: int
    visits: int
    mount_seconds: float
    ready_seconds: float
    first_seconds: float
    open_seconds: float
    demo_mib: float
    opened_mib: float
    visited_mib: float
    idle_cpu: float

    @property
    def growth(self) -> float:
        """Of memory, over the visits; 0.05 is 5 %."""
        return self.visited_mib / self.opened_mib - 1


def measure_crowd(home: Path, models: int, visits: int) -> Crowd:
    """Serve, open every demo, then visit them in turn."""
    mounted = mounting()
    with serving(home, names(models)) as house:
        first, _ = asyncio.run(_visit(house, ["demo-00"] * 2, 1))  # what the first page of all brings is not a demo's
        before = house.memory_mib()
        seconds = asyncio.run(_visit(house, names(models)[1:], 1))
        opened = house.memory_mib()
        asyncio.run(_visit(house, list(islice(cycle(names(models)), visits)), AT_ONCE))
        visited = house.memory_mib()
        time.sleep(_IDLE_SECONDS)
        idle, started = house.cpu_seconds(), time.monotonic()
        time.sleep(10.0)
        idle = (house.cpu_seconds() - idle) / (time.monotonic() - started)
        return Crowd(
            models=models,
            visits=visits,
            mount_seconds=mounted,
            ready_seconds=house.ready_seconds,
            first_seconds=first,
            open_seconds=median(seconds),
            demo_mib=(opened - before) / (models - 1),
            opened_mib=opened,
            visited_mib=visited,
            idle_cpu=idle,
        )


def mounting() -> float:
    """Seconds to import what the gateway needs for demos, and to mount them, in a process that has the rest of it."""
    done = subprocess.run([sys.executable, "-c", _MOUNT], capture_output=True, text=True, check=True)
    return float(done.stdout)


async def _visit(house: House, models: list[str], at_once: int) -> list[float]:
    """Seconds of each visit, page and click."""
    texts, left, seconds = cycle(SAMPLES), iter(models), []
    async with browsing(house.url) as client:

        async def come() -> None:
            for model in left:
                started, visitor = time.perf_counter(), Visitor(client, model)
                await visitor.open()
                await visitor.click(next(texts))
                seconds.append(time.perf_counter() - started)

        await asyncio.gather(*(come() for _ in range(at_once)))
    return seconds
