"""Several processes behind one port: `--workers N`. A supervisor starts them, watches them, and answers nothing itself.

Each worker is a whole gateway with its share of the cores and a listener of its own on the port (SO_REUSEPORT).
The kernel then spreads connections evenly by their hash; on one inherited listener every worker would wake for
each connection, and uvloop's would take a whole burst because it accepts until nothing is left.
A worker gets its orders, keys included, as one line on stdin, and says on stdout that its models are loaded. Its
stdin closes with the supervisor, however that ends. One that dies is started again and listens once it is loaded.
Before: `gateway.run`; after: `gateway.serve` in each. Worker 0 has the demos (`gateway.DemoRelay`).
Limits: Linux (elsewhere SO_REUSEPORT spreads nothing); a worker that hangs without ending is not noticed.
"""

import asyncio
import contextlib
import fcntl
import json
import logging
import os
import shutil
import signal
import socket
import sys
import tempfile
import threading
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from prometheus_client import PLATFORM_COLLECTOR
from pydantic import BaseModel, SecretStr

from serving.metrics import forget_gauges, share_figures
from serving.process_metrics import ProcessesCollector, ProcessTable
from tidegate import devices, logs, store
from tidegate.cli import console, gateway
from tidegate.cli.listening import listen
from tidegate.errors import TidegateError
from tidegate.placement import Placement
from tidegate.settings import Settings

log = logging.getLogger("tidegate.workers")

FIRST_WAIT_SECONDS = 0.5
LONGEST_WAIT_SECONDS = 30.0
STEADY_SECONDS = 10.0  # a worker that lived this long after its start did not fail at it
GIVE_UP_AFTER = 3  # starts of one worker that failed in a row, before the server was ever ready
STOP_SECONDS = 10.0  # beyond the drain: closing models and writing the last windows
DEMO_SOCKET = "demos.sock"


class Orders(BaseModel):
    """What a worker needs to know.

    Attributes:
        index: its number, from 0; the one that takes a dead worker's place has the same.
        folder: shared by the workers of one server: metrics, and the socket of the demos.
        listen_at_once: see `gateway.serve`.
        placements: where each model runs, decided once for all workers; None where each decides for itself.
    """

    index: int
    folder: Path
    listen_at_once: bool
    settings: Settings
    placements: dict[str, Placement] | None = None

    def line(self) -> bytes:
        """The orders with secrets in the clear, as one line of JSON."""
        values = self.settings.model_dump()
        plain = {
            name: value.get_secret_value() if isinstance(value, SecretStr) else value for name, value in values.items()
        }
        return json.dumps(self.model_dump(exclude={"settings"}) | {"settings": plain}, default=str).encode() + b"\n"


def supervise(
    settings: Settings,
    listener: socket.socket,
    on_loaded: Callable[[list[str]], bool],
    placements: Mapping[str, Placement] | None = None,
) -> None:
    """Serve from `settings.workers` processes until a signal comes.

    Args:
        settings: what to serve.
        listener: bound and shared; it holds the port while no worker does, and never listens.
        on_loaded: called once, when every worker has loaded its models, with a line for each model that failed; says
            whether to stop.
        placements: where each model runs; None lets each worker find out.

    Raises:
        TidegateError: a worker failed at its start, again and again.
    """
    store.open_database(settings.state_url).dispose()  # workers that made the tables all at once would collide
    if settings.workers > devices.cores():
        log.warning("%s workers share %s cores: more of them only take more memory", settings.workers, devices.cores())
    with _shared_folder(settings.home) as folder:
        port = listener.getsockname()[1]
        asyncio.run(Supervisor(settings.model_copy(update={"port": port}), folder, on_loaded, placements).run())


class Supervisor:
    """Keeps a worker alive in each place; `command` starts one."""

    command: tuple[str, ...] = (sys.executable, "-m", "tidegate.cli.workers")

    def __init__(
        self,
        settings: Settings,
        folder: Path,
        on_loaded: Callable[[list[str]], bool],
        placements: Mapping[str, Placement] | None = None,
    ) -> None:
        self._placements = None if placements is None else dict(placements)
        self._settings = settings
        self._folder = folder
        self._on_loaded = on_loaded
        self._running: set[Process] = set()
        self._failed: dict[int, list[str]] = {}  # worker -> models that failed when it first loaded
        self._stopping = asyncio.Event()
        self._error: TidegateError | None = None

    async def run(self) -> None:
        """Start every worker and come back when all have ended.

        Raises:
            TidegateError: a worker failed at its start, again and again.
        """
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, self.stop)
        await asyncio.gather(*(self._keep(index) for index in range(self._settings.workers)))
        if self._error:
            raise self._error

    def stop(self) -> None:
        """Let every worker drain and end; a second time, or past the time for it, without draining."""
        if self._stopping.is_set():
            log.warning("%s workers have not ended and are killed", len(self._running))
        for process in self._running:
            _signal(process, signal.SIGKILL if self._stopping.is_set() else signal.SIGTERM)
        if not self._stopping.is_set():
            self._stopping.set()
            asyncio.get_running_loop().call_later(self._settings.drain_seconds + STOP_SECONDS, self.stop)

    def orders(self, index: int, *, first: bool) -> Orders:
        """What a worker is to do; `first` where no other had its place before."""
        # Equal shares: what one worker tunes for its number of threads then holds for all.
        share = max(1, (self._settings.threads or devices.cores()) // self._settings.workers)
        settings = self._settings.model_copy(update={"threads": share})
        # While nothing is loaded yet, one worker answers health checks; the others come when they can predict.
        return Orders(
            index=index,
            folder=self._folder,
            listen_at_once=first and index == 0,
            settings=settings,
            placements=self._placements,
        )

    async def _keep(self, index: int) -> None:
        """Start a worker, and another in its place whenever it ends."""
        failures = 0
        first = True
        while not self._stopping.is_set():
            started = time.monotonic()
            code = await self._attend(self.orders(index, first=first))
            forget_gauges(self._folder, index)
            first = False
            if self._stopping.is_set():
                return
            failures = 0 if time.monotonic() - started >= STEADY_SECONDS else failures + 1
            if index not in self._failed and failures >= GIVE_UP_AFTER:
                self._give_up(index, code)
                return
            wait = min(FIRST_WAIT_SECONDS * 2 ** max(0, failures - 1), LONGEST_WAIT_SECONDS)
            log.error("worker %s ended (%s); another takes its place in %s s", index, _reason(code), wait)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), wait)

    async def _attend(self, orders: Orders) -> int:
        """Run one worker to its end; its exit code."""
        # A group of its own: Ctrl-C at a terminal reaches the supervisor alone, which passes it on.
        process = await asyncio.create_subprocess_exec(*self.command, stdin=PIPE, stdout=PIPE, process_group=0)
        self._running.add(process)
        try:
            if process.stdin is None or process.stdout is None:
                raise TidegateError("a worker started without pipes; start the server again")
            process.stdin.write(orders.line())
            if self._stopping.is_set():
                _signal(process, signal.SIGTERM)
            async for line in process.stdout:  # ends with the worker
                self._note(orders.index, json.loads(line)["failed"])
            return await process.wait()
        finally:
            self._running.discard(process)

    def _note(self, index: int, failed: list[str]) -> None:
        """A worker is loaded; when it is the last of all, the server is."""
        before = len(self._failed)
        self._failed.setdefault(index, failed)
        if before < len(self._failed) == self._settings.workers:
            lines = sorted({line for lines in self._failed.values() for line in lines})
            if self._on_loaded(lines) and not self._stopping.is_set():
                self.stop()

    def _give_up(self, index: int, code: int) -> None:
        if self._error is None and not self._stopping.is_set():
            self._error = TidegateError(
                f"worker {index} ended {GIVE_UP_AFTER} times at its start (last: {_reason(code)}), so the "
                "server stops; the cause is above"
            )
            self.stop()


def work(orders: Orders, report: Callable[[list[str]], None]) -> None:
    """Be a worker until a signal comes."""
    settings, folder = orders.settings, orders.folder
    logs.to_stderr(settings.log_format, f"worker-{orders.index}")
    registry = share_figures(folder, orders.index)
    processes = ProcessTable(str(orders.index), folder)
    registry.register(PLATFORM_COLLECTOR)
    registry.register(ProcessesCollector(processes.pids))
    sockets = [listen(settings, shared=True)]
    if orders.index == 0:
        sockets.append(_demo_listener(folder))

    def loaded(failed: list[str]) -> bool:
        report(failed)
        return False

    gateway.serve(
        settings,
        sockets,
        registry,
        loaded,
        processes,
        demos_at=_demo_door(folder) if orders.index else "",
        listen_at_once=orders.listen_at_once,
        placements=orders.placements,
        worker=str(orders.index),
    )


def _demo_listener(folder: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    (folder / DEMO_SOCKET).unlink(missing_ok=True)  # of the worker whose place this one takes
    listener.bind(_demo_door(folder))
    return listener


def _demo_door(folder: Path) -> str:
    """A name of the demos' socket that fits into the 107 bytes a socket's name may have, wherever the home is."""
    held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)  # open as long as this process: the name leads through it
    return f"/proc/self/fd/{held}/{DEMO_SOCKET}"


def _end_with_supervisor(patience_seconds: float) -> None:
    while os.read(0, 4096):  # after the orders nothing is sent; an empty read says that the supervisor is gone
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(patience_seconds)
    os._exit(1)


@contextlib.contextmanager
def _shared_folder(home_folder: Path) -> Iterator[Path]:
    """A folder for one server's workers; those that killed servers of this home left behind are removed."""
    for left in home_folder.glob("workers-*"):
        with contextlib.suppress(OSError), (left / "lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # fails where that server still runs
            shutil.rmtree(left)
    with (
        tempfile.TemporaryDirectory(prefix="workers-", dir=home_folder) as name,
        (Path(name) / "lock").open("a") as lock,
    ):
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield Path(name)


def _signal(process: Process, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(number)


def _reason(code: int) -> str:
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


def main() -> int:
    """What the supervisor starts: read the orders, work, and end with the exit code that fits."""
    report = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is no report
    orders = Orders.model_validate_json(sys.stdin.buffer.readline())
    patience = orders.settings.drain_seconds + STOP_SECONDS
    threading.Thread(target=_end_with_supervisor, args=(patience,), name="attend-supervisor", daemon=True).start()

    def send(failed: list[str]) -> None:
        with contextlib.suppress(BrokenPipeError):  # the supervisor is gone; the thread above ends this process
            print(json.dumps({"failed": failed}), file=report, flush=True)

    try:
        work(orders, send)
    except TidegateError as error:
        console.fail(str(error))
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
