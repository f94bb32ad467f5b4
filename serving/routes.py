"""Every route but the hot one: models, feedback, drift, health, metrics.

All are async, because a `def` endpoint costs 500 us of thread hopping; what blocks (drift, feedback) goes through
the thread pool. Thin glue between the wire and the gateway's parts. The hot route is `serving.predict`, the
documentation's page `serving.docs_page`.
"""

from typing import Any

import orjson
from fastapi import APIRouter
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from serving import card, codec
from serving.auth import STRANGER_KEY
from serving.body import read_json
from serving.gateway import Gateway
from serving.lean_route import LeanRoute, documented, problems
from serving.schemas import FeedbackAnswer, FeedbackRequest, Health, ModelDescription, ModelSummary, Readiness
from tidegate.errors import InvalidInput

router = APIRouter(route_class=LeanRoute)

_MOST_DIGITS = 9  # what every database takes as an integer
_NUMBER = {"type": "integer", "minimum": 0, "maximum": 10**_MOST_DIGITS - 1}
_REPORTS: tuple[dict[str, Any], ...] = tuple(
    {"in": "query", "name": name, "schema": _NUMBER} for name in ("version", "alert")
)


@router.post(
    "/models/{model}/feedback",
    status_code=201,
    summary="Correct a prediction",
    description="Stores the right label of a prediction and puts its text on the relabel queue.",
    response_model=FeedbackAnswer,
    responses=problems(400, 404, 413, 415, 422, 503),
    openapi_extra=documented(FeedbackRequest),
)
async def feedback(request: Request) -> Response:
    """Take a correction; it is on disk before the answer goes out."""
    gateway = _gateway(request)
    manifest = gateway.repository.get(request.path_params["model"]).manifest
    model = manifest.name
    if manifest.task == "embedding":
        raise InvalidInput(f"model {model!r} answers vectors, and feedback corrects labels: there is none to correct")
    sent = codec.decode_feedback(await read_json(request, gateway.settings))
    item = await run_in_threadpool(gateway.monitor.feedback, model, sent.prediction_id, sent.label, sent.comment)
    return _json({"item_id": item}, 201)


@router.get("/models", summary="List models", response_model=list[ModelSummary], openapi_extra=documented(model=False))
async def list_models(request: Request) -> Response:
    """Every model of the store, with its state."""
    states = _gateway(request).repository.states
    return _json([card.summarise(name, state) for name, state in states.items()])


@router.get(
    "/models/{model}",
    summary="Describe a model",
    response_model=ModelDescription,
    responses=problems(404),
    openapi_extra=documented(),
)
async def describe_model(request: Request) -> Response:
    """Manifest, evidence, state, device with its reason, warnings."""
    name = request.path_params["model"]
    gateway = _gateway(request)
    return _json(card.describe(name, gateway.repository.state(name), gateway.settings))


@router.get(
    "/models/{model}/card",
    summary="Model card",
    response_class=Response,
    responses={200: {"content": {"text/markdown": {"schema": {"type": "string"}}}}, **problems(404, 503)},
    openapi_extra=documented(),
)
async def model_card(request: Request) -> Response:
    """The manifest for people, as Markdown."""
    name, gateway = request.path_params["model"], _gateway(request)
    repository = gateway.repository
    text = card.model_card(repository.get(name), gateway.settings, repository.state(name).planned)
    return Response(text, media_type="text/markdown; charset=utf-8")


@router.get(
    "/models/{model}/drift",
    summary="Drift report",
    response_model=dict[str, Any],
    responses=problems(404, 422, 503),
    openapi_extra=documented(headers=_REPORTS),
)
async def drift(request: Request) -> Response:
    """The latest windows against the reference; `?alert=ID`: the windows that raised an alert, and what explains it."""
    return _json(await run_in_threadpool(_gateway(request).monitor.drift, *drift_query(request)))


def drift_query(request: Request) -> tuple[str, int, int | None]:
    """Of which model, version (the champion unless `?version=N`) and alert a drift report is asked for.

    Raises:
        ModelNotFound: it is not served.
        InvalidInput: a version or alert that is no number.
    """
    manifest = _gateway(request).repository.get(request.path_params["model"]).manifest
    numbers = {}
    for name in ("version", "alert"):
        text = request.query_params.get(name, "")
        if text and not (text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS):
            raise InvalidInput(f"{name} is a whole number, not {text[:40]!r}")
        numbers[name] = int(text) if text else None
    return manifest.name, numbers["version"] or manifest.version, numbers["alert"]


@router.get("/healthz", summary="The process is alive", response_model=Health, openapi_extra=documented(model=False))
async def healthz(_request: Request) -> Response:
    """Alive, whatever the models do."""
    return _json({"status": "ok"})


@router.get(
    "/readyz",
    summary="Every model answers",
    response_model=Readiness,
    responses={503: {"model": Readiness, "description": "A model is still loading, or failed; the states say which."}},
    openapi_extra=documented(model=False),
)
async def readyz(request: Request) -> Response:
    """200 once every model is warm; 503 until then, and for good when one failed."""
    gateway = _gateway(request)
    repository, ready = gateway.repository, gateway.ready
    status = 200 if ready else 503
    if request.scope.get(STRANGER_KEY):  # names of models and paths of files are for those who hold the key
        return _json({"ready": ready}, status)
    models = {
        name: {"status": state.standing} | ({"error": state.error} if state.error else {})
        for name, state in repository.states.items()
    }
    return _json({"ready": ready, "models": models}, status)


@router.get(
    "/metrics",
    summary="Prometheus metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
    openapi_extra=documented(model=False),
)
async def metrics(request: Request) -> Response:
    """Every metric of the process, in Prometheus' text format."""
    _gateway(request).repository.show()
    return Response(generate_latest(_gateway(request).registry), media_type=CONTENT_TYPE_LATEST)


def _gateway(request: Request) -> Gateway:
    gateway: Gateway = request.app.state.gateway
    return gateway


def _json(document: Any, status: int = 200) -> Response:
    return Response(orjson.dumps(document), status, media_type="application/json")
