"""What monitoring costs the callers: the same server with it and without it, in turn.

Both are up, one parked while the other is measured. Saturation is 64 callers who wait for their answers; p99 is taken
from an open loop at half of what saturates the unmonitored server, one text a request, its callers in this process for
both sides alike. Before: `prepare`; after: `bars` and `report`.
"""

import asyncio
import json
import time
from collections.abc import Sequence
from dataclasses import replace
from itertools import cycle
from pathlib import Path

from benchmarks.conditions import conditions
from benchmarks.environments import interpreter
from benchmarks.load import drive
from benchmarks.overload import Asked, Client
from benchmarks.pairs import Effort, alternate
from benchmarks.peers.catalog import TIDEGATE
from benchmarks.results import Added, Load, Scenario, middle
from benchmarks.server import Server, running
from benchmarks.workspace import Workspace
from tidegate.cli import console
from tidegate.errors import InferenceFailed

CALLERS = 64
_LATE_SECONDS = 5.0
_WATCHED = replace(TIDEGATE, name="monitored", environment=(("TIDEGATE_MONITORING", "true"),))
_UNWATCHED = replace(TIDEGATE, name="unmonitored", environment=(("TIDEGATE_MONITORING", "false"),))


def measure_monitoring(workspace: Workspace, environments: Path, effort: Effort) -> Added:
    """Texts a second at saturation and p99 at half of it, monitored and not.

    Raises:
        InferenceFailed: a request failed or got no answer.
    """
    texts = [text for text, _ in workspace.read_texts()]
    python = interpreter(TIDEGATE, environments)

    def saturate(server: Server) -> Load:
        load = drive(server, Scenario(callers=CALLERS, texts=1), texts, effort.seconds, workspace.scratch)
        console.say(f"  {server.peer.name:<12} {load.texts_per_second:7.0f} texts/s  {load.fault}")
        return load

    with running(_WATCHED, python, workspace) as on:
        on.park()
        with running(_UNWATCHED, python, workspace) as off:
            off.park()
            watched, unwatched = alternate(on, off, effort.repeats, saturate)
            rate = middle(tuple(load.texts_per_second for load in unwatched)) / 2
            requests = _requests(texts)

            def tail(server: Server) -> float:
                seconds = asyncio.run(_open_loop(server, requests, rate, effort.seconds))
                console.say(f"  {server.peer.name:<12} p99 {seconds * 1e3:7.2f} ms at {rate:.0f} requests/s")
                return seconds

            on_p99, off_p99 = alternate(on, off, effort.repeats, tail)
    return Added(
        conditions=conditions(workspace, len(texts)),
        callers=CALLERS,
        on=tuple(load.texts_per_second for load in watched),
        off=tuple(load.texts_per_second for load in unwatched),
        rate=rate,
        on_p99=tuple(on_p99),
        off_p99=tuple(off_p99),
    )


async def _open_loop(server: Server, requests: Sequence[bytes], rate: float, seconds: float) -> float:
    """p99 in seconds of questions that come whether answers come or not; counted from when each was due."""
    client, tasks = Client(server.port, requests), set[asyncio.Task[tuple[float, Asked]]]()
    start = time.perf_counter()

    async def ask(due: float, request: bytes) -> tuple[float, Asked]:
        return due, await client.ask(request)

    for number, request in enumerate(cycle(requests)):
        due = start + number / rate
        if due > start + seconds:
            break
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        tasks.add(asyncio.create_task(ask(due, request)))
    done, late = await asyncio.wait(tasks, timeout=_LATE_SECONDS)
    answers = [task.result() for task in done]
    refused = sum(asked.status != 200 for _, asked in answers)
    if late or refused:
        raise InferenceFailed(
            f"{refused} of {len(tasks)} requests were refused and {len(late)} got no answer; is the machine quiet?"
        )
    waits = sorted(asked.done - due for due, asked in answers)
    return waits[int(0.99 * (len(waits) - 1))]


def _requests(texts: Sequence[str]) -> list[bytes]:
    """HTTP requests of one text each."""
    bodies = [json.dumps({"inputs": text}).encode() for text in texts]
    head = f"POST {TIDEGATE.path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
    return [head.encode() + b"content-length: %d\r\n\r\n" % len(body) + body for body in bodies]
