"""`/demo/{m}`: every model's page behind one ASGI app, each built when it is first opened.

Before: the gateway's app with its models, `demos.guard` in front; after: Gradio. Requests that a page does not
need are refused here for everybody (`demos.paths`), so no setting of Gradio can open a file or proxy route.
Gradio keeps a page's queue in this process's memory: demos run in one process.
Source: Gradio 6.31 `routes.mount_gradio_app` (which wraps the lifespan that `_Page` runs).
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import gradio as gr
from fastapi import FastAPI
from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from demos import document
from demos.answers import CLOSED_POLICY, SECURITY_HEADERS, refusal
from demos.client import Client, Gateway
from demos.page import build_page
from demos.paths import PAGE, DemoPath, demo_path
from demos.theme import STYLESHEET, theme
from tidegate.errors import Forbidden, ModelNotFound, PayloadTooLarge, TidegateError

PREFIX = "/demo"


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
        self._pages: dict[str, ASGIApp] = {}
        self._building = asyncio.Lock()  # Gradio builds into one global context
        self._running = AsyncExitStack()

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Hold the background tasks of the pages; they end with this block."""
        async with self._running:
            yield
        self._pages.clear()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve what a page needs, refuse the rest."""
        if scope["type"] != "http":
            await receive()
            await send({"type": "websocket.close", "code": 1008, "reason": "demos open no sockets"})
            return
        try:
            path = _wanted(scope)
            page = await self._page(path.model)
            if scope["method"] == "POST":
                receive = await _read_ahead(scope, receive, self._gateway.settings.max_body_bytes)
        except ClientDisconnect:
            return
        except TidegateError as error:
            await refusal(error, scope)(scope, receive, send)
            return
        if not path.rest:
            await RedirectResponse(f"{path.model}/", 307, SECURITY_HEADERS)(scope, receive, send)
        elif path.rest == PAGE:
            await _serve_page(page, scope, receive, send)
        else:
            await page(scope, receive, _with_headers(send))

    async def _page(self, model: str) -> ASGIApp:
        """The built page of a served model.

        Raises:
            ModelNotFound: it is not served.
            NotReady: it is loading, or failed to.
        """
        self._gateway.repository.get(model)
        if model not in self._pages:
            async with self._building:
                if model not in self._pages:
                    self._pages[model] = await self._build(model)
        return self._pages[model]

    async def _build(self, model: str) -> ASGIApp:
        # In a thread, to keep the gateway's loop free, and with a loop of its own: Gradio's locks ask for one at
        # birth, and would otherwise leave one open in each worker thread (gradio `utils.safe_get_lock`).
        page = await asyncio.to_thread(asyncio.run, self._assemble(model))
        await self._running.enter_async_context(page.router.lifespan_context(page))
        return page

    async def _assemble(self, model: str) -> FastAPI:
        manifest = self._gateway.repository.get(model).manifest
        page = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
        gr.mount_gradio_app(
            page,
            build_page(manifest, Client(self._gateway, model)),
            path=f"/{model}",
            theme=theme(),
            css_paths=[STYLESHEET],
            footer_links=[],
            run_history=False,
            show_error=False,
            ssr_mode=False,
            mcp_server=False,
            enable_monitoring=False,
            pwa=False,
            max_file_size=0,
        )
        return page


def _wanted(scope: Scope) -> DemoPath:
    """The path of a request, if a demo page needs it.

    Raises:
        ModelNotFound: not a path of a demo at all.
        Forbidden: a part of Gradio that demos keep closed.
    """
    below = str(scope["path"]).removeprefix(str(scope.get("root_path", "")))
    path = demo_path(PREFIX + below, scope.get("raw_path"))
    if path is None:
        raise ModelNotFound("there is no demo at this address; demos are at /demo/NAME")
    if not path.allows(scope["method"]):
        raise Forbidden(f"the demo of {path.model!r} needs no {scope['method']} of this path, so it is closed")
    return path


async def _read_ahead(scope: Scope, receive: Receive, max_bytes: int) -> Receive:
    """Read a body that Gradio would take at any size, and hand it on.

    Raises:
        PayloadTooLarge: more than the gateway takes elsewhere.
        ClientDisconnect: the caller left before the end.
    """
    body = bytearray()
    async for chunk in Request(scope, receive).stream():
        body += chunk
        if len(body) > max_bytes:
            raise PayloadTooLarge(f"the body has more than {max_bytes:,} bytes; send a shorter text")
    unread: list[Message] = [{"type": "http.request", "body": bytes(body), "more_body": False}]

    async def replay() -> Message:
        return unread.pop() if unread else await receive()

    return replay


async def _serve_page(page: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Gradio's HTML, tidied, with its policy; query and compression stay out of it."""
    headers = [(name, value) for name, value in scope["headers"] if name != b"accept-encoding"]
    status, body = await _collect(page, {**scope, "method": "GET", "query_string": b"", "headers": headers}, receive)
    html = document.tidy(body.decode())
    response = HTMLResponse(
        html if scope["method"] == "GET" else "",
        status,
        SECURITY_HEADERS | {"content-security-policy": document.policy(html), "cache-control": "no-store"},
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
