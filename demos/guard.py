"""The share guard: pure ASGI, in front of the whole gateway; it fails closed.

A request that carries a share token, in the query of the link or in the cookie that the link sets, is a share
visitor: it reaches what the page of that one demo needs (`demos.paths`) and nothing else. The guard marks such
a request with `scope["tidegate.share"]`, which the gateway's authentication takes in place of an API key.
Requests without a token pass untouched: they are the operator's, and authentication is their judge.
Revoking takes effect within `CACHE_SECONDS`: shares are looked up in the database, in a thread, that often.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import parse_qsl

from starlette.datastructures import Headers
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from demos.answers import SECURITY_HEADERS, refusal
from demos.paths import PAGE, DemoPath, demo_path
from demos.share import Share, ShareLinks
from serving.root_path import below_root
from tidegate.errors import Forbidden, NotReady, RequestError

COOKIE = "tidegate_share"
PARAMETER = "share"
CACHE_SECONDS = 0.5
# The cookie outlives its link by this much, so that a late visitor reads that it has ended, not "needs a key".
COOKIE_GRACE_SECONDS = 7 * 24 * 3_600
POLICY_VIOLATION = 1008  # WebSocket close code, RFC 6455 section 7.4.1
_MOST_CACHED = 1_024


@dataclass(frozen=True, slots=True)
class Token:
    """A share token as a request carries it."""

    value: str
    from_query: bool


class ShareGuard:
    """Wraps the gateway's app; see the module for the rule."""

    def __init__(self, app: ASGIApp, links: ShareLinks, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._app = app
        self._links = links
        self._monotonic = monotonic
        self._lookups: dict[str, tuple[float, asyncio.Task[Share]]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the operator, hold back the visitor who strays."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        token = token_of(scope)
        if token is None:
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await self._visit(token, scope, receive, send)
        else:
            await _close(receive, send)

    async def _visit(self, token: Token, scope: Scope, receive: Receive, send: Send) -> None:
        path = demo_path(below_root(scope), scope.get("raw_path"))
        try:
            share = await self._admit(token.value)
            if path is None or path.model != share.model or not path.allows(scope["method"]):
                raise Forbidden(f"this share link opens the demo of {share.model!r} and nothing else")
        except RequestError as error:
            await _refuse(error, token, path, scope)(scope, receive, send)
            return
        if token.from_query and path.rest in ("", PAGE) and scope["method"] in ("GET", "HEAD"):
            await self._welcome(token, share, path, scope)(scope, receive, send)
            return
        await self._app({**scope, "tidegate.share": share}, receive, send)

    async def _admit(self, token: str) -> Share:
        """The open share of a token; one lookup serves every request of the next `CACHE_SECONDS`."""
        share_id = self._links.read(token)
        now = self._monotonic()
        fresh_until, lookup = self._lookups.get(share_id, (now, None))
        if lookup is None or now >= fresh_until:
            if len(self._lookups) >= _MOST_CACHED:
                self._lookups.clear()
            lookup = asyncio.create_task(asyncio.to_thread(self._links.find, share_id))
            self._lookups[share_id] = (now + CACHE_SECONDS, lookup)
        # Shielded: a visitor who leaves must not cancel the lookup that others wait for.
        return self._links.admit(await asyncio.shield(lookup))

    def _welcome(self, token: Token, share: Share, path: DemoPath, scope: Scope) -> Response:
        """Move the token from the address bar into a cookie that only this demo gets."""
        response = RedirectResponse("./" if path.rest else f"{path.model}/", status_code=303, headers=SECURITY_HEADERS)
        response.headers["cache-control"] = "no-store"
        response.set_cookie(
            COOKIE,
            token.value,
            max_age=int(share.expires_at - self._links.clock()) + COOKIE_GRACE_SECONDS,
            path=_cookie_path(path, scope),
            secure=scope.get("scheme") == "https",
            httponly=True,
            samesite="lax",
        )
        return response


def token_of(scope: Scope) -> Token | None:
    """The share token of a request, if it carries one; that of the query wins over the cookie.

    Several different ones, which no honest browser sends, count as one that does not hold.
    """
    if not scope.get("query_string") and all(name != b"cookie" for name, _ in scope["headers"]):
        return None  # most requests of programs, at no cost
    query = parse_qsl(scope.get("query_string", b"").decode("latin-1"), keep_blank_values=True)
    values = {value for name, value in query if name == PARAMETER}
    from_query = bool(values)
    if not values:
        cookies = [pair.partition("=") for line in Headers(scope=scope).getlist("cookie") for pair in line.split(";")]
        values = {value.strip() for name, _, value in cookies if name.strip() == COOKIE}
    if not values:
        return None
    return Token(values.pop() if len(values) == 1 else "", from_query)


def _refuse(error: RequestError, token: Token, path: DemoPath | None, scope: Scope) -> Response:
    response = refusal(error, scope)
    if path is not None and not token.from_query and not isinstance(error, NotReady):
        # A dead cookie must not lock the operator out of a demo whose link they once tried.
        response.delete_cookie(COOKIE, path=_cookie_path(path, scope), httponly=True, samesite="lax")
    return response


def _cookie_path(path: DemoPath, scope: Scope) -> str:
    return f"{scope.get('root_path', '')}/demo/{path.model}"


async def _close(receive: Receive, send: Send) -> None:
    """No page of ours opens a WebSocket; closing before accepting answers 403."""
    await receive()
    await send({"type": "websocket.close", "code": POLICY_VIOLATION, "reason": "share links open no sockets"})
