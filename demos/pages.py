"""The built pages, by what each was built from: a promotion, a rollback or another load makes a new one.

Before: `demos.app` asks for the page of a model; after: Gradio, in `demos.queueing`. A page is built when it is first
opened. One whose model moved on is let go at the next request; whoever still waits for its answer gets it from there.
The numbers of a page's components begin at a number drawn from its source, so they are the same in every process
that builds it and another page has none of them: that is how an older page is known by its questions.
Source: Gradio 6.31 `routes.mount_gradio_app`, whose routes are built at once and are most of what a page weighs.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import gradio as gr
from fastapi import FastAPI
from fastapi.dependencies import models
from gradio.context import Context
from gradio.routes import App
from starlette.routing import BaseRoute, Mount
from starlette.types import Scope

from demos import document
from demos.about import weaknesses
from demos.client import Client
from demos.embedding_page import build_embedding_page
from demos.gateway import Gateway
from demos.mounting import MAX_WAITING, mounted
from demos.own_page import OwnPage, source_of
from demos.page import build_page
from demos.question import check_question
from demos.queueing import QueueRunner
from demos.sessions import forget_visitors
from tidegate import __version__
from tidegate.bundle import Bundle, Manifest
from tidegate.errors import ModelNotFound, NotReady, Overloaded

# Of Gradio's routes, those that `demos.paths` lets through; the others would never be asked, and weigh 3 MB a page.
_ROUTES = frozenset(
    (
        "/",
        "/theme.css",
        "/assets/{path:path}",
        "/static/{path:path}",
        "/gradio_api/queue/join",
        "/gradio_api/queue/data",
        "/gradio_api/run/{api_name}",
        "/gradio_api/app_id",
    )
)
_NUMBERS_A_PAGE = 10_000  # more than a page has components
_SOURCE_BITS = 36  # times `_NUMBERS_A_PAGE` stays below 2**53, the largest number that JavaScript counts to

Events = Mapping[int, Sequence[frozenset[str] | None]]


@dataclass(frozen=True, slots=True)
class Page:
    """A built page.

    Attributes:
        manifest: what it was built from.
        source: digest of that.
        app: Gradio's, around its blocks.
        at_once: events that are answered at once: number to inputs, the values of one that is a choice, None for text.
        queued: events that wait in the queue, likewise.
        components: the numbers that it may name.
        queue: of its questions.
    """

    manifest: Manifest
    source: str
    app: FastAPI
    at_once: Events
    queued: Events
    components: frozenset[int]
    queue: QueueRunner
    _room: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(MAX_WAITING))

    def check(self, asked: Any, *, at_once: bool) -> None:
        """Refuse what the page does not send there; raises `InvalidInput`."""
        check_question(asked, self.at_once if at_once else self.queued, self.components)

    @asynccontextmanager
    async def asking(self, *, at_once: bool) -> AsyncIterator[None]:
        """While a question is handed on to the queue, or answered at once.

        Raises:
            Overloaded: as many are answered at once as may be.
        """
        if not at_once:
            with self.queue.asking():
                yield
            return
        if self._room.locked():
            raise Overloaded("this page answers as many as it can; ask again in a moment", retry_after_seconds=1.0)
        async with self._room:
            yield

    def awaits(self, session: str) -> bool:
        """Whether somebody has asked in a session and has not read all answers."""
        return self.queue.awaits(session)

    def forget(self, session: str) -> None:
        """Drop what is kept for a session that has read its answers."""
        self.queue.forget(session)

    def policy(self, html: str, _: Scope) -> str:
        """The Content-Security-Policy of the page."""
        return document.policy(html)


class Pages:
    """The pages of one gateway."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._pages: dict[str, Page] = {}
        self._old: list[Page] = []  # somebody may wait for their answers
        self._own: dict[str, OwnPage] = {}  # those that runs brought and that are trusted, by model
        self._building = asyncio.Lock()  # Gradio builds into one global context

    async def of(self, model: str) -> Page | OwnPage:
        """The page of what a served model answers with now: the one that its run brought if that is trusted.

        Raises:
            ModelNotFound: it is not served.
            NotReady: it is loading, unloaded, or failed to load; or its own page is down.
        """
        page = self._current(model)
        own = await self._own_page(self._gateway.repository.get(model).bundle)
        if own is not None:
            await own.ready()
            return own
        if page is None:
            async with self._building:
                self._let_go()
                page = self._current(model)
                if page is None:
                    # In a thread, to keep the gateway's loop free, and with a loop of its own: Gradio's locks ask for
                    # one at birth, and would leave one open in each worker thread (gradio `utils.safe_get_lock`).
                    page = await asyncio.to_thread(asyncio.run, self._build(model))
                    self._pages[model] = page
        return page

    def waiting(self, now: Page | OwnPage, session: str) -> Page | OwnPage | None:
        """The page, of now or from before, at which a session asked what was not answered yet."""
        if isinstance(now, OwnPage):
            return now if now.awaits(session) else None
        old = (page for page in self._old if page.manifest.name == now.manifest.name)
        return next((page for page in (now, *old) if page.awaits(session)), None)

    async def close(self) -> None:
        """End the queues and the processes."""
        for page in (*self._pages.values(), *self._old):
            await page.queue.close()
        for own in self._own.values():
            await own.close()
        self._pages.clear()
        self._old.clear()
        self._own.clear()

    def _current(self, model: str) -> Page | None:
        """The page that is still right, if there is one; an older one is set aside."""
        page = self._pages.get(model)
        try:
            served = self._gateway.repository.get(model)
        except (ModelNotFound, NotReady):
            self._set_aside(model)
            raise
        if page is None or page.manifest is served.manifest:
            return page
        if page.source != _digest(served.manifest):
            self._set_aside(model)
            return None
        self._pages[model] = replace(page, manifest=served.manifest)  # the same version, loaded again
        return page

    def _set_aside(self, model: str) -> None:
        page = self._pages.pop(model, None)
        if page is not None and page.queue.works:
            self._old.append(page)

    def _let_go(self) -> None:
        """Forget the old pages that nobody waits for, and those of models that are served no more."""
        self._old = [page for page in self._old if page.queue.works]
        for model in list(self._pages):
            try:
                self._gateway.repository.get(model)
            except (ModelNotFound, NotReady):
                self._set_aside(model)

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
        served = self._gateway.repository.get(model)
        source, client = _digest(served.manifest), Client(self._gateway, model)
        Context.id = int(source, 16) % 2**_SOURCE_BITS * _NUMBERS_A_PAGE
        if served.manifest.embedding is not None:
            blocks = build_embedding_page(served.manifest, client)
        else:
            blocks = build_page(served.manifest, client, weaknesses(served.bundle))
        events = {number: [_choices(one) for one in event.inputs] for number, event in blocks.fns.items()}
        queued = {number: inputs for number, inputs in events.items() if blocks.fns[number].queue}
        at_once = {number: inputs for number, inputs in events.items() if number not in queued}
        app = mounted(blocks, model)
        _slim(app, blocks)
        return Page(served.manifest, source, app, at_once, queued, frozenset(blocks.blocks), QueueRunner(blocks))


def _digest(manifest: Manifest) -> str:
    """Of what a page is built from: name, version, the digest of every file of the bundle, and this program."""
    return hashlib.sha256(f"{__version__} {manifest.model_dump_json()}".encode()).hexdigest()


def _slim(outer: FastAPI, blocks: gr.Blocks) -> None:
    """Take off a mounted page what no page of ours uses."""
    [app] = (route.app for route in outer.routes if isinstance(route, Mount) and isinstance(route.app, App))
    blocks.app = app  # in place of one of the three that its blocks made before
    _keep_needed(app.router.routes)
    _let_go_of_endpoints()
    forget_visitors(blocks)


def _let_go_of_endpoints() -> None:
    """Empty FastAPI's caches of what kind of function an endpoint is: they hold endpoints, and those whole pages."""
    for cached in vars(models).values():
        if hasattr(cached, "cache_clear"):
            cached.cache_clear()


def _keep_needed(routes: list[BaseRoute]) -> None:
    """Drop what no page asks for; FastAPI keeps the routes of an included router in a router of their own."""
    for route in routes:
        included: Any = getattr(route, "original_router", None)
        if included is not None:
            _keep_needed(included.routes)
    routes[:] = [
        route for route in routes if hasattr(route, "original_router") or getattr(route, "path", None) in _ROUTES
    ]


def _choices(component: Any) -> frozenset[str] | None:
    return frozenset(str(value) for _, value in component.choices) if isinstance(component, gr.Radio) else None
