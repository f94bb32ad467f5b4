"""Faults of callers: slow ones, those who leave, and inputs that would eat the memory."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from tests.faults.faults import PREDICT, asked_meanwhile, server, until
from tests.servers import Server

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with server(tmp_path_factory.mktemp("home")) as started:
        yield started


def connect(url: str) -> socket.socket:
    address = urlsplit(url)
    return socket.create_connection((address.hostname or "", address.port or 0), timeout=30)


HEAD = b"POST /models/sentiment/predict HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"


def test_slow_clients(served: Server) -> None:
    """A hundred callers who send half a request hold their connections and nothing else."""
    with contextlib.ExitStack() as stack, asked_meanwhile(served.url) as asking:
        for _ in range(100):
            slow = stack.enter_context(connect(served.url))
            slow.sendall(HEAD + b"content-length: 100\r\n\r\n{")
        until(lambda: len(asking.statuses) > 30)
    assert set(asking.statuses) == {200}
    assert asking.slowest_seconds < 2


def test_abandoned_clients(served: Server) -> None:
    """Callers who leave are counted as 499, free their places, and harm nobody who stays."""
    body = b'{"inputs": [' + b",".join([b'"profit rises on strong sales"'] * 1_000) + b"]}"
    with asked_meanwhile(served.url) as asking:
        for _ in range(20):
            with connect(served.url) as leaving:
                leaving.sendall(HEAD + b"content-length: %d\r\n\r\n" % len(body) + body)
        until(lambda: len(asking.statuses) > 30)
        until(lambda: figure(served, "tidegate_requests_in_flight") <= 1)
    assert set(asking.statuses) == {200}


def test_inputs_that_would_eat_the_memory(served: Server) -> None:
    """Bodies, lists, texts and nestings beyond the limits are refused; memory stays where it was."""
    before = resident_mib(served)
    bodies = [
        b'{"inputs": "' + b"a" * 50_000_000 + b'"}',
        b'{"inputs": ' + b"[" * 500_000 + b"]" * 500_000 + b"}",
        b'{"inputs": ["' + b'x","' * 400_000 + b'x"]}',
        b'{"inputs": "' + b"a " * 900_000 + b'"}',
    ]
    statuses: list[int] = []

    def send(body: bytes) -> None:
        with served.client() as client:
            answer = client.post(PREDICT, content=body, headers={"content-type": "application/json"})
            statuses.append(answer.status_code)

    with asked_meanwhile(served.url) as asking:
        threads = [threading.Thread(target=send, args=(body,)) for body in bodies * 5]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(statuses) == 20
    assert set(statuses) <= {400, 413, 422}
    assert set(asking.statuses) == {200}
    assert resident_mib(served) - before < 150


def figure(served: Server, name: str) -> float:
    lines = httpx.get(served.url + "/metrics").text.splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name + "{"))


def resident_mib(served: Server) -> float:
    status = Path(f"/proc/{served.process.pid}/status").read_text()
    [line] = [line for line in status.splitlines() if line.startswith("VmRSS")]
    return int(line.split()[1]) / 1024
