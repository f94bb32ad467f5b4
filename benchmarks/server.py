"""A running server, Tidegate or a peer: started in a session of its own, waited for, parked, and always ended.

While one server of a pair is measured the other is parked (SIGSTOP), so that both are warm and neither costs the
other anything but memory. Before: `environments`; after: `load` and `agreement` ask it.
"""

import http.client
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks import processes
from benchmarks.peers.catalog import Peer
from benchmarks.workspace import Workspace
from tidegate.environments import CHECKOUT
from tidegate.errors import NotReady

_READY_SECONDS = 240.0  # mlflow and Ray take 8 s on an idle machine
_ASK_EVERY_SECONDS = 0.1
_SHOWN_LINES = 15


@dataclass(frozen=True, slots=True)
class Server:
    """A server that answers.

    Attributes:
        pid: its first process.
        cold_seconds: from start to ready.
    """

    peer: Peer
    port: int
    pid: int
    cold_seconds: float

    @property
    def url(self) -> str:
        """Where texts are posted."""
        return f"http://127.0.0.1:{self.port}{self.peer.path}"

    def park(self) -> None:
        """Stop it where it stands."""
        processes.pause(self.pid)

    def resume(self) -> None:
        """Let it go on."""
        processes.resume(self.pid)


@contextmanager
def running(peer: Peer, python: Path, workspace: Workspace) -> Iterator[Server]:
    """Run a server until the block ends, however it ends.

    Args:
        peer: what to start.
        python: interpreter of its environment.
        workspace: models, logs and scratch folder.

    Raises:
        NotReady: it ended, or never said that it is ready; carries the end of its log.
    """
    port = free_port()
    log = workspace.logs / f"{peer.name}.log"
    with log.open("wb") as stream:
        process = subprocess.Popen(
            peer.argv(python, port, workspace.root.absolute()),
            cwd=workspace.root / peer.folder if peer.folder else CHECKOUT,
            env=_environment(peer, python, port, workspace),
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
            start_new_session=True,
        )
    try:
        yield Server(peer, port, process.pid, _wait(process, peer, port, log))
    finally:
        processes.end(process)


def free_port() -> int:
    """A port that nobody listens on just now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def _environment(peer: Peer, python: Path, port: int, workspace: Workspace) -> dict[str, str]:
    """Ours without what steers Python, Tidegate or MLflow, and what the catalog sets."""
    steering = ("PYTHON", "TIDEGATE_", "MLFLOW_", "VIRTUAL_ENV")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(steering)}
    return {
        **inherited,
        "PATH": f"{python.parent}:{os.environ.get('PATH', '')}",
        "PYTHONPATH": str(CHECKOUT),
        "PORT": str(port),
        "MODEL_FOLDER": str(workspace.model.absolute()),
        "SCRATCH": str(workspace.scratch.absolute()),
        **dict(peer.environment),
    }


def _wait(process: "subprocess.Popen[bytes]", peer: Peer, port: int, log: Path) -> float:
    """Seconds until the readiness page answers 200."""
    started = time.monotonic()
    while time.monotonic() - started < _READY_SECONDS:
        if process.poll() is not None:
            raise NotReady(f"{peer.name} ended with exit code {process.returncode} as it started:\n{_tail(log)}")
        if _status(port, peer.ready_path) == 200:
            return time.monotonic() - started
        time.sleep(_ASK_EVERY_SECONDS)
    raise NotReady(f"{peer.name} was not ready after {_READY_SECONDS:.0f} s; its log {log} ends:\n{_tail(log)}")


def _status(port: int, path: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        connection.close()


def _tail(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-_SHOWN_LINES:])
