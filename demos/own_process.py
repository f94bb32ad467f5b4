"""The gateway's side of a page that a run brought: keeps its process alive, and answers what it asks.

Before: `demos.own_page` starts it when the page is first opened; after: `demos.own_child` in the process. Questions and
answers are lines of JSON over the pipes of the process: the right to ask is to hold an end of them, so there is no
token that could leak. A process that dies, hangs at its start or says what it should not is killed whole (its session)
and started again after a growing pause. Limits: one that hangs later answers 503 and is not noticed otherwise.
"""

import asyncio
import contextlib
import json
import logging
import os
import re
import signal
import sys
import tempfile
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx

from demos.own_child import SOCKET
from tidegate import telemetry_off
from tidegate.environments import CHECKOUT
from tidegate.errors import NotReady

START_SECONDS = 60.0
PATIENCE_SECONDS = 20.0  # how long a visitor waits for a process that starts: Gradio alone takes some 5 s
FIRST_WAIT_SECONDS = 1.0
LONGEST_WAIT_SECONDS = 300.0
STEADY_SECONDS = 30.0  # one that lived this long did not fail at its start
MOST_QUESTIONS = 128  # taken at once; more wait in the pipe
_LAST_WORDS = 4_096  # bytes
_BOOT = "import sys; sys.path.insert(0, sys.argv[1]); from demos.own_child import main; main()"
# What a stranger's code may know of the server: where programs are, and how to write dates. Nothing else passes.
_VARIABLES = re.compile(r"PATH|LANG|LC_.*|TZ|LD_LIBRARY_PATH")

Answer = Callable[[Mapping[str, Any]], Awaitable[Mapping[str, Any]]]

_log = logging.getLogger(__name__)


class OwnProcess:
    """One page's process.

    Args:
        name: of the model and its version, for the log.
        source: the `demo.py`.
        orders: what the page is told at its start (`demos.own_client.Client`).
        answer: answers a question; it raises nothing.
        start_seconds: one that has not started by then is killed.
    """

    def __init__(
        self,
        name: str,
        source: bytes,
        orders: Mapping[str, Any],
        answer: Answer,
        start_seconds: float = START_SECONDS,
    ) -> None:
        self.transport: httpx.AsyncHTTPTransport | None = None
        self._name = name
        self._source = source
        self._orders = orders
        self._answer = answer
        self._start_seconds = start_seconds
        self._ready = asyncio.Event()
        self._failed = asyncio.Event()
        self._fault = ""
        self._back_at = 0.0

    async def ready(self) -> httpx.AsyncHTTPTransport:
        """The way to the page, as soon as it answers.

        Raises:
            NotReady: it is down, or does not start in time; says what to do.
        """
        events = [asyncio.create_task(event.wait()) for event in (self._ready, self._failed)]
        try:
            await asyncio.wait(events, timeout=PATIENCE_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for event in events:
                event.cancel()
        if self._ready.is_set() and self.transport is not None:
            return self.transport
        raise NotReady(self._down())

    def _down(self) -> str:
        what = f"the page that the run of {self._name} brought"
        if not self._failed.is_set():
            return f"{what} is starting; open it again in a moment"
        wait = max(1, round(self._back_at - time.monotonic()))
        return (
            f"{what} is down: {self._fault}; it is started again in {wait} s. The API answers as before. Whoever runs "
            "this server finds the cause in its log, and has the built-in page back without --trust-demo"
        )

    async def run(self) -> None:
        """Keep a process alive until this is cancelled."""
        failures = 0
        with _folder() as (folder, door):
            (folder / "demo.py").write_bytes(self._source)
            async with httpx.AsyncHTTPTransport(uds=door, limits=httpx.Limits(max_connections=None)) as self.transport:
                while True:
                    started = time.monotonic()
                    self._fault = await self._attend(folder)
                    failures = 1 if time.monotonic() - started >= STEADY_SECONDS else failures + 1
                    wait = min(FIRST_WAIT_SECONDS * 2 ** min(failures - 1, 10), LONGEST_WAIT_SECONDS)
                    self._back_at = time.monotonic() + wait
                    self._failed.set()
                    _log.error("the page of %s is down: %s; it starts again in %g s", self._name, self._fault, wait)
                    await asyncio.sleep(wait)
                    self._failed.clear()

    async def _attend(self, folder: Path) -> str:
        """Run one process to its end, and say why it ended."""
        (folder / SOCKET).unlink(missing_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, ignore_cleanup_errors=True) as empty:
            try:
                process = await self._start(empty)
            except OSError as error:
                return f"no process could be started ({error.strerror})"
            words = _Tail()
            drain = asyncio.create_task(words.read(process))
            try:
                async with asyncio.timeout(self._start_seconds) as limit:
                    fault = await self._converse(process, limit)
                if not fault:
                    code = await process.wait()
                    await asyncio.wait([drain], timeout=1)
                    # Once visitors were there, what it printed may be theirs: it stays out of the log.
                    fault = _reason(code) + ("" if self._ready.is_set() else words.last_line())
                return fault
            except TimeoutError:
                return f"it did not start within {self._start_seconds:g} s"
            finally:
                self._ready.clear()
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                drain.cancel()
                await process.wait()

    async def _start(self, folder: str) -> Process:
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-B", "-c", _BOOT, str(CHECKOUT)),
            stdin=PIPE,
            stdout=PIPE,
            stderr=PIPE,
            cwd=folder,
            env=environment(os.environ, folder),
            limit=self._orders["most_bytes"],  # of a line
            start_new_session=True,
        )

    async def _converse(self, process: Process, limit: asyncio.Timeout) -> str:
        """Answer questions until there are no more; says what was wrong with one, if anything was."""
        if process.stdin is None or process.stdout is None:
            return "it has no pipes"
        _write(process, self._orders)
        room = asyncio.Semaphore(MOST_QUESTIONS)
        async with _Tasks() as tasks:
            while True:
                try:
                    line = await process.stdout.readline()
                    question = json.loads(line) if line else None
                except ValueError:  # longer than the limit, or no JSON
                    return "it asked what no page asks"
                if question is None:
                    return ""
                if not isinstance(question, dict):
                    return "it asked what no page asks"
                if question.get("ask") == "ready":
                    limit.reschedule(None)
                    self._ready.set()
                    continue
                await room.acquire()
                tasks.start(self._reply(process, question, room))

    async def _reply(self, process: Process, question: Mapping[str, Any], room: asyncio.Semaphore) -> None:
        try:
            _write(process, {"number": question.get("number"), **await self._answer(question)})
            if process.stdin is not None:
                with contextlib.suppress(ConnectionError):
                    await process.stdin.drain()
        finally:
            room.release()


def environment(environ: Mapping[str, str], folder: str) -> dict[str, str]:
    """The environment of a page: an allow-list, with every folder in its own and no telemetry."""
    kept = {name: value for name, value in environ.items() if _VARIABLES.fullmatch(name)}
    return kept | telemetry_off.OFF | {"HOME": folder, "TMPDIR": folder, "GRADIO_TEMP_DIR": folder}


class _Tail:
    """The last bytes that a process printed: reading goes on, so that it never waits for a reader."""

    def __init__(self) -> None:
        self._bytes = b""

    async def read(self, process: Process) -> None:
        while process.stderr is not None and (chunk := await process.stderr.read(65_536)):
            self._bytes = (self._bytes + chunk)[-_LAST_WORDS:]

    def last_line(self) -> str:
        lines = self._bytes.decode("utf-8", "replace").strip().splitlines()
        return f": {lines[-1].strip()[:300]}" if lines else ""


class _Tasks:
    """Tasks that are cancelled when the block ends."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> "_Tasks":
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    def start(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)


@contextlib.contextmanager
def _folder() -> Iterator[tuple[Path, str]]:
    """A folder that this user alone enters, and a name of the socket in it that fits into 107 bytes, wherever it is."""
    with tempfile.TemporaryDirectory(prefix="tidegate-page-", ignore_cleanup_errors=True) as name:
        descriptor = os.open(name, os.O_RDONLY | os.O_DIRECTORY)
        try:
            yield Path(name), f"/proc/self/fd/{descriptor}/{SOCKET}"
        finally:
            os.close(descriptor)


def _write(process: Process, document: Mapping[str, Any]) -> None:
    if process.stdin is not None and not process.stdin.is_closing():
        process.stdin.write(json.dumps(document).encode() + b"\n")


def _reason(code: int) -> str:
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"it ended with exit code {code}"
