"""What every answer carries, and HEAD: the same as GET without a body.

Between the hot route and the router; the hot route, problems and the demos add their own headers, so what is there
stays. Answers are for the caller alone (`no-store`) unless they are files of a page; nothing is guessed from content.
Pages of other origins are shut out unless `cors_origins` names them.
Source: OWASP REST Security Cheat Sheet, "Security headers".
"""

from collections.abc import Sequence

from starlette.applications import Starlette
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

NOSNIFF = (b"x-content-type-options", b"nosniff")
NO_STORE = (b"cache-control", b"no-store")
API_HEADERS = (NOSNIFF, NO_STORE)
_FILES = (b"text/css", b"text/javascript", b"application/javascript", b"image/", b"font/")
_CALLERS_HEADERS = ("authorization", "content-type", "x-api-key", "x-caller-key", "x-deadline-ms", "x-priority")
_EXPOSED = ("retry-after", "server-timing", "x-model-version", "x-prediction-id", "x-request-id", "x-variant")
_STREAM = "/gradio_api/queue/data"  # of a demo page: without an end, so its headers would never be all


class AnswerHeaders:
    """Adds the headers, and answers HEAD where there is a GET."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        bodiless = scope["method"] == "HEAD" and not scope["path"].endswith(_STREAM)

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                _complete(message)
            elif bodiless:
                message = {**message, "body": b""}
            await send(message)

        await self._app({**scope, "method": "GET"} if bodiless else scope, receive, send_with_headers)


def _complete(start: Message) -> None:
    headers = dict(start.get("headers", ()))
    added = [] if NOSNIFF[0] in headers else [NOSNIFF]
    if NO_STORE[0] not in headers and not headers.get(b"content-type", b"").startswith(_FILES):
        added.append(NO_STORE)
    start["headers"] = [*start.get("headers", ()), *added]


def allow_origins(app: Starlette, origins: Sequence[str]) -> None:
    """Let web pages of these origins call the API with a key; call it last, since preflights carry no key."""
    if origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=origins,
            allow_methods=["GET", "POST", "PUT", "DELETE"],
            allow_headers=_CALLERS_HEADERS,
            expose_headers=_EXPOSED,
        )
