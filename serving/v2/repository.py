"""V2's model repository extension over REST: what is there, load, unload. For those who may administer.

Load and unload are `Repository.load` and `unload`: the change is kept in the store, every process that serves it
follows, and a restart finds it as it was left. Configurations and files that a request brings along are refused: what
is served was exported and verified. Limits: `unload_dependents` changes nothing, since no model depends on another.
Source: Triton, model repository extension.
"""

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from serving.body import Head, decode_json, read_body
from serving.foreign import errors, gateway_of, json_response
from serving.lean_route import LeanRoute, documented
from serving.repository import Repository
from serving.v2 import specs
from serving.v2.routes import ERROR, TYPES, UNTOLD
from serving.v2.schemas import IndexEntry, IndexRequest, LoadRequest
from tidegate.errors import MalformedRequest, ModelNotFound, UsageError

router = APIRouter(route_class=LeanRoute, prefix="/v2/repository", tags=["Open Inference Protocol V2"])


def _optional(body: type[IndexRequest | LoadRequest], *, model: bool) -> dict[str, Any]:
    extra = documented(body, model=model)
    extra["requestBody"]["required"] = False
    return extra


@router.post(
    "/index",
    summary="What the repository holds",
    response_model=list[IndexEntry],
    responses=errors(ERROR, 400, 401, 408, 413, 415),
    openapi_extra=_optional(IndexRequest, model=False),
)
async def index(request: Request) -> Response:
    """Every model, twice: as texts and as tensors."""
    sent = await _document(request, UNTOLD)
    ready = sent.get("ready", False)
    if not isinstance(ready, bool):
        raise MalformedRequest("ready must be true or false")
    return json_response(specs.index(gateway_of(request).repository, ready=ready))


@router.post(
    "/models/{model}/load",
    summary="Serve a model, or try again with one that failed",
    response_class=Response,
    responses=errors(ERROR, 400, 401, 403, 404, 408, 413, 415, 503),
    openapi_extra=_optional(LoadRequest, model=True),
)
async def load(request: Request) -> Response:
    """Answers with nothing once it is warm."""
    check_load(parameters_of(await _document(request)))
    await change(gateway_of(request).repository, request.path_params["model"], serve=True)
    return Response()


@router.post(
    "/models/{model}/unload",
    summary="Serve a model no more",
    response_class=Response,
    responses=errors(ERROR, 400, 401, 403, 404, 408, 413, 415, 503),
    openapi_extra=_optional(LoadRequest, model=True),
)
async def unload(request: Request) -> Response:
    """Answers with nothing; requests that it took are still answered."""
    parameters_of(await _document(request))
    await change(gateway_of(request).repository, request.path_params["model"], serve=False)
    return Response()


async def change(repository: Repository, name: str, *, serve: bool) -> None:
    """Load or unload what a name stands for: a graph goes and comes with its model.

    Raises:
        ModelNotFound, BundleNotFound: the store has no such model.
        OpeningFailed: it could not be opened.
    """
    base = name.removesuffix(specs.SUFFIX)
    model = base if name not in repository.states and base in repository.states else name
    try:
        await (repository.load(model) if serve else repository.unload(model))
    except UsageError as error:  # no name that a model could have
        raise ModelNotFound(str(error)) from None


def check_load(parameters: Mapping[str, Any]) -> None:
    """Refuse what a request may not bring along.

    Raises:
        MalformedRequest: a configuration, or files.
    """
    for name in parameters:
        if name == "config" or name.startswith("file:"):
            raise MalformedRequest(
                f"parameter {name[:80]!r}: what is served was exported and verified; export a new version instead"
            )


def parameters_of(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """The parameters of a decoded body.

    Raises:
        MalformedRequest: they are no object.
    """
    parameters = document.get("parameters", {})
    if not isinstance(parameters, dict):
        raise MalformedRequest("parameters must be a JSON object")
    return parameters


async def _document(request: Request, *more_types: bytes) -> dict[str, Any]:
    """The body, which may be empty."""
    limit = gateway_of(request).settings.max_body_bytes
    body = await read_body(Head.of(request.scope), request.receive, limit, (*TYPES, *more_types))
    document = decode_json(body) if body else {}
    if not isinstance(document, dict):
        raise MalformedRequest("the body must be a JSON object, or nothing")
    return document
