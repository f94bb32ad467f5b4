"""The routes of alerts: what was found about the models, and who looks at it. Reading takes what predicting takes.

Monitoring raises and keeps them; here they are listed, acknowledged and resolved, as `tidegate alerts` does beside the
server. Whoever acknowledges is named by the key that was sent. Limits: every alert in one answer, without pages; there
is about one for each time that something went wrong.
"""

from typing import Any, cast, get_args

import orjson
from fastapi import APIRouter
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from serving import codec
from serving.auth import PRINCIPAL
from serving.body import Head, decode_json, read_body
from serving.gateway import Gateway
from serving.lean_route import LeanRoute, documented, problems
from serving.schemas import AlertDescription, AlertNote
from tidegate.errors import InvalidInput, ItemNotFound
from tidegate.records import AlertState

router = APIRouter(route_class=LeanRoute)

_STATES = get_args(AlertState)
_FILTERS: tuple[dict[str, Any], ...] = (
    {"in": "query", "name": "model", "schema": {"type": "string"}},
    {"in": "query", "name": "state", "schema": {"type": "string", "enum": list(_STATES)}},
)


@router.get(
    "/alerts",
    summary="List alerts",
    response_model=list[AlertDescription],
    responses=problems(422, 503),
    openapi_extra=documented(headers=_FILTERS, model=False),
)
async def list_alerts(request: Request) -> Response:
    """Every alert, newest first; of one model or in one state if asked for."""
    query = request.query_params
    state = query.get("state")
    if state is not None and state not in _STATES:
        raise InvalidInput(f"no alert is ever {state[:80]!r}; ask for one of: {', '.join(_STATES)}")
    asked = cast(AlertState | None, state)
    return _json(await run_in_threadpool(_gateway(request).monitor.alerts, query.get("model"), asked))


@router.get(
    "/alerts/{alert}",
    summary="Describe an alert",
    response_model=AlertDescription,
    responses=problems(404, 503),
    openapi_extra=documented(model=False, path=("alert",)),
)
async def describe_alert(request: Request) -> Response:
    """Features, windows, times, people."""
    return _json(await run_in_threadpool(_gateway(request).monitor.alert, _id(request)))


def _noted() -> dict[str, Any]:
    extra = documented(AlertNote, model=False, path=("alert",))
    extra["requestBody"]["required"] = False
    return extra


@router.post(
    "/alerts/{alert}/ack",
    summary="Say that somebody looks at an alert",
    response_model=AlertDescription,
    responses=problems(400, 403, 404, 408, 413, 415, 422, 503),
    openapi_extra=_noted(),
)
async def acknowledge(request: Request) -> Response:
    """A second time changes nothing."""
    alert, note = _id(request), await _note(request)
    return _json(await run_in_threadpool(_gateway(request).monitor.acknowledge, alert, _by(request), note))


@router.post(
    "/alerts/{alert}/resolve",
    summary="Say that an alert is over",
    response_model=AlertDescription,
    responses=problems(400, 403, 404, 408, 413, 415, 422, 503),
    openapi_extra=_noted(),
)
async def resolve(request: Request) -> Response:
    """A second time changes nothing."""
    alert, note = _id(request), await _note(request)
    return _json(await run_in_threadpool(_gateway(request).monitor.resolve, alert, _by(request), note))


def _id(request: Request) -> int:
    sent = request.path_params["alert"]
    if not (sent.isascii() and sent.isdigit() and len(sent) < 20):
        raise ItemNotFound(f"no alert {sent[:80]!r}; GET /alerts lists those there are")
    return int(sent)


async def _note(request: Request) -> str:
    """The note in the body, which may be empty."""
    head = Head.of(request.scope)
    head.content_type = head.content_type or b"application/json"
    body = await read_body(head, request.receive, _gateway(request).settings.max_body_bytes)
    return codec.decode_note(decode_json(body)).note if body else ""


def _by(request: Request) -> str:
    """Name of the key that was sent; empty where none is asked for."""
    key = request.scope.get(PRINCIPAL)
    return "" if key is None else str(key.name)


def _gateway(request: Request) -> Gateway:
    gateway: Gateway = request.app.state.gateway
    return gateway


def _json(document: Any) -> Response:
    return Response(orjson.dumps(document), media_type="application/json")
