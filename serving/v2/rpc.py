"""V2 over gRPC: the methods of `inference.GRPCInferenceService`, on the same functions as REST.

A message becomes what `serving.v2.infer` answers, and an answer becomes a message; the documents of `serving.v2.specs`
are the messages' fields. Who asks is judged by the same door and table as HTTP; errors become gRPC's codes by their
status. The call's own deadline is the request's; a call that is cancelled gives its place back. Before:
`serving.v2.port`. Limits: calls are not in the access log or in traces. Sources: KServe `grpc_predict_v2.proto`;
grpc.aio, servicers.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, TypeAlias

import grpc
import grpc.aio

from serving.access import role_of
from serving.gateway import Gateway
from serving.predictions import random_ids
from serving.problems import headers_of
from serving.v2 import repository, specs
from serving.v2.infer import admit, infer
from serving.v2.messages import message
from serving.v2.rpc_caller import Caller
from serving.v2.rpc_codec import decode, encode
from serving.v2.statistics import statistics
from tidegate.errors import NotReady, TidegateError
from tidegate.logs import CURRENT, Current

# The error tree's statuses as gRPC's codes; what is not here is INTERNAL.
CODES: Mapping[int, grpc.StatusCode] = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    401: grpc.StatusCode.UNAUTHENTICATED,
    403: grpc.StatusCode.PERMISSION_DENIED,
    404: grpc.StatusCode.NOT_FOUND,
    413: grpc.StatusCode.INVALID_ARGUMENT,
    415: grpc.StatusCode.INVALID_ARGUMENT,
    422: grpc.StatusCode.INVALID_ARGUMENT,
    429: grpc.StatusCode.RESOURCE_EXHAUSTED,
    503: grpc.StatusCode.UNAVAILABLE,
    504: grpc.StatusCode.DEADLINE_EXCEEDED,
}


class Service:
    """The methods; each takes a message, the caller and its key's id, and gives the fields of an answer."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self._repository = gateway.repository

    async def server_live(self, _request: Any, _caller: Caller, _key: str) -> dict[str, Any]:
        """The process answers."""
        return {"live": True}

    async def server_ready(self, _request: Any, _caller: Caller, _key: str) -> dict[str, Any]:
        """Every model answers, and the server is not about to leave."""
        return {"ready": self.gateway.ready}

    async def server_metadata(self, _request: Any, _caller: Caller, _key: str) -> dict[str, Any]:
        """What the server is."""
        return specs.server_metadata()

    async def model_ready(self, request: Any, _caller: Caller, _key: str) -> dict[str, Any]:
        """Whether a model, or one version of it, answers."""
        target = specs.target_of(self._repository, request.name)
        return {"ready": specs.is_ready(self._repository, target, specs.version_of(request.version))}

    async def model_metadata(self, request: Any, _caller: Caller, _key: str) -> dict[str, Any]:
        """What a model takes and gives."""
        target = specs.target_of(self._repository, request.name)
        return specs.model_metadata(self._repository, target, specs.version_of(request.version))

    async def model_config(self, request: Any, _caller: Caller, _key: str) -> dict[str, Any]:
        """The same as a Triton configuration."""
        target = specs.target_of(self._repository, request.name)
        return {"config": specs.model_config(self._repository, target, specs.version_of(request.version))}

    async def model_statistics(self, request: Any, _caller: Caller, _key: str) -> dict[str, Any]:
        """How often, how long, in which stage."""
        return statistics(self._repository, request.name, specs.version_of(request.version))

    async def index(self, request: Any, _caller: Caller, _key: str) -> dict[str, Any]:
        """What the repository holds."""
        return {"models": specs.index(self._repository, ready=request.ready)}

    async def load(self, request: Any, _caller: Caller, _key: str) -> dict[str, Any]:
        """Serve a model, or try again with one that failed."""
        repository.check_load(request.parameters)
        await repository.change(self._repository, request.model_name, serve=True)
        return {}

    async def unload(self, request: Any, _caller: Caller, _key: str) -> dict[str, Any]:
        """Serve a model no more."""
        await repository.change(self._repository, request.model_name, serve=False)
        return {}

    async def infer(self, request: Any, caller: Caller, key: str) -> dict[str, Any]:
        """Texts to labels and scores, or tensors through the graph."""
        asked = caller.asked(self.gateway, key, request.model_name, request.model_version)
        try:
            admit(self.gateway, asked)
            question = decode(request)
        except TidegateError as error:
            self.gateway.metrics.refuse(asked.target.model, error.status)
            raise
        answer = await infer(self.gateway, asked, question)
        return encode(answer, raw=bool(request.raw_input_contents))


_CLOSING = "the server is shutting down; send the request to another, or later"
_ids = random_ids()

log = logging.getLogger(__name__)

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
_Method = Callable[[Service, Any, Caller, str], Awaitable[dict[str, Any]]]

# Method: what answers it, and the HTTP route that asks for the same role.
METHODS: Mapping[str, tuple[_Method, str]] = {
    "ServerLive": (Service.server_live, "GET /v2/health/live"),
    "ServerReady": (Service.server_ready, "GET /v2/health/ready"),
    "ServerMetadata": (Service.server_metadata, "GET /v2"),
    "ModelReady": (Service.model_ready, "GET /v2/models/m/ready"),
    "ModelMetadata": (Service.model_metadata, "GET /v2/models/m"),
    "ModelConfig": (Service.model_config, "GET /v2/models/m/config"),
    "ModelStatistics": (Service.model_statistics, "GET /v2/models/m/stats"),
    "ModelInfer": (Service.infer, "POST /v2/models/m/infer"),
    "RepositoryIndex": (Service.index, "POST /v2/repository/index"),
    "RepositoryModelLoad": (Service.load, "POST /v2/repository/models/m/load"),
    "RepositoryModelUnload": (Service.unload, "POST /v2/repository/models/m/unload"),
}


def handlers(gateway: Gateway, closing: asyncio.Event) -> dict[str, Any]:
    """Every method as grpc wants it, by name; once `closing` is set, nothing new is begun."""
    service = Service(gateway)
    made = {name: _unary(service, name, closing) for name in METHODS}
    return made | {"ModelStreamInfer": _stream(service, closing)}


def _unary(service: Service, name: str, closing: asyncio.Event) -> Any:
    answer_class, (method, like) = message(f"{name}Response"), METHODS[name]
    need = role_of(*like.split(" "))

    async def call(request: Any, context: Context) -> Any:
        CURRENT.set(Current(_ids()))  # what is logged on its behalf carries it
        try:
            caller = Caller(context)
            key = caller.judge(service.gateway, need)
            _check_open(closing)
            return answer_class(**await method(service, request, caller, key))
        except Exception as error:
            await _abort(context, _told(error))

    return grpc.unary_unary_rpc_method_handler(
        call, message(f"{name}Request").FromString, answer_class.SerializeToString
    )


def _stream(service: Service, closing: asyncio.Event) -> Any:
    """Requests one after the other, each answered or told what is wrong with it; the stream goes on."""
    answer_class, need = message("ModelStreamInferResponse"), role_of("POST", "/v2/models/m/infer")

    async def call(requests: AsyncIterator[Any], context: Context) -> AsyncIterator[Any]:
        CURRENT.set(Current(_ids()))
        caller = Caller(context)
        async for request in _until(closing, requests):
            try:
                answer = await service.infer(request, caller, caller.judge(service.gateway, need))
                yield answer_class(infer_response=answer)
            except Exception as error:
                yield answer_class(error_message=str(_told(error)), infer_response={"id": request.id})
        if closing.is_set():
            await _abort(context, NotReady(_CLOSING))

    return grpc.stream_stream_rpc_method_handler(
        call, message("ModelInferRequest").FromString, answer_class.SerializeToString
    )


async def _until(closing: asyncio.Event, requests: AsyncIterator[Any]) -> AsyncIterator[Any]:
    """The requests of a stream until its end or ours: an idle stream must not hold up the end of the server."""
    gone = asyncio.ensure_future(closing.wait())
    try:
        while not gone.done():
            coming = asyncio.ensure_future(anext(requests, None))
            try:
                await asyncio.wait((coming, gone), return_when=asyncio.FIRST_COMPLETED)
                request = coming.result() if coming.done() else None
            finally:
                coming.cancel()
            if request is None:
                return
            yield request
    finally:
        gone.cancel()


def _check_open(closing: asyncio.Event) -> None:
    if closing.is_set():
        raise NotReady(_CLOSING)


def _told(error: Exception) -> TidegateError:
    """What a caller is told: our own errors as they are, of others no word."""
    if isinstance(error, TidegateError):
        return error
    log.error("a call failed", exc_info=error)
    return TidegateError("something failed on the server's side; its log has the cause")


async def _abort(context: Context, error: TidegateError) -> None:
    trailing = tuple(headers_of(error).items())
    await context.abort(CODES.get(error.status, grpc.StatusCode.INTERNAL), str(error), trailing)
