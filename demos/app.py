"""The pages of every model behind one ASGI app, each built when it is first opened.

Before: `demos.front` has refused what no page needs and read a question whole, in the gateway; `demos.child` hands it
over in the process that has the pages. After: Gradio, whose queue of a page lives in that process's memory.
Source: Gradio 6.31 `routes.mount_gradio_app`.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import parse_qs

from starlette.datastructures import MutableHeaders
from starlette.responses import FileResponse, HTMLResponse, RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from demos import document
from demos.answers import CLOSED_POLICY, SECURITY_HEADERS
from demos.front import wanted
from demos.gateway import Gateway
from demos.own_page import OwnPage
from demos.pages import Page, Pages
from demos.paths import PAGE, RUN, SCRIPT, STREAM, DemoPath
from serving.auth import SHARE_KEY
from serving.body import decode_json
from tidegate.errors import ItemNotFound

_SCRIPT_FILE = Path(__file__).with_name("page.js")


class Demos:
    """The demo pages of one gateway, as an ASGI app behind `demos.front`."""

    def __init__(self, gateway: Gateway) -> None:
        self.pages = Pages(gateway)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Hold the background tasks and processes of the pages; they end with this block."""
        try:
            yield
        finally:
            await self.pages.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve what a page needs.

        Raises:
            TidegateError: it is refused.
        """
        path = wanted(scope)
        page = await self.pages.of(path.model)
        if path.rest == STREAM:
            await self._stream(page, scope, receive, send)
            return
        if scope["method"] == "POST":
            receive = await _checked(page, path, receive)
            async with page.asking(at_once=path.rest == RUN):
                await _answer(page, path, scope, receive, send)
            return
        await _answer(page, path, scope, receive, send)

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


async def _answer(page: Page | OwnPage, path: DemoPath, scope: Scope, receive: Receive, send: Send) -> None:
    if not path.rest:
        await RedirectResponse(f"{path.model}/", 307, SECURITY_HEADERS)(scope, receive, send)
    elif path.rest == PAGE:
        await _serve_page(page, scope, receive, send)
    elif path.rest == SCRIPT:
        await FileResponse(_SCRIPT_FILE)(scope, receive, _with_headers(send))
    else:
        await page.app(scope, receive, _with_headers(send))


async def _checked(page: Page | OwnPage, path: DemoPath, receive: Receive) -> Receive:
    """Check that the page could have asked this, and hand it on.

    Raises:
        Forbidden: a page that a run brought has events past its queue.
        MalformedRequest, InvalidInput: nothing that the page sends.
    """
    question = await receive()
    page.check(decode_json(question["body"]), at_once=path.rest == RUN)
    unread: list[Message] = [question]

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
