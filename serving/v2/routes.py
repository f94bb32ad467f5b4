"""V2 over REST: metadata, readiness, statistics, and inference in JSON or with binary tensors.

Lean routes, as everywhere: an endpoint reads the request as it came. Errors are `{"error": TEXT}`, the protocol's
shape, with the statuses of the error tree (`serving.problems` knows this prefix). Before: the key and the router;
after: `serving.v2.infer`. Loading and unloading is `serving.v2.repository`.
"""

from dataclasses import replace
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from serving import codec
from serving.body import JSON, Head, read_body
from serving.caller import caller_of
from serving.disconnect import WhileConnected
from serving.foreign import errors, gateway_of, json_response
from serving.lean_route import LeanRoute, documented
from serving.predict import HEADERS
from serving.v2 import specs, wire
from serving.v2.infer import Asked, InferAnswer, admit, infer
from serving.v2.schemas import (
    InferAnswerDocument,
    InferDocument,
    Live,
    ModelConfig,
    ModelMetadata,
    ModelReady,
    ModelStatistics,
    Ready,
    ServerMetadata,
)
from serving.v2.statistics import statistics
from tidegate.errors import TidegateError

BINARY = b"application/octet-stream"
# The protocol's clients send JSON under either name, or under none.
TYPES = (JSON, BINARY, b"")
# What curl says of any body that it is not told of; only where nothing is changed: web pages send it unasked.
UNTOLD = b"application/x-www-form-urlencoded"
ERROR = {"error": "no input 'texts'; the model takes: text"}

router = APIRouter(route_class=LeanRoute, prefix="/v2", tags=["Open Inference Protocol V2"])

_MODEL: dict[str, Any] = {"openapi_extra": documented(), "responses": errors(ERROR, 401, 404, 503)}
_VERSION: dict[str, Any] = {
    "openapi_extra": documented(path=("version",)),
    "responses": errors(ERROR, 401, 404, 503),
}
_HEADER_LENGTH = {
    "name": wire.HEADER_LENGTH,
    "in": "header",
    "required": False,
    "description": "Bytes of JSON in front of binary tensors; 0 where the body is nothing but the one input.",
    "schema": {"type": "integer", "minimum": 0},
}


def _infer_documented(*path: str) -> dict[str, Any]:
    """How the two addresses of inference are documented: JSON, or JSON with tensors behind it."""
    extra = documented(InferDocument, headers=(*HEADERS, _HEADER_LENGTH), path=path)
    extra["requestBody"]["content"][BINARY.decode()] = {"schema": {"type": "string", "format": "binary"}}
    binary = {BINARY.decode(): {"schema": {"type": "string", "format": "binary"}}}
    return {
        "response_model": InferAnswerDocument,
        "responses": {200: {"content": binary}, **errors(ERROR, 400, 401, 404, 408, 413, 415, 422, 429, 500, 503, 504)},
        "openapi_extra": extra,
    }


@router.get(
    "",
    summary="What the server is",
    response_model=ServerMetadata,
    responses=errors(ERROR, 401),
    openapi_extra=documented(model=False),
)
async def server_metadata(_request: Request) -> Response:
    """Name, version, extensions."""
    return json_response(specs.server_metadata())


@router.get("/health/live", summary="The process is alive", response_model=Live, openapi_extra=documented(model=False))
async def live(_request: Request) -> Response:
    """Alive, whatever the models do."""
    return json_response({"live": True})


@router.get(
    "/health/ready",
    summary="Every model answers",
    response_model=Ready,
    responses={503: {"model": Ready, "description": "A model is loading or failed, or the server is about to leave."}},
    openapi_extra=documented(model=False),
)
async def ready(request: Request) -> Response:
    """200 or 503, as `/readyz`."""
    is_ready = gateway_of(request).ready
    return json_response({"ready": is_ready}, 200 if is_ready else 503)


@router.get(
    "/models/stats",
    summary="Statistics of all models",
    response_model=ModelStatistics,
    responses=errors(ERROR, 401),
    openapi_extra=documented(model=False),
)
async def all_statistics(request: Request) -> Response:
    """Of every live version."""
    return json_response(statistics(gateway_of(request).repository, "", None))


@router.get("/models/{model}/stats", summary="Statistics of a model", response_model=ModelStatistics, **_MODEL)
@router.get(
    "/models/{model}/versions/{version}/stats",
    summary="Statistics of a version",
    response_model=ModelStatistics,
    **_VERSION,
)
async def model_statistics(request: Request) -> Response:
    """How often, how long, in which stage."""
    repository, version = gateway_of(request).repository, _version(request)
    return json_response(statistics(repository, request.path_params["model"], version))


@router.get("/models/{model}", summary="What a model takes and gives", response_model=ModelMetadata, **_MODEL)
@router.get(
    "/models/{model}/versions/{version}",
    summary="What a version takes and gives",
    response_model=ModelMetadata,
    **_VERSION,
)
async def model_metadata(request: Request) -> Response:
    """Inputs, outputs, live versions."""
    return json_response(specs.model_metadata(gateway_of(request).repository, _target(request), _version(request)))


@router.get("/models/{model}/config", summary="Its Triton configuration", response_model=ModelConfig, **_MODEL)
@router.get(
    "/models/{model}/versions/{version}/config",
    summary="A version's Triton configuration",
    response_model=ModelConfig,
    **_VERSION,
)
async def model_config(request: Request) -> Response:
    """For clients that ask for it before they measure."""
    return json_response(specs.model_config(gateway_of(request).repository, _target(request), _version(request)))


@router.get("/models/{model}/ready", summary="The model answers", response_model=ModelReady, **_MODEL)
@router.get(
    "/models/{model}/versions/{version}/ready", summary="The version answers", response_model=ModelReady, **_VERSION
)
async def model_ready(request: Request) -> Response:
    """200 or 503; 404 where there is no such model."""
    target = _target(request)
    is_ready = specs.is_ready(gateway_of(request).repository, target, _version(request))
    return json_response({"name": target.name, "ready": is_ready}, 200 if is_ready else 503)


@router.post("/models/{model}/infer", summary="Infer", **_infer_documented())
@router.post(
    "/models/{model}/versions/{version}/infer", summary="Infer, by a certain version", **_infer_documented("version")
)
async def model_infer(request: Request) -> Response:
    """Texts to labels and scores, or tensors through the graph."""
    gateway = gateway_of(request)
    head = Head.of(request.scope)
    target = ""
    try:
        asked = _asked(request, head)
        target = asked.target.model
        admit(gateway, asked)
        length = wire.header_length(request.headers.get(wire.HEADER_LENGTH, "").encode("latin-1"))
        limit = gateway.settings.max_body_bytes
        body = await read_body(replace(head, content_encoding=b""), request.receive, limit, (*TYPES, UNTOLD))
        body = wire.unpack(body, head.content_encoding, limit)
        if length == 0:
            served = gateway.repository.get(asked.target.model, asked.version)
            question, forms = wire.decode_raw(body, asked.target.inputs(served))
        else:
            question, forms = wire.decode(body, length)
    except TidegateError as error:
        gateway.metrics.refuse(target, error.status)
        raise
    async with WhileConnected(request.receive):
        answer = await infer(gateway, asked, question)
    return _answered(answer, forms, request.headers.get("accept-encoding", ""))


def _asked(request: Request, head: Head) -> Asked:
    caller = caller_of(request.scope, head.caller, head.priority)
    return Asked(_target(request), _version(request), codec.decode_deadline(head.deadline), caller)


def _answered(answer: InferAnswer, forms: wire.Forms, accepted: str) -> Response:
    body, length = wire.encode(answer, forms)
    body, coding = wire.pack(body, accepted)
    response = Response(body, media_type="application/json" if length is None else BINARY.decode())
    if length is not None:
        response.headers[wire.HEADER_LENGTH] = str(length)
    if coding:
        response.headers["content-encoding"] = coding
    if answer.predictions is not None:
        response.raw_headers.extend(codec.answer_headers(answer.predictions))
    return response


def _target(request: Request) -> specs.Target:
    return specs.target_of(gateway_of(request).repository, request.path_params["model"])


def _version(request: Request) -> int | None:
    return specs.version_of(request.path_params.get("version"))
