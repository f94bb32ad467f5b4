"""Changes under load: aliases that move and servers that are restarted while callers never stop asking.

Every answer is checked: that it came, and that it is of a version that was live between question and answer. Restarts
are those of a supervisor which holds the listening socket and hands it over (LISTEN_FDS), as systemd does: callers wait
in the socket's backlog until the next server accepts. What a server refuses as it leaves (503, `Connection: close`,
`Retry-After`) the client asks again, and counts.
Before: a home folder with two versions of a model; after: `Changes`, which `report` and the tests look at.
"""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.server import free_port
from tests import bundles
from tidegate.bundle_store import BundleStore
from tidegate.cli import console
from tidegate.errors import InferenceFailed, NotReady

MODEL = "sentiment"
PREDICT = f"/models/{MODEL}/predict"
CALLERS = 8
_PAUSE_SECONDS = 0.002
_READY_SECONDS = 60.0
# Becomes the server, with the socket as descriptor 3. Source: systemd, sd_listen_fds(3).
_HAND_OVER = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid()))
os.execv(sys.argv[2], sys.argv[2:])
"""


@dataclass(slots=True)
class Changes:
    """What callers saw.

    Attributes:
        answered: answers with status 200.
        refused: refusals by a server that leaves, asked again by the client.
        failures: everything else, by what it was.
        stale: answers of a version that was not live.
        slowest_seconds: longest wait for an answer, asking again included.
    """

    answered: int = 0
    refused: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    stale: int = 0
    slowest_seconds: float = 0.0

    def add(self, other: "Changes") -> None:
        """Add what another caller saw."""
        self.answered += other.answered
        self.refused += other.refused
        self.failures += other.failures
        self.stale += other.stale
        self.slowest_seconds = max(self.slowest_seconds, other.slowest_seconds)


@dataclass(slots=True)
class Live:
    """Which versions may answer now; changed by whoever moves the alias, read by callers."""

    versions: frozenset[int]


@contextmanager
def asked_meanwhile(port: int, path: str, live: Live) -> Iterator[Changes]:
    """Callers who ask until the block ends; what they saw is complete when it has ended."""
    seen, stop = Changes(), threading.Event()
    each = [Changes() for _ in range(CALLERS)]
    threads = [threading.Thread(target=_ask, args=(port, path, live, mine, stop)) for mine in each]
    for thread in threads:
        thread.start()
    try:
        yield seen
    finally:
        stop.set()
        for thread in threads:
            thread.join()
        for mine in each:
            seen.add(mine)


def switch(port: int, model: str, live: Live, times: int) -> None:
    """Move the champion back and forth between versions 1 and 2.

    Raises:
        InferenceFailed: the server refused to.
    """
    for number in range(times):
        wanted = 2 - number % 2
        live.versions = frozenset({1, 2})
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        body = json.dumps({"version": wanted})
        headers = {"content-type": "application/json"}
        connection.request("PUT", f"/models/{model}/aliases/champion", body, headers)
        answer = connection.getresponse()
        if answer.status != 200:
            raise InferenceFailed(f"switch {number} to version {wanted}: {answer.status} {answer.read()[:300]!r}")
        connection.close()
        live.versions = frozenset({wanted})


class Supervisor:
    """Holds the socket and runs one server behind it; `restart` is SIGTERM, wait, start."""

    def __init__(self, home: Path, **variables: str) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port = int(self._listener.getsockname()[1])
        self._home = home
        self._variables = variables
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Start a server and wait until it says that it is ready.

        Raises:
            NotReady: it ended first.
        """
        handed = self._listener.fileno()
        serve = [sys.executable, "-m", "tidegate", "serve", "--home", str(self._home), "--port", str(free_port())]
        self._process = subprocess.Popen(
            [sys.executable, "-c", _HAND_OVER, str(handed), *serve],
            pass_fds=(handed,),
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | self._variables,
        )
        if self._process.stdout is None or not self._process.stdout.readline().startswith("ready"):
            raise NotReady("the server ended before it was ready; its log is above")

    def restart(self) -> int:
        """End the server in its own time and start the next one; the exit code of the old."""
        code = self.stop()
        self.start()
        return code

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        if self._process is None:
            return 0
        self._process.send_signal(signal.SIGTERM)
        code = self._process.wait(_READY_SECONDS)
        if self._process.stdout is not None:
            self._process.stdout.close()
        return code

    def close(self) -> None:
        """Stop the server and let go of the socket."""
        self.stop()
        self._listener.close()


def show(home: Path, switches: int, times: int) -> None:
    """Publish two versions of a toy model, change things under load, and print what callers saw."""
    store = BundleStore(home / "bundles")
    for _ in range(2):
        bundles.sentiment(store)
    supervisor = Supervisor(home, TIDEGATE_TUNE="false")
    supervisor.start()
    rows = []
    try:
        live = Live(frozenset({1}))
        with asked_meanwhile(supervisor.port, PREDICT, live) as seen:
            switch(supervisor.port, MODEL, live, switches)
        rows.append(_row(f"{switches} switches", seen))
        with asked_meanwhile(supervisor.port, PREDICT, live) as seen:
            codes = restarts(supervisor, times)
        rows.append(_row(f"{times} restarts", seen))
    finally:
        supervisor.close()
    columns = ["under load", "answered", "refused, asked again", "failed", "of a version not live", "slowest"]
    console.table("What callers saw", columns, rows)
    console.say(f"exit codes of the servers: {sorted(set(codes))}")


def _row(what: str, seen: Changes) -> list[str]:
    failed = "; ".join(f"{count} x {fault}" for fault, count in seen.failures.items()) or "0"
    counts = (seen.answered, seen.refused, failed, seen.stale)
    return [what, *map(str, counts), f"{seen.slowest_seconds * 1e3:.0f} ms"]


def _ask(port: int, path: str, live: Live, seen: Changes, stop: threading.Event) -> None:
    body = json.dumps({"inputs": "profit rises on strong sales"})
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    while not stop.is_set():
        possible, began = live.versions, time.monotonic()
        try:
            version = _answer(connection, path, body, seen)
        except (OSError, http.client.HTTPException) as error:
            seen.failures[f"{type(error).__name__}: {error}"] += 1
            connection.close()
            continue
        if version is not None:
            seen.answered += 1
            seen.stale += version not in possible | live.versions
            seen.slowest_seconds = max(seen.slowest_seconds, time.monotonic() - began)
        time.sleep(_PAUSE_SECONDS)
    connection.close()


def _answer(connection: http.client.HTTPConnection, path: str, body: str, seen: Changes) -> int | None:
    """The version that answered, at last; None after a failure, which is counted."""
    while True:
        connection.request("POST", path, body, {"content-type": "application/json"})
        answer = connection.getresponse()
        text = answer.read()
        if answer.status == 200:
            return int(answer.headers["x-model-version"])
        leaving = answer.headers["connection"] == "close" and answer.headers["retry-after"]
        if answer.status != 503 or not leaving:
            seen.failures[f"{answer.status} {text[:200]!r}"] += 1
            return None
        seen.refused += 1
        time.sleep(0.1)  # less than Retry-After asks for, to press harder


def restarts(supervisor: Supervisor, times: int) -> Sequence[int]:
    """Restart again and again; the exit codes."""
    codes = []
    for _ in range(times):
        codes.append(supervisor.restart())
        time.sleep(0.5)
    return codes
