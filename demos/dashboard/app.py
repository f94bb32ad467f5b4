"""The routes of `/dashboard`: every view as a page, each of its tables as CSV (`?csv=NAME`), style and script.

For keys that may annotate (`serving.access`), since it shows texts that others sent. What a view refuses is a page
too, for browsers; programs get the problem document of every other route.
Before: `tidegate.cli.gateway` mounts it, in every worker; after: a browser. No view runs on the event loop for long:
what reads disk or database does so in threads.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import cache
from http import HTTPStatus
from pathlib import Path

from fastapi import APIRouter, FastAPI
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from demos.dashboard import live
from demos.dashboard.alert_decision import decide
from demos.dashboard.content import Page
from demos.dashboard.models import MODELS
from demos.dashboard.page import render
from demos.dashboard.ring import Ring, following
from demos.dashboard.sheet import to_csv
from demos.dashboard.views import VIEWS, View
from demos.dashboard.visit import NoRuns, Runs, Visit
from serving.access import Role
from serving.auth import PRINCIPAL
from serving.keys import ApiKey
from tidegate.errors import ItemNotFound, TidegateError

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
_HEADERS = {
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",  # with none, browsers send forms from the origin "null", which is refused
    "cross-origin-opener-policy": "same-origin",
    "cache-control": "no-store",
}
_TYPES = {".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8"}
_ASSETS = ("page.css", "page.js", "theme.js", "live.js", "live_plots.js", "health.js")


def mount_dashboard(app: FastAPI, runs: Runs | None = None) -> None:
    """Add the dashboard's routes to a gateway's app.

    Args:
        app: with the gateway in its state.
        runs: where to read the registry's runs; None where there is none.
    """
    ring = Ring()

    @asynccontextmanager
    async def lifespan(_app: object) -> AsyncIterator[None]:
        async with following(ring, app.state.gateway):
            yield

    router = APIRouter(include_in_schema=False, lifespan=lifespan)
    for path, view in VIEWS.items():
        router.add_api_route(path, _route(view, runs or NoRuns(), ring))
    router.add_api_route("/dashboard/live.json", _live_route(ring))
    router.add_api_route("/dashboard/alerts/{alert}", decide, methods=["POST"])
    for name in _ASSETS:
        router.add_api_route(f"/dashboard/{name}", _asset_route(name))
    app.include_router(router)


def _route(view: View, runs: Runs, ring: Ring) -> Callable[..., Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        asked = request.query_params
        query = {name: asked.getlist(name) for name in asked}
        try:
            page = await view(Visit(request.app.state.gateway, runs, request.path_params, query, ring, _role(request)))
        except TidegateError as error:
            if "text/html" not in request.headers.get("accept", "") or "csv" in query:
                raise
            page, status = Page(HTTPStatus(error.status).phrase, f"{error}.", [], [MODELS]), error.status
        else:
            status = 200
        if "csv" in query:
            return _csv(page, query["csv"][0])
        root = str(request.scope.get("root_path", ""))
        path = request.url.path.removeprefix(root)
        document = await run_in_threadpool(render, page, path, asked.multi_items(), root)
        return HTMLResponse(document, status, headers=_HEADERS)

    return answer


def _live_route(ring: Ring) -> Callable[..., Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        document = await live.document(request.app.state.gateway, ring, request.query_params)
        return Response(document, media_type="application/json", headers=_HEADERS)

    return answer


def _role(request: Request) -> Role:
    """What the visitor may do; where no key is asked for, everybody may do everything."""
    key: ApiKey | None = request.scope.get(PRINCIPAL)
    return Role.ADMIN if key is None else key.role


def _csv(page: Page, name: str) -> Response:
    """A table of a page.

    Raises:
        ItemNotFound: it has none of that name.
    """
    tables = {table.name: table for table in page.tables()}
    if name not in tables:
        known = ", ".join(tables) or "none"
        raise ItemNotFound(f"no table {name[:40]!r} on this page; it has: {known}")
    headers = {"content-disposition": f'attachment; filename="{name}.csv"'}
    return Response(to_csv(tables[name]), media_type="text/csv; charset=utf-8", headers=_HEADERS | headers)


def _asset_route(name: str) -> Callable[..., Awaitable[Response]]:
    async def answer() -> Response:
        headers = _HEADERS | {"cache-control": "no-cache"}
        return Response(_asset(name), media_type=_TYPES[Path(name).suffix], headers=headers)

    return answer


@cache
def _asset(name: str) -> bytes:
    return Path(__file__).with_name(name).read_bytes()
