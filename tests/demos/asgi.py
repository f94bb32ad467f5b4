"""Requests as a hostile client sends them: byte for byte, with no HTTP library to tidy the path first."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from anyio.from_thread import BlockingPortal, start_blocking_portal
from fastapi import FastAPI
from starlette.types import ASGIApp, Message

TIMEOUT_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back."""

    status: int
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""

    def header(self, name: str) -> str:
        """The values of a header, joined; empty when it is not there."""
        return ", ".join(value for key, value in self.headers if key == name)


def request(
    raw_target: str,
    method: str = "GET",
    *,
    cookie: str | None = None,
    accept: str = "*/*",
    body: bytes = b"",
    scheme: str = "http",
    root_path: str = "",
    leaves: bool = False,
) -> dict[str, Any]:
    """An HTTP scope, made as uvicorn makes it: `path` decoded, `raw_path` as it came; the caller may leave at once."""
    raw_path, _, query = raw_target.partition("?")
    headers = [(b"host", b"demo.test"), (b"accept", accept.encode())]
    if body:
        headers += [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    if cookie is not None:
        headers.append((b"cookie", cookie.encode()))
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": scheme,
        "path": root_path + unquote(raw_path),
        "raw_path": (root_path + raw_path).encode(),
        "query_string": query.encode(),
        "root_path": root_path,
        "headers": headers,
        "client": ("203.0.113.7", 1),
        "server": ("demo.test", 80),
        "tests.body": body,
        "tests.leaves": leaves,
    }


def websocket(raw_target: str, *, cookie: str | None = None) -> dict[str, Any]:
    """A WebSocket scope."""
    scope = request(raw_target, cookie=cookie) | {"type": "websocket", "scheme": "ws", "subprotocols": []}
    del scope["method"]
    return scope


def send_all(app: ASGIApp, scopes: Sequence[dict[str, Any]]) -> list[Reply]:
    """Send one request after another to an app that keeps nothing on an event loop."""

    async def run() -> list[Reply]:
        return [await _send(app, scope) for scope in scopes]

    return asyncio.run(run())


class Live:
    """An app that has started up, on an event loop of its own."""

    def __init__(self, portal: BlockingPortal, app: ASGIApp) -> None:
        self._portal = portal
        self._app = app

    def send(self, *scopes: dict[str, Any], to: ASGIApp | None = None) -> list[Reply]:
        """Send one request after another, to the app or to one that stands before it."""
        return [self._portal.call(_send, to or self._app, scope) for scope in scopes]

    def wait_for(self, event: Callable[[], Awaitable[object]]) -> None:
        """Wait on the app's event loop."""
        self._portal.call(event)


@contextmanager
def started(app: FastAPI) -> Iterator[Live]:
    """Start an app up, and shut it down when the block ends."""
    with start_blocking_portal() as portal:
        lifespan = app.router.lifespan_context(app)
        with portal.wrap_async_context_manager(lifespan):
            yield Live(portal, app)


async def _send(app: ASGIApp, scope: dict[str, Any]) -> Reply:
    return await asyncio.wait_for(_exchange(app, scope), TIMEOUT_SECONDS)


async def _exchange(app: ASGIApp, scope: dict[str, Any]) -> Reply:
    sent: list[Message] = []
    asked = 0

    async def receive() -> Message:
        nonlocal asked
        asked += 1
        if scope["type"] == "websocket":
            return {"type": "websocket.connect"}
        if asked > 1 and scope["tests.leaves"]:
            return {"type": "http.disconnect"}
        if asked > 1:
            await asyncio.Event().wait()  # a caller who stays until the answer is complete
        return {"type": "http.request", "body": scope["tests.body"], "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    await app(scope, receive, send)
    return _reply(sent)


def _reply(sent: list[Message]) -> Reply:
    first = sent[0]
    if first["type"].split(".")[0] == "websocket":
        return Reply(101 if first["type"] == "websocket.accept" else 403)  # closing before accepting is a 403
    headers = [(name.decode().lower(), value.decode()) for name, value in first["headers"]]
    return Reply(first["status"], headers, b"".join(message.get("body", b"") for message in sent[1:]))
