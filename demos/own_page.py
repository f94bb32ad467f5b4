"""A page that a run brought, as the gateway sees it: an app that hands requests to the page's process.

Before: `demos.app` has checked path and size, for everybody alike; after: `demos.own_process`. No credential of a
visitor goes over: of a request its session, its body and what it accepts; of an answer its body and what that is.
`Answerer` is all that the page may ask of the gateway: what a visitor of the built-in page may.
Source: CSP Level 3 (sources with a path, `sandbox`) for what the page's scripts may do in a visitor's browser.
"""

import asyncio
import contextlib
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, quote

import httpx
from starlette.datastructures import Headers
from starlette.types import Message, Receive, Scope, Send

from demos import document
from demos.client import Client, Reply
from demos.entrance import HOST
from demos.many import MOST_ROWS
from demos.own_child import ROOT, SCHEME
from demos.own_process import OwnProcess
from demos.relay import Relay
from demos.wiring import MAX_AT_ONCE, MAX_LONG_AT_ONCE, explained
from serving.body import json_object
from serving.root_path import below_root
from tidegate.bundle import Bundle
from tidegate.errors import BundleCorrupt, Forbidden, InvalidInput

QUESTION = ("data", "event_data", "fn_index", "session_hash", "trigger_id")  # what Gradio's frontend sends
_SESSION = re.compile(r"[A-Za-z0-9_-]{1,64}")
_ASKED = frozenset((b"host", b"accept", b"accept-encoding", b"content-type", b"content-length"))
_ANSWERED = frozenset((b"content-type", b"content-encoding", b"cache-control", b"etag", b"last-modified"))


@dataclass(frozen=True, slots=True)
class Answerer:
    """Answers what a page asks of the gateway, with the limits of the built-in page."""

    client: Client
    _single: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(MAX_AT_ONCE))
    _lists: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(MAX_LONG_AT_ONCE))

    async def answer(self, question: Mapping[str, Any]) -> Mapping[str, Any]:
        """`{"answer": ...}`, or `{"fault": why not, in words for a visitor}`."""
        try:
            return {"answer": await self._answer(question)}
        except Exception as error:
            return {"fault": explained(error)}

    async def _answer(self, question: Mapping[str, Any]) -> Any:
        if question.get("ask") == "report":
            wanted = [_text(question.get(name), name) for name in ("prediction", "label", "comment")]
            return await self.client.report(*wanted)
        if question.get("ask") != "predict":
            raise InvalidInput("a page may ask for predictions and report wrong labels, and nothing else")
        texts = question.get("texts")
        if not isinstance(texts, list) or not 0 < len(texts) <= MOST_ROWS:
            raise InvalidInput(f"the page asked for no list of 1 to {MOST_ROWS:,} texts")
        texts = [_text(text, "text") for text in texts]
        async with self._single if len(texts) == 1 else self._lists:
            return await self._predict(texts)

    async def _predict(self, texts: list[str]) -> list[dict[str, Any]]:
        manifest = self.client.gateway.repository.get(self.client.model).manifest
        if manifest.embedding is not None:
            return [{"id": one, "vector": list(vector)} for one, vector in await self.client.ask_vectors(texts)]
        replies = [await self.client.ask(texts[0])] if len(texts) == 1 else await self.client.ask_list(texts)
        return [_told(reply, manifest.labels) for reply in replies]


class OwnPage:
    """One version's own page, with its process; made by `opened`, which is called on the event loop.

    Attributes:
        version: of the bundle that brought it.
        app: what answers for the page; this object.
    """

    def __init__(self, bundle: Bundle, source: bytes, client: Client) -> None:
        manifest = bundle.manifest
        self.version = manifest.version
        self.app = self
        orders = {
            "model": manifest.name,
            "labels": manifest.labels,
            "samples": manifest.samples,
            "most_bytes": client.gateway.settings.max_body_bytes,
        }
        self._process = OwnProcess(f"{manifest.name}/{manifest.version}", source, orders, Answerer(client).answer)
        self._running = asyncio.create_task(self._process.run())

    async def close(self) -> None:
        """End the process and all that it started."""
        self._running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._running

    async def ready(self) -> None:
        """Return when the page answers; raises `NotReady` when it is down."""
        await self._process.ready()

    def awaits(self, session: str) -> bool:
        """Whether this is a session; whether anybody asked in it, the page's process knows."""
        return _SESSION.fullmatch(session) is not None

    def asking(self, *, at_once: bool) -> contextlib.AbstractAsyncContextManager[None]:  # noqa: ARG002  `check` has judged
        """While a question is handed on; the page's process is awake."""
        return contextlib.nullcontext()

    def forget(self, session: str) -> None:
        """The page's process remembers for itself."""

    def check(self, asked: Any, *, at_once: bool) -> None:
        """Refuse what no page of Gradio's sends; what an event takes, the page's process knows.

        Raises:
            Forbidden: it is not for the queue, which alone bounds what a page does at once.
            InvalidInput: not in the shape of a question.
        """
        if at_once:
            raise Forbidden("an event with queue=False is not run here; leave it in the page's queue")
        question = json_object(asked, QUESTION)
        session, event, data = (question.get(name) for name in ("session_hash", "fn_index", "data"))
        if not isinstance(session, str) or not _SESSION.fullmatch(session):
            raise InvalidInput("session_hash is no name of a session; open the page anew", pointer="/session_hash")
        if type(event) is not int or event < 0:
            raise InvalidInput("fn_index is no event of a page; open the page anew", pointer="/fn_index")
        if not isinstance(data, list):
            raise InvalidInput("data is no list; open the page anew", pointer="/data")

    def policy(self, html: str, scope: Scope) -> str:
        """What the page's scripts may do: ask this page's own paths, and open nothing."""
        host = Headers(scope=scope).get("host", "")
        place = f"{scope.get('scheme', 'http')}://{host}{_root(scope)}/{_below(scope)[1]}/"
        return document.strict_policy(html, place if HOST.fullmatch(host) else "'none'")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand a request over, and the answer back."""
        transport = await self._process.ready()
        told = _Told(send)
        try:
            await Relay(transport, "http://page")(_handed_over(scope), receive, told.send)
        except httpx.TransportError:  # the process ended in the middle of an answer, which therefore ends here
            await told.end()


@dataclass(slots=True)
class _Told:
    """Passes an answer on without the headers that are not the page's to set."""

    _send: Send
    _started: bool = False

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._started = True
            headers = [(name, value) for name, value in message["headers"] if name.lower() in _ANSWERED]
            message = {**message, "headers": headers}
        await self._send(message)

    async def end(self) -> None:
        if self._started:
            await self._send({"type": "http.response.body", "body": b"", "more_body": False})


def source_of(bundle: Bundle) -> bytes:
    """The `demo.py` of a bundle, byte for byte as it was published.

    Raises:
        BundleCorrupt: it is another one now.
    """
    name = bundle.manifest.demo or ""
    source = bundle.file(name).read_bytes()
    if hashlib.sha256(source).hexdigest() != bundle.manifest.files[name].sha256:
        raise BundleCorrupt(f"{bundle.file(name)} is not what was published, so it is not run; export it again")
    return source


def _handed_over(scope: Scope) -> Scope:
    """The request as the page's process gets it: no cookie, no key, no address of who asks."""
    session = _session(scope["query_string"])
    headers = [(name, value) for name, value in scope["headers"] if name in _ASKED]
    headers += [(ROOT, _root(scope).encode("latin-1")), (SCHEME, scope.get("scheme", "http").encode())]
    return {
        **scope,
        "raw_path": _below(scope)[0].encode("latin-1"),
        "query_string": b"" if session is None else f"session_hash={quote(session)}".encode(),
        "headers": headers,
    }


def _below(scope: Scope) -> tuple[str, str]:
    """The path below the mount, which is `/MODEL/...` without an escape (`demos.paths`), and the model."""
    path = below_root(scope)
    return path, path.split("/", 2)[1]


def _root(scope: Scope) -> str:
    root: str = scope.get("root_path", "")
    return root


def _session(query: bytes) -> str | None:
    sessions = parse_qs(query.decode("latin-1")).get("session_hash", [])
    return sessions[0] if len(sessions) == 1 and _SESSION.fullmatch(sessions[0]) else None


def _text(value: Any, name: str) -> str:
    if not isinstance(value, str):
        raise InvalidInput(f"the page sent a {name} that is no text")
    return value


def _told(reply: Reply, labels: tuple[str, ...]) -> dict[str, Any]:
    answer = reply.answer
    return {
        "id": reply.id,
        "label": answer.label,
        "score": answer.score,
        "abstained": answer.abstained,
        "scores": dict(zip(labels, answer.scores, strict=False)),
    }
