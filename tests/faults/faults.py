"""What the fault tests share: a server under a fault, and somebody who keeps asking it meanwhile."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from tests import bundles
from tests.servers import Server, running
from tidegate.bundle_store import BundleStore

TEXT = {"inputs": "profit rises"}
PREDICT = "/models/sentiment/predict"


@dataclass(slots=True)
class Asking:
    """Statuses of what was asked while a fault lasted."""

    statuses: list[int] = field(default_factory=list)
    slowest_seconds: float = 0.0


@contextmanager
def server(home: Path, *arguments: str, **variables: str) -> Iterator[Server]:
    """A real server with a TF-IDF model."""
    kept = BundleStore(home / "bundles")
    if not kept.names():
        bundles.sentiment(kept)
    with running(["serve", *arguments], home, **variables) as started:
        yield started


@contextmanager
def asked_meanwhile(url: str, path: str = PREDICT) -> Iterator[Asking]:
    """Ask for a prediction again and again until the block ends."""
    asking, stop = Asking(), threading.Event()

    def ask() -> None:
        with httpx.Client(base_url=url, timeout=30) as client:
            while not stop.is_set():
                started = time.monotonic()
                asking.statuses.append(client.post(path, json=TEXT).status_code)
                asking.slowest_seconds = max(asking.slowest_seconds, time.monotonic() - started)
                time.sleep(0.02)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield asking
    finally:
        stop.set()
        thread.join()


def until(true: Callable[[], object], seconds: float = 30.0) -> None:
    """Wait until something holds."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it never came to be"
        time.sleep(0.05)


def said(lines: Sequence[str], words: str) -> bool:
    """Whether the server's log has these words by now."""
    return any(words in line for line in lines)
