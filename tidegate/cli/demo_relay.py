"""The relay: with several workers, every worker hands `/demo/...` to the one that holds the demos.

Gradio's join and data requests need the same process. Streams over a Unix socket, both ways; the worker that answers
judges the credentials again. Before: `tidegate.cli.gateway.serve`; after: the app of worker 0.
"""

from collections.abc import Iterable

import httpx
from starlette.requests import ClientDisconnect, Request
from starlette.responses import StreamingResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from demos.answers import refusal
from tidegate.errors import NotReady

# Headers that are not for the far end (RFC 9110 section 7.6.1), and the date, which each server adds itself.
_HOP_BY_HOP = frozenset(
    (b"connection", b"keep-alive", b"te", b"trailer", b"transfer-encoding", b"upgrade", b"expect", b"date")
)
_RELAY_TIMEOUTS = {"connect": 5.0, "read": 60.0}  # seconds; Gradio's streams show life every 15 s


class DemoRelay:
    """Hands `/demo/...` to worker 0; the rest goes to the app, pure ASGI.

    A demo page asks in one request and listens for the answer in another, over the queue that Gradio keeps in its
    process (`demos.app`), and the kernel may take the two to different workers. Requests are passed on as they
    came, credentials included: worker 0 judges them again.
    """

    def __init__(self, app: ASGIApp, door: str) -> None:
        self._app = app
        self._transport = httpx.AsyncHTTPTransport(uds=door, limits=httpx.Limits(max_connections=None))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Relay what is the demos'."""
        if scope["type"] == "lifespan":
            async with self._transport:
                await self._app(scope, receive, send)
        elif scope["type"] == "http" and (scope["path"] == "/demo" or scope["path"].startswith("/demo/")):
            await self._relay(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _relay(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            answer = await self._transport.handle_async_request(_outgoing(scope, receive))
        except httpx.TransportError:
            refused = NotReady("the demos are starting again; ask again in a moment")
            await refusal(refused, scope)(scope, receive, send)
            return
        except ClientDisconnect:
            return
        try:
            response = StreamingResponse(answer.aiter_raw(), answer.status_code)
            response.raw_headers = _end_to_end(answer.headers.raw)
            await response(scope, receive, send)
        finally:
            await answer.aclose()


def _outgoing(scope: Scope, receive: Receive) -> httpx.Request:
    """The same request, its target byte for byte as it came."""
    query = b"?" + scope["query_string"] if scope["query_string"] else b""
    names = {name for name, _ in scope["headers"]}
    return httpx.Request(
        scope["method"],
        "http://demos/",
        headers=_end_to_end(scope["headers"]),
        content=Request(scope, receive).stream() if names & {b"content-length", b"transfer-encoding"} else None,
        extensions={"target": scope["raw_path"] + query, "timeout": _RELAY_TIMEOUTS},
    )


def _end_to_end(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    return [(name.lower(), value) for name, value in headers if name.lower() not in _HOP_BY_HOP]
