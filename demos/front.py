"""The front of `/demo/{m}`: what the gateway itself does of a demo's request, before any of Gradio sees it.

Requests that a page does not need are refused here for everybody (`demos.paths`), so no setting of Gradio can open a
file or proxy route; so are models that are not served, and questions that are too large. What is left is handed on,
questions in one piece. Before: the gateway's app, `demos.guard` in front; after: `demos.process`, which has `demos.app`
in a process of its own (tests may put it here themselves). Nothing of Gradio is imported, which a test holds.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Protocol

from fastapi import FastAPI
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from demos.answers import refusal
from demos.gateway import Gateway
from demos.paths import DemoPath, demo_path
from serving.body import Head, read_body
from serving.root_path import below_root
from tidegate.errors import Forbidden, ModelNotFound, TidegateError

PREFIX = "/demo"
_POLICY_VIOLATION = 1008  # WebSocket close code, RFC 6455 section 7.4.1


class Pages(Protocol):
    """What has the pages: an ASGI app that is asked only what a page needs, of models that are served."""

    def open(self) -> AbstractAsyncContextManager[None]:
        """Hold what the pages need as long as the gateway runs."""
        ...

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer; may raise a `TidegateError` before it has begun to."""
        ...


def mount_demos(app: FastAPI, gateway: Gateway, pages: Pages) -> None:
    """Mount the demos of every served model on `app`; call it before the app starts up.

    Put `demos.guard.ShareGuard` in front of the app: the demos themselves know no visitors.
    """
    before: Callable[[Any], Any] = app.router.lifespan_context

    @asynccontextmanager
    async def lifespan(outer: Any) -> AsyncIterator[Any]:
        async with before(outer) as state, pages.open():
            yield state

    front = Front(gateway, pages)
    app.router.lifespan_context = lifespan
    app.mount(PREFIX, front)
    # Innermost, behind the key: who looks for a route walks through all of them, which costs more than all the rest.
    app.user_middleware.append(Middleware(BeforeRouter, front=front))


class BeforeRouter:
    """Hands what is below `PREFIX` to the front as the router's mount would, and everything else on."""

    def __init__(self, app: ASGIApp, front: "Front") -> None:
        self._app = app
        self._front = front

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on."""
        if scope["type"] != "http" or not below_root(scope).startswith(f"{PREFIX}/"):
            await self._app(scope, receive, send)
            return
        root = scope.get("root_path", "")
        place = {"root_path": root + PREFIX, "app_root_path": scope.get("app_root_path", root)}
        await self._front({**scope, **place}, receive, send)


class Front:
    """An ASGI app below `PREFIX`."""

    def __init__(self, gateway: Gateway, pages: Pages) -> None:
        self._gateway = gateway
        self._pages = pages

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand on what a page needs, refuse the rest."""
        if scope["type"] != "http":
            await receive()
            await send({"type": "websocket.close", "code": _POLICY_VIOLATION, "reason": "demos open no sockets"})
            return
        try:
            path = wanted(scope)
            self._gateway.repository.get(path.model)
            if scope["method"] == "POST":
                receive = await self._read(scope, receive)
            await self._pages(scope, receive, send)
        except ClientDisconnect:
            return
        except TidegateError as error:
            await refusal(error, scope)(scope, receive, send)

    async def _read(self, scope: Scope, receive: Receive) -> Receive:
        """Read a question, which Gradio would take at any size; what gives it again, whole.

        Raises what `read_body` raises.
        """
        body = await read_body(Head.of(scope), receive, self._gateway.settings.max_body_bytes)
        unread: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

        async def replay() -> Message:
            return unread.pop() if unread else await receive()

        return replay


def wanted(scope: Scope) -> DemoPath:
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
