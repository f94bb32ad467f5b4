"""The share guard: pure ASGI, in front of the whole gateway; it fails closed.

A request that carries the token of a share link in its query, or in its cookie the pass that a link was changed for
(`demos.entrance`), is a share visitor's: it reaches what the page of that one demo needs (`demos.paths`), nothing else.
The guard marks such a request with `scope["tidegate.share"]`, which the gateway's authentication takes in place of an
API key. Requests without either pass untouched: they are the operator's, and authentication is their judge.
Revoking takes effect within `CACHE_SECONDS`: shares are looked up in the database, in a thread, that often.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from urllib.parse import parse_qsl

from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from demos.answers import refusal
from demos.entrance import COOKIE, PARAMETER, Entrance, code_page, cookie_path, cookies
from demos.meter import CHARGE_KEY, ShareMeter
from demos.paths import PAGE, DemoPath, demo_path
from demos.share import Share, ShareLinks
from serving.auth import SHARE_KEY
from serving.root_path import below_root
from tidegate.errors import Forbidden, RequestError, Unauthorized

CODE = "/share/"  # before a model, with a token in the query, which no log keeps: the page with the link's QR code
CACHE_SECONDS = 0.5
POLICY_VIOLATION = 1008  # WebSocket close code, RFC 6455 section 7.4.1
_MOST_CACHED = 1_024


@dataclass(frozen=True, slots=True)
class Token:
    """What a request carries: the token of a link in its query, or a pass in its cookie."""

    value: str
    from_query: bool


class ShareGuard:
    """Wraps the gateway's app; see the module for the rule.

    Args:
        app: what to guard.
        links: that hold.
        meter: counts what visitors do; None in a process that only hands demos on to the one that has them, which
            lets visitors in and judges every request again.
        public_url: where visitors reach the server; empty for where the request did.
        monotonic: clock of the cache, in seconds.
    """

    def __init__(
        self,
        app: ASGIApp,
        links: ShareLinks,
        meter: ShareMeter | None,
        public_url: str = "",
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._app = app
        self._links = links
        self._meter = meter
        self._entrance = None if meter is None else Entrance(links, meter)
        self._public_url = public_url
        self._monotonic = monotonic
        self._lookups: dict[str, tuple[float, asyncio.Task[Share]]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the operator, hold back the visitor who strays."""
        if scope["type"] == "lifespan":
            await self._live(scope, receive, send)
            return
        token = token_of(scope)
        if scope["type"] == "http" and below_root(scope).startswith(CODE):
            await self._show_code(token, scope, receive, send)
        elif token is None:
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await self._visit(token, scope, receive, send)
        else:
            await _close(receive, send)

    async def _live(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._meter is None:
            await self._app(scope, receive, send)
            return
        async with self._meter.keeping():
            await self._app(scope, receive, send)

    async def _visit(self, token: Token, scope: Scope, receive: Receive, send: Send) -> None:
        path = demo_path(below_root(scope), scope.get("raw_path"))
        share = response = None
        try:
            share = await self._admit(self._links.read if token.from_query else self._links.read_pass, token.value)
            if path is None or path.model != share.model:
                raise Forbidden(f"this share link opens the demo of {share.model!r} and nothing else")
            if token.from_query:
                response = await self._enter(token.value, share, path, scope, receive)
            else:
                self._check(share, path, scope["method"])
        except ClientDisconnect:
            return
        except RequestError as error:
            response = refusal(error, scope)
            if share is None and path and not token.from_query and isinstance(error, Unauthorized | Forbidden):
                # A dead cookie must not lock the operator out of a demo whose link they once tried.
                response.delete_cookie(COOKIE, path=cookie_path(path, scope), httponly=True, samesite="lax")
        if response is None:
            await self._app({**scope, **self._marks(share)}, receive, send)
        else:
            await response(scope, receive, send)

    def _marks(self, share: Share | None) -> dict[str, object]:
        """What tells those behind the guard whose request it is, and lets them count what it asks."""
        marks: dict[str, object] = {SHARE_KEY: share}
        if self._meter is None or share is None:
            return marks
        return marks | {CHARGE_KEY: partial(self._meter.charge, share)}

    async def _enter(self, token: str, share: Share, path: DemoPath, scope: Scope, receive: Receive) -> Response | None:
        """What the link itself is answered; None to pass it on."""
        if path.rest not in ("", PAGE) or scope["method"] not in ("GET", "HEAD", "POST"):
            raise Forbidden(f"a share link opens the page of the demo of {share.model!r}; open it in a browser first")
        if self._entrance is None:
            return None
        return await self._entrance.enter(token, share, path, scope, receive)

    def _check(self, share: Share, path: DemoPath, method: str) -> None:
        """Let a visitor who is in do what the page needs, and count what they ask."""
        if not path.allows(method):
            raise Forbidden(f"this share link opens the demo of {share.model!r} and nothing else")
        if self._meter is not None and method == "POST":
            self._meter.use(share)

    async def _show_code(self, token: Token | None, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            link = token.value if token is not None and token.from_query else ""
            share = await self._admit(self._links.read, link)
            if below_root(scope) != CODE + share.model or scope["method"] not in ("GET", "HEAD"):
                raise Forbidden(f"this share link opens the demo of {share.model!r} and nothing else")
            response = code_page(link, share, scope, self._public_url)
        except RequestError as error:
            response = refusal(error, scope)
        await response(scope, receive, send)

    async def _admit(self, read: Callable[[str], str], value: str) -> Share:
        """The open share of a token or pass; one lookup serves every request of the next `CACHE_SECONDS`."""
        share_id = read(value)
        now = self._monotonic()
        fresh_until, lookup = self._lookups.get(share_id, (now, None))
        if lookup is None or now >= fresh_until:
            if len(self._lookups) >= _MOST_CACHED:
                self._lookups.clear()
            lookup = asyncio.create_task(asyncio.to_thread(self._links.find, share_id))
            self._lookups[share_id] = (now + CACHE_SECONDS, lookup)
        # Shielded: a visitor who leaves must not cancel the lookup that others wait for.
        return self._links.admit(await asyncio.shield(lookup))


def token_of(scope: Scope) -> Token | None:
    """The token of a request, or its pass, if it carries one; the token of the query wins over the cookie.

    Several different ones, which no honest browser sends, count as one that does not hold.
    """
    if not scope.get("query_string") and all(name != b"cookie" for name, _ in scope["headers"]):
        return None  # most requests of programs, at no cost
    query = parse_qsl(scope.get("query_string", b"").decode("latin-1"), keep_blank_values=True)
    values = {value for name, value in query if name == PARAMETER}
    from_query = bool(values)
    values = values or cookies(scope)
    if not values:
        return None
    return Token(values.pop() if len(values) == 1 else "", from_query)


async def _close(receive: Receive, send: Send) -> None:
    """No page of ours opens a WebSocket; closing before accepting answers 403."""
    await receive()
    await send({"type": "websocket.close", "code": POLICY_VIOLATION, "reason": "share links open no sockets"})
