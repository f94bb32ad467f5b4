"""Which version answers whom: read it, move it. The routes of versions and aliases, for those who may administer.

What they do is what `tidegate bundles alias` and `rollback` do; here the answer comes when the version is live on this
worker, the others follow within seconds (`serving.following.WATCH_SECONDS`). A version that cannot be loaded is
answered 503, the alias goes back to where it was, and nothing changed for anybody.
"""

from collections.abc import Callable
from typing import Any

import orjson
from fastapi import APIRouter
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from serving import codec
from serving.body import read_json
from serving.gateway import Gateway
from serving.lean_route import LeanRoute, documented, problems
from serving.schemas import AliasRequest, Traffic
from tidegate.errors import InvalidInput, UsageError

router = APIRouter(route_class=LeanRoute)


@router.get(
    "/models/{model}/traffic",
    summary="Who answers whom, and how the versions compare",
    response_model=Traffic,
    responses=problems(404, 503),
    openapi_extra=documented(),
)
async def traffic(request: Request) -> Response:
    """Champion, canary and shadow since the last change, with what auto-promotion would do."""
    gateway, name = _gateway(request), request.path_params["model"]
    rollout = gateway.repository.rollout(name)
    return _json(await run_in_threadpool(gateway.rollouts.document, name, rollout))


@router.put(
    "/models/{model}/aliases/{alias}",
    summary="Point an alias at a version",
    description="Answers once the version is loaded, verified, warm, and takes the traffic; no request is dropped.",
    response_model=Traffic,
    responses=problems(400, 404, 413, 415, 422, 503),
    openapi_extra=documented(AliasRequest, path=("alias",)),
)
async def set_alias(request: Request) -> Response:
    """Champion, canary (for a share of the callers), shadow."""
    gateway, name, alias = _gateway(request), request.path_params["model"], request.path_params["alias"]
    sent = codec.decode_alias(await read_json(request, gateway.settings))
    return await _changed(request, lambda: gateway.bundles.set_alias(name, alias, sent.version, sent.percent))


@router.delete(
    "/models/{model}/aliases/{alias}",
    summary="Take the canary or the shadow away",
    response_model=Traffic,
    responses=problems(404, 422, 503),
    openapi_extra=documented(path=("alias",)),
)
async def drop_alias(request: Request) -> Response:
    """The champion cannot be taken away."""
    gateway, name, alias = _gateway(request), request.path_params["model"], request.path_params["alias"]
    return await _changed(request, lambda: gateway.bundles.drop_alias(name, alias))


@router.post(
    "/models/{model}/rollback",
    summary="Point the champion at the one before it",
    response_model=Traffic,
    responses=problems(404, 422, 503),
    openapi_extra=documented(),
)
async def rollback(request: Request) -> Response:
    """Back to the champion before this one, or to the next older version."""
    gateway, name = _gateway(request), request.path_params["model"]
    return await _changed(request, lambda: gateway.bundles.rollback(name))


async def _changed(request: Request, change: Callable[[], object]) -> Response:
    """Make a change of aliases, and tell how the versions stand after it."""
    gateway, name = _gateway(request), request.path_params["model"]
    gateway.repository.state(name)
    try:
        await gateway.repository.change(name, change)
    except UsageError as error:
        raise InvalidInput(str(error)) from None
    return await traffic(request)


def _gateway(request: Request) -> Gateway:
    gateway: Gateway = request.app.state.gateway
    return gateway


def _json(document: Any, status: int = 200) -> Response:
    return Response(orjson.dumps(document), status, media_type="application/json")
