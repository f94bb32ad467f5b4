"""`POST /models/{m}/predict`: the hot route. Read once, decode, predict, encode; nothing else.

`HotRoute` is ASGI and stands before the router, behind the key: no routing, no dependency resolution, no request or
response objects on its way (docs/explanation/performance.md has what that saves). The FastAPI route below it documents
the same address and answers by the same function, should anything else stand in front.
"""

from typing import Any

from fastapi import APIRouter, FastAPI
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from serving import codec, vectors
from serving.body import Head, decode_json, read_body
from serving.caller import caller_of
from serving.disconnect import CallerLeft, WhileConnected
from serving.gateway import Gateway
from serving.headers import API_HEADERS
from serving.lean_route import LeanRoute, documented, problems
from serving.metrics import ABANDONED
from serving.predictions import Predictions
from serving.problems import problem
from serving.schemas import DetailedPredictions, LabelScore, PredictRequest
from tidegate.bundle import Manifest
from tidegate.errors import ModelNotFound, TidegateError
from tidegate.settings import Settings

router = APIRouter(route_class=LeanRoute)

_PREFIX, _SUFFIX = "/models/", "/predict"

_DEADLINE: dict[str, Any] = {
    "name": codec.DEADLINE_HEADER,
    "in": "header",
    "required": False,
    "description": "How long the caller waits, in ms; never longer than the server's own deadline.",
    "schema": {"type": "integer", "minimum": 1},
}
_CALLER: dict[str, Any] = {
    "name": "x-caller-key",
    "in": "header",
    "required": False,
    "description": "Whom this request is made for: the same callers get the canary each time, and share the queue "
    "fairly. When it is not sent: the API key's id, or else the address.",
    "schema": {"type": "string", "maxLength": 128},
}
_PRIORITY: dict[str, Any] = {
    "name": "x-priority",
    "in": "header",
    "required": False,
    "description": "Which requests go first when there are more than can be answered; normal when it is not sent.",
    "schema": {"type": "string", "enum": ["high", "normal", "low"]},
}
HEADERS = (_DEADLINE, _CALLER, _PRIORITY)
_ANSWER_HEADERS = {
    "x-prediction-id": "What feedback names; of several texts, number N has this id followed by `.N`.",
    "x-model-version": "Version of the bundle that answered.",
    "x-variant": "Its variant.",
    "server-timing": "Milliseconds in queue, tokenize and infer (W3C Server Timing).",
}

Headers = list[tuple[bytes, bytes]]


class HotRoute:
    """Answers predictions itself and hands everything else on."""

    def __init__(self, app: ASGIApp, gateway: Gateway) -> None:
        self._app = app
        self._gateway = gateway

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or pass on."""
        name = _model_of(scope)
        if name is None:
            await self._app(scope, receive, send)
            return
        try:
            body, headers = await answer(self._gateway, name, scope, receive)
        except TidegateError as error:
            await problem(error, scope)(scope, receive, send)
        except (CallerLeft, ClientDisconnect):
            await Response(status_code=ABANDONED)(scope, receive, send)  # the server throws it away
        else:
            headers += [(b"content-length", b"%d" % len(body)), (b"content-type", b"application/json"), *API_HEADERS]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": body})


async def answer(gateway: Gateway, name: str, scope: Scope, receive: Receive) -> tuple[bytes, Headers]:
    """Body and headers of the answer to one request.

    Raises:
        TidegateError: whatever stands in the way of one.
        CallerLeft, ClientDisconnect: nobody waits for it.
    """
    try:
        manifest = gateway.repository.get(name).manifest
        head = Head.of(scope)
        deadline_seconds = codec.decode_deadline(head.deadline)
        caller = caller_of(scope, head.caller, head.priority)
        gateway.repository.admit(name, deadline_seconds, caller)  # before a byte of the body is read
        document = decode_json(await read_body(head, receive, gateway.settings.max_body_bytes))
        question = _decode(document, manifest, gateway.settings)
    except TidegateError as error:
        gateway.metrics.refuse("" if isinstance(error, ModelNotFound) else name, error.status)
        raise
    async with WhileConnected(receive):
        predictions = await gateway.repository.predict(
            name, question.texts, deadline_seconds=deadline_seconds, caller=caller
        )
    return _encode(question, predictions.of(manifest.task)), codec.answer_headers(predictions)


def _decode(document: Any, manifest: Manifest, settings: Settings) -> codec.Question | vectors.Wanted:
    if manifest.task == "embedding":
        return vectors.Wanted.decode(document, manifest, settings)
    return codec.decode_question(document, settings)


def _encode(question: codec.Question | vectors.Wanted, predictions: Predictions) -> bytes:
    if isinstance(question, vectors.Wanted):
        return vectors.dumps(question.document(predictions))
    return codec.encode_answer(question, predictions)


@router.post(
    "/models/{model}/predict",
    summary="Predict",
    description="One ranking per input, best label first; with `parameters.details` an object with ids and abstention. "
    "An embedding model answers one vector per input.",
    response_model=list[list[LabelScore]] | list[list[float]] | list[float] | DetailedPredictions,
    responses={
        200: {
            "headers": {
                name: {"description": text, "schema": {"type": "string"}} for name, text in _ANSWER_HEADERS.items()
            }
        },
        **problems(400, 404, 408, 413, 415, 422, 429, 500, 503, 504),
    },
    openapi_extra=documented(PredictRequest, headers=HEADERS),
)
async def predict(request: Request) -> Response:
    """Answer one text or a list of texts."""
    gateway: Gateway = request.app.state.gateway
    body, headers = await answer(gateway, request.path_params["model"], request.scope, request.receive)
    response = Response(body, media_type="application/json")
    response.raw_headers.extend(headers)
    return response


def install(app: FastAPI, gateway: Gateway) -> None:
    """Put the hot route before the router; middleware that is added later stands in front of it."""
    app.add_middleware(HotRoute, gateway=gateway)


def _model_of(scope: Scope) -> str | None:
    """Which model a request asks to predict; None when it asks for something else."""
    if scope["type"] != "http" or scope["method"] != "POST":
        return None
    path: str = scope["path"]
    root: str = scope.get("root_path", "")
    if root and path.startswith(f"{root}/"):
        path = path[len(root) :]
    if not (path.startswith(_PREFIX) and path.endswith(_SUFFIX)):
        return None
    name = path[len(_PREFIX) : -len(_SUFFIX)]
    return name if name and "/" not in name else None
