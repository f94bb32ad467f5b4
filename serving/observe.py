"""Observing requests: an id for each, a line in the log and a trace where they are asked for. Pure ASGI, in front.

The id is the caller's `x-request-id` if it is sane, else one that is made here; every answer carries it, and so does
each line that is logged on the request's behalf (`tidegate.logs`). Before: uvicorn; after: the guards and the app.
Limits: paths are logged without their query, since share links carry their token there.
"""

import logging
import re
import time
from typing import Protocol
from urllib.parse import quote

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.predictions import random_ids
from tidegate.logs import CURRENT, FIELDS, Current

HEADER = b"x-request-id"
_SANE = re.compile(rb"[A-Za-z0-9._:/+=-]{1,128}")
_PATH_CHARS = 200

access = logging.getLogger("tidegate.access")

Headers = list[tuple[bytes, bytes]]


class Span(Protocol):
    """One request of a trace; see `serving.tracing`."""

    @property
    def headers(self) -> Headers:
        """What the answer says of it."""
        ...

    def finish(self, scope: Scope, current: Current, status: int) -> None:
        """The request was answered."""
        ...


class Tracing(Protocol):
    """What starts spans."""

    def start(self, scope: Scope, current: Current) -> Span | None:
        """A request came; None when it is not traced."""
        ...


class Observed:
    """Gives every request its id, and logs and traces those of the app behind it."""

    def __init__(self, app: ASGIApp, *, access_log: bool = False, tracing: Tracing | None = None) -> None:
        self._app = app
        self._ids = random_ids()
        self._access_log = access_log
        self._tracing = tracing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        current = Current(_given(scope) or self._ids())
        CURRENT.set(current)  # uvicorn gives each request a context of its own
        if self._access_log or self._tracing is not None:
            await self._watch(scope, receive, send, current)
            return
        header = (HEADER, current.request_id.encode())

        def tagged(message: Message) -> object:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), header]
            return send(message)

        await self._app(scope, receive, tagged)  # type: ignore[arg-type]  # awaitable, as what `send` returns is

    async def _watch(self, scope: Scope, receive: Receive, send: Send, current: Current) -> None:
        """The same, with an eye on the clock and the status."""
        started = time.perf_counter()
        span = None if self._tracing is None else self._tracing.start(scope, current)
        headers = [(HEADER, current.request_id.encode()), *(span.headers if span else ())]
        status = 500  # what the server answers for an app that raises before it answers

        async def tagged(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), *headers]
            await send(message)

        try:
            await self._app(scope, receive, tagged)
        finally:
            if span is not None:
                span.finish(scope, current, status)
            if self._access_log:
                _log(scope, status, time.perf_counter() - started)


def _given(scope: Scope) -> str:
    """The id that the caller sent; empty when there is none, or none that a log could take."""
    for name, value in scope["headers"]:
        if name == HEADER:
            return value.decode() if _SANE.fullmatch(value) else ""
    return ""


def _log(scope: Scope, status: int, seconds: float) -> None:
    client = scope.get("client")
    fields = {
        "client": client[0] if client else "",
        "method": scope["method"],
        "path": quote(scope["path"].encode(errors="replace")[:_PATH_CHARS]),
        "status": status,
        "seconds": round(seconds, 6),
    }
    shown = (fields["client"] or "-", fields["method"], fields["path"], status, seconds * 1e3)
    access.info("%s %s %s %s %.1f ms", *shown, extra={FIELDS: fields})
