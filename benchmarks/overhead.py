"""What the server adds to one answer when nobody else asks, and what it costs while nobody asks at all.

One caller on a kept-alive connection sends the same texts as `bare`, through a client so small that it hardly counts:
one `sendall` and one `recv` an answer. Over HTTP and bare are measured in turn, the server parked meanwhile.
"""

import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from benchmarks.bare import CALLS
from benchmarks.conditions import conditions
from benchmarks.environments import interpreter
from benchmarks.peers.catalog import TIDEGATE, Peer
from benchmarks.processes import cpu_seconds
from benchmarks.results import Overhead
from benchmarks.server import Server, running
from benchmarks.workspace import Workspace
from tidegate.cli import console
from tidegate.environments import CHECKOUT
from tidegate.errors import InferenceFailed, TidegateError

IDLE_SECONDS = 20.0
_SETTLE_SECONDS = 3.0
_WARM_UP_CALLS = 50


def measure_overhead(workspace: Workspace, environments: Path, repeats: int) -> Overhead:
    """One caller over HTTP and bare in turn, then nobody."""
    texts = [text for text, _ in workspace.read_texts()]
    over_http, bare = [], []
    with running(TIDEGATE, interpreter(TIDEGATE, environments), workspace) as server:
        for _ in range(repeats):
            server.resume()
            over_http.append(http_p50(server, texts))
            server.park()
            bare.append(_bare_p50(workspace))
            console.say(f"  over HTTP p50 {over_http[-1] * 1e3:.2f} ms   bare {bare[-1] * 1e3:.2f} ms")
        server.resume()
        console.say(f"  nobody asks for {IDLE_SECONDS:.0f} s")
        idle = idle_share(server.pid, IDLE_SECONDS)
    return Overhead(
        conditions=conditions(workspace, len(texts)),
        http_p50=tuple(over_http),
        bare_p50=tuple(bare),
        idle_cpu=idle,
        idle_seconds=IDLE_SECONDS,
    )


def http_p50(server: Server, texts: Sequence[str], calls: int = CALLS) -> float:
    """Median seconds from the first byte sent to the last byte received, texts in turn."""
    requests = [_request(server.peer, text) for text in texts]
    seconds = []
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for call in range(_WARM_UP_CALLS + calls):
            started = time.perf_counter()
            connection.sendall(requests[call % len(requests)])
            read_answer(connection)
            seconds.append(time.perf_counter() - started)
    return median(seconds[_WARM_UP_CALLS:])


def read_answer(connection: socket.socket) -> bytes:
    """The body of one answer that has a content-length.

    Raises:
        InferenceFailed: it is not a 200, or the server hung up.
    """
    received = bytearray()
    while b"\r\n\r\n" not in received:
        received += _more(connection)
    head, _, body = bytes(received).partition(b"\r\n\r\n")
    status, *lines = head.split(b"\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(b":") for line in lines)}
    if b" 200 " not in status or b"content-length" not in headers:
        raise InferenceFailed(f"wanted a 200 with a content-length, got {head[:200]!r}")
    while len(body) < int(headers[b"content-length"]):
        body += _more(connection)
    return body


def _more(connection: socket.socket) -> bytes:
    data = connection.recv(65_536)
    if not data:
        raise InferenceFailed("the server hung up in the middle of an answer")
    return data


def idle_share(pid: int, seconds: float) -> float:
    """Share of one core that a server's processes use over some seconds, once they have settled."""
    time.sleep(_SETTLE_SECONDS)
    before, started = cpu_seconds(pid), time.monotonic()
    time.sleep(seconds)
    return (cpu_seconds(pid) - before) / (time.monotonic() - started)


def _request(peer: Peer, text: str) -> bytes:
    body = peer.encode([text])
    head = f"POST {peer.path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
    return f"{head}content-length: {len(body)}\r\n\r\n".encode() + body


def _bare_p50(workspace: Workspace) -> float:
    command = [sys.executable, "-m", "benchmarks.bare", str(workspace.root.absolute())]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise TidegateError(f"the bare process failed:\n{done.stderr[-2000:]}")
    return float(done.stdout.split()[-1])
