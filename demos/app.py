"""`/demo/{m}`: every model's page behind one ASGI app, each built when it is first opened.

Before: the gateway's app with its models, `demos.guard` in front; after: Gradio. Requests that a page does not
need are refused here for everybody (`demos.paths`), so no setting of Gradio can open a file or proxy route.
Gradio keeps a page's queue in this process's memory: demos run in one process.
Source: Gradio 6.31 `routes.mount_gradio_app` (which wraps the lifespan that `_Page` runs).
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from fastapi import FastAPI
from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, HTMLResponse, RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from demos import document
from demos.answers import CLOSED_POLICY, SECURITY_HEADERS, refusal
from demos.gateway import Gateway
from demos.own_page import OwnPage
from demos.pages import Page, Pages
from demos.paths import PAGE, SCRIPT, DemoPath, demo_path
from serving.auth import SHARE_KEY
from serving.body import decode_json
from serving.root_path import below_root
from tidegate.errors import Forbidden, ItemNotFound, ModelNotFound, PayloadTooLarge, TidegateError

PREFIX = "/demo"
_SCRIPT_FILE = Path(__file__).with_name("page.js")
STREAM = "/gradio_api/queue/data"
_MAX_SESSION_CHARS = 64


def mount_demos(app: FastAPI, gateway: Gateway) -> None:
    """Mount the demos of every served model on `app`; call it before the app starts up.

    Put `demos.guard.ShareGuard` in front of the app: the demos themselves know no visitors.
    """
    demos = Demos(gateway)
    before: Callable[[Any], Any] = app.router.lifespan_context

    @asynccontextmanager
    async def lifespan(outer: Any) -> AsyncIterator[Any]:
        async with before(outer) as state, demos.open():
            yield state

    app.router.lifespan_context = lifespan
    app.mount(PREFIX, demos)


class Demos:
    """The demo pages of one gateway, as an ASGI app below `PREFIX`."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self.pages = Pages(gateway)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Hold the background tasks and processes of the pages; they end with this block."""
        try:
            yield
        finally:
            await self.pages.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve what a page needs, refuse the rest."""
        if scope["type"] != "http":
            await receive()
            await send({"type": "websocket.close", "code": 1008, "reason": "demos open no sockets"})
            return
        try:
            path = _wanted(scope)
            page = await self.pages.of(path.model)
            if path.rest == STREAM:
                await self._stream(page, scope, receive, send)
                return
            if scope["method"] == "POST":
                receive = await _checked(page, scope, receive, self._gateway.settings.max_body_bytes)
                await page.wake()
            await _answer(page, path, scope, receive, send)
        except ClientDisconnect:
            return
        except TidegateError as error:
            await refusal(error, scope)(scope, receive, send)

    async def _stream(self, now: Page | OwnPage, scope: Scope, receive: Receive, send: Send) -> None:
        """The answers of a session, by the page that it asked, though it be an older one by now.

        Raises:
            ItemNotFound: nobody asked in it, at which Gradio would fail in the middle of its answer.
        """
        sessions = parse_qs(scope["query_string"].decode("latin-1")).get("session_hash", [""])
        page = self.pages.waiting(now, sessions[0]) if len(sessions) == 1 else None
        if page is None:
            raise ItemNotFound("nothing was asked in this session; open the page anew")
        try:
            await page.app(scope, receive, _with_headers(send))
        finally:
            page.forget(sessions[0])


def _wanted(scope: Scope) -> DemoPath:
    """The path of a request, if a demo page needs it.

    Raises:
        ModelNotFound: not a path of a demo at all.
        Forbidden: a part of Gradio that demos keep closed.
    """
    path = demo_path(PREFIX + below_root(scope), scope.get("raw_path"))
    if path is None:
        raise ModelNotFound("there is no demo at this address; demos are at /demo/NAME")
    if not path.allows(scope["method"]):
        raise Forbidden(f"the demo of {path.model!r} needs no {scope['method']} of this path, so it is closed")
    return path


async def _answer(page: Page | OwnPage, path: DemoPath, scope: Scope, receive: Receive, send: Send) -> None:
    if not path.rest:
        await RedirectResponse(f"{path.model}/", 307, SECURITY_HEADERS)(scope, receive, send)
    elif path.rest == PAGE:
        await _serve_page(page, scope, receive, send)
    elif path.rest == SCRIPT:
        await FileResponse(_SCRIPT_FILE)(scope, receive, _with_headers(send))
    else:
        await page.app(scope, receive, _with_headers(send))


async def _checked(page: Page | OwnPage, scope: Scope, receive: Receive, max_bytes: int) -> Receive:
    """Read a question that Gradio would take at any size, check that the page could have asked it, and hand it on.

    Raises:
        PayloadTooLarge: more than the gateway takes elsewhere.
        MalformedRequest, InvalidInput: nothing that the page sends.
        ClientDisconnect: the caller left before the end.
    """
    body = bytearray()
    async for chunk in Request(scope, receive).stream():
        body += chunk
        if len(body) > max_bytes:
            raise PayloadTooLarge(f"the body has more than {max_bytes:,} bytes; send a shorter text")
    page.check(decode_json(bytes(body)))
    unread: list[Message] = [{"type": "http.request", "body": bytes(body), "more_body": False}]

    async def replay() -> Message:
        return unread.pop() if unread else await receive()

    return replay


async def _serve_page(page: Page | OwnPage, scope: Scope, receive: Receive, send: Send) -> None:
    """Gradio's HTML, tidied, with its policy; query and compression stay out of it."""
    headers = [(name, value) for name, value in scope["headers"] if name != b"accept-encoding"]
    status, body = await _collect(
        page.app, {**scope, "method": "GET", "query_string": b"", "headers": headers}, receive
    )
    html, share = document.tidy(body.decode()), scope.get(SHARE_KEY)
    if share is not None and share.notice:
        html = document.noted(html, share.notice)
    response = HTMLResponse(
        html if scope["method"] == "GET" else "",
        status,
        SECURITY_HEADERS | {"content-security-policy": page.policy(html, scope), "cache-control": "no-store"},
    )
    await response(scope, receive, send)


async def _collect(app: ASGIApp, scope: Scope, receive: Receive) -> tuple[int, bytes]:
    status, chunks = 500, []

    async def keep(message: Message) -> None:
        nonlocal status
        if message["type"] == "http.response.start":
            status = message["status"]
        elif message["type"] == "http.response.body":
            chunks.append(message.get("body", b""))

    await app(scope, receive, keep)
    return status, b"".join(chunks)


def _with_headers(send: Send) -> Callable[[Message], Awaitable[None]]:
    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            headers.update(SECURITY_HEADERS | {"content-security-policy": CLOSED_POLICY})
        await send(message)

    return send_with_headers
