"""The relay: hands a request on to another server as it came, and the answer back as it comes.

Streams, over a Unix socket or a port. With several workers it stands between each and the one that has the demos
(`tidegate.cli.demo_relay`), at the demo-only port of a tunnel (`tidegate.cli.tunnel`), and between the gateway and the
process of a page that a run brought (`demos.own_page`).
"""

from collections.abc import Iterable

import httpx
from starlette.requests import ClientDisconnect, Request
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from demos.answers import refusal
from serving.observe import HEADER
from tidegate.errors import NotReady
from tidegate.logs import CURRENT

# Headers that are not for the far end (RFC 9110 section 7.6.1), and the date, which each server adds itself.
_HOP_BY_HOP = frozenset(
    (b"connection", b"keep-alive", b"te", b"trailer", b"transfer-encoding", b"upgrade", b"expect", b"date")
)
_RELAY_TIMEOUTS = {"connect": 5.0, "read": 60.0}  # seconds; Gradio's streams show life every 15 s


class Relay:
    """Hands every request on as it came, and the answer back as it comes; pure ASGI.

    Args:
        transport: to the far end; whoever relays opens and closes it.
        origin: of the far end, `http://HOST:PORT`.
    """

    def __init__(self, transport: httpx.AsyncHTTPTransport, origin: str) -> None:
        self.transport = transport
        self._origin = origin

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Relay an HTTP request."""
        try:
            answer = await self.transport.handle_async_request(_outgoing(scope, receive, self._origin))
        except httpx.TransportError:
            refused = NotReady("the demos are starting again; ask again in a moment")
            await refusal(refused, scope)(scope, receive, send)
            return
        except ClientDisconnect:
            return
        try:
            response = StreamingResponse(answer.aiter_raw(), answer.status_code)
            headers = _end_to_end(answer.headers.raw)
            response.raw_headers = [pair for pair in headers if pair[0] != HEADER]  # the outer answer has its own
            await response(scope, receive, send)
        finally:
            await answer.aclose()


def _outgoing(scope: Scope, receive: Receive, origin: str) -> httpx.Request:
    """The same request, its target byte for byte as it came."""
    query = b"?" + scope["query_string"] if scope["query_string"] else b""
    names = {name for name, _ in scope["headers"]}
    return httpx.Request(
        scope["method"],
        f"{origin}/",
        headers=[*(pair for pair in _end_to_end(scope["headers"]) if pair[0] != HEADER), *_named()],
        content=Request(scope, receive).stream() if names & {b"content-length", b"transfer-encoding"} else None,
        extensions={"target": scope["raw_path"] + query, "timeout": _RELAY_TIMEOUTS},
    )


def _named() -> list[tuple[bytes, bytes]]:
    """The request's id here, so that the log over there has the same."""
    current = CURRENT.get()
    return [(HEADER, current.request_id.encode())] if current else []


def _end_to_end(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    return [(name.lower(), value) for name, value in headers if name.lower() not in _HOP_BY_HOP]
