"""The process that has the demo pages, from the gateway's side: kept alive, and asked by `demos.front`.

Gradio takes 2 s and 100 MB to import, and each click on its pages work of which no caller of the API should feel
anything. So it runs in a process of its own (`demos.child`), nice, with an environment and settings without secrets.
It starts some seconds after the gateway is ready, or with the first visitor, and again, later and later, in the place
of one that ended: visitors wait for it, for `PATIENCE_SECONDS` at most. It ends with the gateway, however that ends.
Before: `demos.front`; after: `demos.link`. Limits: what waits in a page's queue is lost with the process; pages that
are open go on.
"""

import asyncio
import logging
import os
import re
import signal
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress

from starlette.types import Receive, Scope, Send

from demos.front import wanted
from demos.gateway import Gateway
from demos.link import Ended, Link
from demos.paths import STREAM
from tidegate import telemetry_off
from tidegate.environments import CHECKOUT
from tidegate.errors import NotReady

PATIENCE_SECONDS = 20.0  # for which a visitor waits: Gradio alone takes some 5 s to import on a busy machine
START_SECONDS = 120.0
STOP_SECONDS = 2.0
FIRST_WAIT_SECONDS = 0.5
LONGEST_WAIT_SECONDS = 30.0
STEADY_SECONDS = 10.0  # one that lived this long did not fail at its start
_BOOT = "import sys; sys.path.insert(0, sys.argv[1]); from demos.child import main; main()"
# Where programs and folders are, and how to write dates. Nothing else of the server's environment passes.
_VARIABLES = re.compile(r"PATH|HOME|USER|TMPDIR|LANG|LC_.*|TZ|LD_LIBRARY_PATH")
# Models need the cores.
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}

_log = logging.getLogger(__name__)


class DemoProcess:
    """The pages of one gateway; `command` starts the process that has them. Fits `demos.front.Pages`.

    Args:
        gateway: whose models they show.
        tell: is told the process id once there is a process, and None when it has ended.
    """

    command: tuple[str, ...] = (sys.executable, "-I", "-c", _BOOT, str(CHECKOUT))

    def __init__(self, gateway: Gateway, tell: Callable[[int | None], None] = lambda _: None) -> None:
        self._gateway = gateway
        self._tell = tell
        self._link: Link | None = None
        self._wanted = asyncio.Event()
        self._ready = asyncio.Event()

    def start(self) -> None:
        """Have the process start, if it has not; called on the event loop."""
        self._wanted.set()

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Keep a process alive once it is wanted; it ends with this block."""
        keeping = asyncio.create_task(self._keep(), name="tidegate-demos")
        try:
            yield
        finally:
            keeping.cancel()
            await asyncio.wait((keeping,))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Have the process answer; one that takes its place, if it ended before it began to.

        Raises:
            NotReady: it has not started in time, or ended again, or with the answers that a stream was to bring.
            TidegateError: what `Link.relay` raises.
        """
        body = (await receive())["body"] if scope["method"] == "POST" else b""
        link = await self._started()
        try:
            await link.relay(scope, body, receive, send)
        except Ended:
            if wanted(scope).rest == STREAM:
                raise
            await (await self._started()).relay(scope, body, receive, send)

    async def _started(self) -> Link:
        """The process, as soon as there is one that answers.

        Raises:
            NotReady: there is none in time.
        """
        if self._link is None:
            self.start()
            with suppress(TimeoutError):
                async with asyncio.timeout(PATIENCE_SECONDS):
                    await self._ready.wait()
        if self._link is None:
            raise NotReady("the demos are starting; open this page again in a moment")
        return self._link

    async def _keep(self) -> None:
        """Run a process, and another in its place whenever it ends."""
        failures = 0
        await self._wanted.wait()
        while True:
            started = time.monotonic()
            end = await self._run_one()
            failures = 1 if time.monotonic() - started >= STEADY_SECONDS else failures + 1
            wait = min(FIRST_WAIT_SECONDS * 2 ** min(failures - 1, 10), LONGEST_WAIT_SECONDS)
            _log.error("the demos' process ended (%s); another takes its place in %s s", end, wait)
            await asyncio.sleep(wait)

    async def _run_one(self) -> str:
        """Run a process to its end; says how it ended."""
        try:
            process = await self._begin()
        except OSError as error:  # no memory, too many processes or files: for now, perhaps
            return f"it could not be started: {error}"
        self._tell(process.pid)
        link = Link(process, self._gateway)
        try:
            fault = await self._attend(link)
            return fault or _reason(await process.wait())
        except asyncio.CancelledError:  # the gateway leaves
            link.end()
            with suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), STOP_SECONDS)
            raise
        finally:
            self._ready.clear()
            self._link = None
            self._tell(None)
            link.close()  # after which its visitors wait for the next one
            await _kill(process)

    async def _begin(self) -> Process:
        """Start a process; when the gateway leaves meanwhile, it is ended as soon as it is there."""
        known = environment(os.environ)
        starting = asyncio.ensure_future(
            asyncio.create_subprocess_exec(*self.command, stdin=PIPE, stdout=PIPE, env=known, start_new_session=True)
        )
        try:
            return await asyncio.shield(starting)
        except asyncio.CancelledError:
            await _kill(await starting)
            raise

    async def _attend(self, link: Link) -> str:
        try:
            async with asyncio.timeout(START_SECONDS) as limit:

                def is_ready() -> None:
                    limit.reschedule(None)
                    self._link = link
                    self._ready.set()

                return await link.attend(is_ready)
        except TimeoutError:
            return f"it did not start within {START_SECONDS:g} s"


def environment(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment of the process: an allow-list, and no telemetry."""
    kept = {name: value for name, value in environ.items() if _VARIABLES.fullmatch(name)}
    return kept | telemetry_off.OFF | _ONE_THREAD


async def _kill(process: Process) -> None:
    """End a process, also when the gateway leaves meanwhile."""
    ending = asyncio.ensure_future(_end(process))
    try:
        await asyncio.shield(ending)
    except asyncio.CancelledError:
        await ending
        raise


async def _end(process: Process) -> None:
    with suppress(ProcessLookupError):
        process.kill()
    if process.stdin is not None:
        process.stdin.close()
    await process.communicate()  # reads what is left, without which the pipe would stay open


def _reason(code: int) -> str:
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
