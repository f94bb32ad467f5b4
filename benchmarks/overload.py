"""Three times more than the server can answer: what is still answered, how late, and what the refused are told.

First the peak: callers who each wait for their answer, without deadlines. Then questions come at three times that rate
whether answers come or not (an open loop, so that a slow server is not asked less), each with a deadline of twice the
peak's p99. The load generator shares the machine; four texts a request keep its own cost small.
`Retry-After` is held against what came true: when the last question that stood in line at the refusal was answered.
"""

import asyncio
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import cycle, islice
from pathlib import Path
from statistics import median

from benchmarks.conditions import conditions
from benchmarks.environments import interpreter
from benchmarks.peers.catalog import TIDEGATE
from benchmarks.processes import memory_mib
from benchmarks.results import Overload
from benchmarks.server import Server, running
from benchmarks.workspace import Workspace
from tidegate.cli import console

TEXTS = 4
CALLERS = 16
TIMES = 3
_WARM_SECONDS, _HUNG_SECONDS = 3.0, 5.0


@dataclass(slots=True)
class Asked:
    """One request.

    Attributes:
        sent, done: `time.perf_counter` seconds; done is 0 when no answer came.
        retry_after_seconds: of a refusal.
    """

    sent: float
    done: float = 0.0
    status: int = 0
    retry_after_seconds: float = 0.0

    @property
    def seconds(self) -> float:
        """How long the answer took."""
        return self.done - self.sent


class Connection(asyncio.Protocol):
    """One kept-alive connection with one question at a time; parses no more of an answer than it must."""

    def __init__(self) -> None:
        self._buffer = b""
        self._answered: asyncio.Future[tuple[int, float]] | None = None
        self.closed = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = transport

    def ask(self, request: bytes) -> "asyncio.Future[tuple[int, float]]":
        """Send a request; status and Retry-After come with the answer."""
        self._answered = asyncio.get_running_loop().create_future()
        self._transport.write(request)  # type: ignore[attr-defined]
        return self._answered

    def data_received(self, data: bytes) -> None:
        """Complete the answer once its body is here."""
        self._buffer += data
        head, found, body = self._buffer.partition(b"\r\n\r\n")
        if not found or len(body) < _number(head, b"content-length: "):
            return
        self._buffer = b""
        if self._answered is not None and not self._answered.done():
            self._answered.set_result((int(head[9:12]), _number(head, b"retry-after-ms: ") / 1e3))

    def connection_lost(self, error: Exception | None) -> None:
        """The question that waits has no answer."""
        self.closed = True
        if self._answered is not None and not self._answered.done():
            self._answered.set_exception(error or ConnectionResetError())


@dataclass(slots=True)
class Client:
    """Asks one server over as many connections as it takes."""

    port: int
    requests: Sequence[bytes]
    asked: list[Asked] = field(default_factory=list)
    idle: list[Connection] = field(default_factory=list)

    async def ask(self, request: bytes) -> Asked:
        """One question over a connection that has none."""
        while self.idle and self.idle[-1].closed:  # uvicorn closes what is idle for 5 s
            self.idle.pop()
        connection = self.idle.pop() if self.idle else await self._connect()
        mine = Asked(time.perf_counter())
        self.asked.append(mine)
        mine.status, mine.retry_after_seconds = await connection.ask(request)
        mine.done = time.perf_counter()
        self.idle.append(connection)
        return mine

    async def _connect(self) -> Connection:
        _, connection = await asyncio.get_running_loop().create_connection(Connection, "127.0.0.1", self.port)
        return connection


def measure_overload(workspace: Workspace, environments: Path, seconds: float) -> Overload:
    """The peak for a third of `seconds`, then three times as much for all of them."""
    texts = [text for text, _ in workspace.read_texts()]
    with running(TIDEGATE, interpreter(TIDEGATE, environments), workspace) as server:
        asyncio.run(_closed(server, texts, _WARM_SECONDS))
        calm = asyncio.run(_closed(server, texts, seconds / 3))
        peak, peak_p99 = _rate(calm, 200), _p99(calm)
        console.say(f"  peak {peak:.0f} texts/s, p99 {peak_p99 * 1e3:.0f} ms")
        before = memory_mib(server.pid)
        asked = asyncio.run(_open(server, texts, TIMES * peak / TEXTS, seconds, 2 * peak_p99))
        growth = memory_mib(server.pid) / before - 1
    accepted, refused = ([each for each in asked if each.status == status] for status in (200, 429))
    return Overload(
        conditions=conditions(workspace, len(texts)),
        seconds=seconds,
        peak=peak,
        peak_p99=peak_p99,
        goodput=_rate(asked, 200),
        accepted_p99=_p99(accepted),
        refusal_p50=median(each.seconds for each in refused),
        retry_error=retry_error(accepted, refused),
        memory_growth=growth,
        hung=sum(not each.done for each in asked),
        statuses={status: sum(each.status == status for each in asked) for status in {each.status for each in asked}},
    )


def retry_error(accepted: Sequence[Asked], refused: Sequence[Asked]) -> float:
    """Median relative error of Retry-After; refusals with nothing in line before them are left out."""
    errors, first = [], 0
    line = sorted(accepted, key=lambda each: each.sent)
    for each in sorted(refused, key=lambda each: each.sent):
        while first < len(line) and line[first].done <= each.done:
            first += 1
        waiting = [other.done for other in line[first : first + 1_000] if other.sent < each.sent]
        truth = max(waiting, default=each.done) - each.done
        if truth > 0:
            errors.append(abs(each.retry_after_seconds - truth) / truth)
    return median(errors)


async def _closed(server: Server, texts: Sequence[str], seconds: float) -> list[Asked]:
    """Callers who wait for their answers, as many as keep the server busy."""
    client, end = Client(server.port, _requests(texts, None)), time.perf_counter() + seconds

    async def call(start: int) -> None:
        for request in islice(cycle(client.requests), start, None):
            if time.perf_counter() > end:
                return
            await client.ask(request)

    await asyncio.gather(*(call(number * 7) for number in range(CALLERS)))
    return client.asked


async def _open(server: Server, texts: Sequence[str], rate: float, seconds: float, deadline: float) -> list[Asked]:
    """Questions at a rate that does not depend on the answers."""
    client = Client(server.port, _requests(texts, deadline))
    tasks: set[asyncio.Task[Asked]] = set()
    start = time.perf_counter()
    for number, request in enumerate(cycle(client.requests)):
        due = start + number / rate
        if due > start + seconds:
            break
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        task = asyncio.create_task(client.ask(request))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    if tasks:
        await asyncio.wait(tasks, timeout=_HUNG_SECONDS)
    return client.asked


def _requests(texts: Sequence[str], deadline: float | None) -> list[bytes]:
    """HTTP requests of `TEXTS` texts each."""
    header = f"x-deadline-ms: {max(1, round(deadline * 1e3))}\r\n" if deadline else ""
    made = []
    for start in range(0, len(texts) - TEXTS, TEXTS):
        body = json.dumps({"inputs": list(texts[start : start + TEXTS])}).encode()
        head = f"POST {TIDEGATE.path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n{header}"
        made.append(head.encode() + b"content-length: %d\r\n\r\n" % len(body) + body)
    return made


def _rate(asked: Sequence[Asked], status: int) -> float:
    """Texts a second that were answered so, between the first question and the last."""
    span = max(each.sent for each in asked) - min(each.sent for each in asked)
    return sum(each.status == status for each in asked) * TEXTS / span


def _p99(asked: Sequence[Asked]) -> float:
    durations = sorted(each.seconds for each in asked if each.done)
    return durations[int(0.99 * (len(durations) - 1))]


def _number(head: bytes, name: bytes) -> int:
    """The value of a header that is a whole number; 0 when it is not there."""
    _, found, rest = head.partition(b"\r\n" + name)
    return int(rest.partition(b"\r\n")[0]) if found else 0
