"""Receivers of alerts for tests: real HTTP servers that keep what is posted and answer as they are told."""

import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Inbox:
    """What one receiver got; it gives `answers` in turn (status, Retry-After) and 204 after them."""

    url: str
    answers: list[tuple[int, str]] = field(default_factory=list)
    bodies: list[Any] = field(default_factory=list)
    heads: list[dict[str, str]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    arrived: threading.Event = field(default_factory=threading.Event)

    @property
    def events(self) -> list[str]:
        """What happened, in the order in which it was told."""
        return [body["event"] for body in self.bodies]


@contextmanager
def inbox(answers: Sequence[int | tuple[int, str]] = ()) -> Iterator[Inbox]:
    """A receiver on a free port of this machine."""
    kept = Inbox("", [one if isinstance(one, tuple) else (one, "") for one in answers])

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            kept.bodies.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            kept.heads.append({name.lower(): value for name, value in self.headers.items()})
            kept.paths.append(self.path)
            status, retry_after = kept.answers.pop(0) if kept.answers else (204, "")
            self.send_response(status)
            if retry_after:
                self.send_header("retry-after", retry_after)
            self.send_header("location", "/elsewhere")
            self.end_headers()
            kept.arrived.set()

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    kept.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield kept
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
