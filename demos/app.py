"""`/demo/{m}`: every model's page behind one ASGI app, each built when it is first opened.

Before: the gateway's app with its models, `demos.guard` in front; after: Gradio. Requests that a page does not
need are refused here for everybody (`demos.paths`), so no setting of Gradio can open a file or proxy route.
Gradio keeps a page's queue in this process's memory: demos run in one process.
Source: Gradio 6.31 `routes.mount_gradio_app` (which wraps the lifespan that `_Page` runs).
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import gradio as gr
from fastapi import FastAPI
from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, HTMLResponse, RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from demos import document
from demos.about import weaknesses
from demos.answers import CLOSED_POLICY, SECURITY_HEADERS, refusal
from demos.client import Client
from demos.embedding_page import build_embedding_page
from demos.gateway import Gateway
from demos.mounting import mounted
from demos.own_page import QUESTION, OwnPage, source_of
from demos.page import build_page
from demos.paths import PAGE, SCRIPT, DemoPath, demo_path
from serving.auth import SHARE_KEY
from serving.body import decode_json, json_object
from serving.root_path import below_root
from tidegate.bundle import Bundle
from tidegate.errors import Forbidden, InvalidInput, ItemNotFound, ModelNotFound, PayloadTooLarge, TidegateError

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


@dataclass(frozen=True, slots=True)
class Page:
    """A built page.

    Attributes:
        app: Gradio's, around its blocks.
        events: number of an event to its inputs: the values of one that is a choice, None for any text.
    """

    app: FastAPI
    blocks: gr.Blocks
    events: Mapping[int, Sequence[frozenset[str] | None]]

    def awaits(self, query: bytes) -> bool:
        """Whether somebody has asked in the session that a query names; Gradio fails in the middle of its answer."""
        sessions = parse_qs(query.decode("latin-1")).get("session_hash", [""])
        return len(sessions) == 1 and sessions[0] in self.blocks._queue.pending_messages_per_session

    def check(self, asked: Any) -> None:
        """Refuse what the page does not send; raises `InvalidInput`."""
        _check_question(asked, self.events)

    def policy(self, html: str, _: Scope) -> str:
        """The Content-Security-Policy of the page."""
        return document.policy(html)


class Demos:
    """The demo pages of one gateway, as an ASGI app below `PREFIX`."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._pages: dict[str, Page] = {}
        self._own: dict[str, OwnPage] = {}  # those that runs brought and that are trusted, by model
        self._building = asyncio.Lock()  # Gradio builds into one global context
        self._running = AsyncExitStack()

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Hold the background tasks of the pages; they end with this block."""
        async with self._running:
            yield
            for model in list(self._own):
                await self._own.pop(model).close()
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
            if path.rest == STREAM and not page.awaits(scope["query_string"]):
                raise ItemNotFound("nothing was asked in this session; open the page anew")
            if scope["method"] == "POST":
                receive = await _checked(page, scope, receive, self._gateway.settings.max_body_bytes)
            await _answer(page, path, scope, receive, send)
        except ClientDisconnect:
            return
        except TidegateError as error:
            await refusal(error, scope)(scope, receive, send)

    async def _page(self, model: str) -> Page | OwnPage:
        """The page of a served model: the one that its run brought if that is trusted, else the one built here.

        Raises:
            ModelNotFound: it is not served.
            NotReady: it is loading, or failed to; or its own page is down.
        """
        own = await self._own_page(self._gateway.repository.get(model).bundle)
        if own is not None:
            await own.ready()
            return own
        if model not in self._pages:
            async with self._building:
                if model not in self._pages:
                    self._pages[model] = await self._build(model)
        return self._pages[model]

    async def _own_page(self, bundle: Bundle) -> OwnPage | None:
        """The page that a version brought, with its process; None where there is none, or nobody trusts it."""
        manifest = bundle.manifest
        model, version = manifest.name, manifest.version
        trusted = manifest.demo is not None and self._gateway.settings.trusts_demo(model, version)
        if not trusted and model not in self._own:
            return None
        async with self._building:
            if model in self._own and not (trusted and self._own[model].version == version):
                await self._own.pop(model).close()
            if trusted and model not in self._own:
                source = await asyncio.to_thread(source_of, bundle)
                self._own[model] = OwnPage(bundle, source, Client(self._gateway, model))
            return self._own.get(model)

    async def _build(self, model: str) -> Page:
        # In a thread, to keep the gateway's loop free, and with a loop of its own: Gradio's locks ask for one at
        # birth, and would otherwise leave one open in each worker thread (gradio `utils.safe_get_lock`).
        page = await asyncio.to_thread(asyncio.run, self._assemble(model))
        await self._running.enter_async_context(page.app.router.lifespan_context(page.app))
        return page

    async def _assemble(self, model: str) -> Page:
        served = self._gateway.repository.get(model)
        client = Client(self._gateway, model)
        if served.manifest.embedding is not None:
            blocks = build_embedding_page(served.manifest, client)
        else:
            blocks = build_page(served.manifest, client, weaknesses(served.bundle))
        events = {number: [_choices(one) for one in event.inputs] for number, event in blocks.fns.items()}
        return Page(mounted(blocks, model), blocks, events)


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


def _choices(component: Any) -> frozenset[str] | None:
    return frozenset(str(value) for _, value in component.choices) if isinstance(component, gr.Radio) else None


def _check_question(document: Any, events: Mapping[int, Sequence[frozenset[str] | None]]) -> None:
    """Refuse what Gradio answers with an error of its own, runs although no page of ours sends it, or logs.

    Raises:
        InvalidInput: not an event of this page, or not in its shape.
    """
    question = json_object(document, QUESTION)
    session = question.get("session_hash")
    if not isinstance(session, str) or not 0 < len(session) <= _MAX_SESSION_CHARS:
        raise InvalidInput("session_hash is no name of a session; open the page anew", pointer="/session_hash")
    event, trigger = question.get("fn_index"), question.get("trigger_id")
    if type(event) is not int or event not in events:
        raise InvalidInput("fn_index is no event of this page; open the page anew", pointer="/fn_index")
    data = question.get("data")
    inputs = events[event]
    if not isinstance(data, list) or len(data) != len(inputs) or not all(isinstance(x, str | None) for x in data):
        raise InvalidInput(f"data is no list of {len(inputs)} texts; open the page anew", pointer="/data")
    pairs = zip(data, inputs, strict=True)
    if any(value is not None and known is not None and value not in known for value, known in pairs):
        raise InvalidInput("data holds what is no choice of this page; open the page anew", pointer="/data")
    if trigger is not None and type(trigger) is not int:
        raise InvalidInput("trigger_id is no number; open the page anew", pointer="/trigger_id")


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
