"""Every route but the hot one: models, feedback, drift, health, metrics, documentation.

What may block (the state database, whylogs) runs in a thread.
"""

import asyncio
from importlib import resources
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.openapi.docs import get_swagger_ui_html
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import ValidationError
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.staticfiles import StaticFiles

from serving.card import model_card
from serving.codec import read_json
from serving.gateway import Gateway
from serving.predict import DOCUMENTATION, predict
from serving.repository import ModelState
from serving.schemas import FeedbackAnswer, FeedbackBody, ModelDetails, ModelSummary, Problem
from tidegate.bundle import first_fault
from tidegate.errors import InvalidInput, ModelNotFound

router = APIRouter()
router.add_api_route("/models/{model}/predict", predict, methods=["POST"], **DOCUMENTATION)
_PROBLEMS: dict[int | str, dict[str, Any]] = {status: {"model": Problem} for status in (404, 422, 503)}


def install(app: FastAPI) -> None:
    """Add the routes, and the documentation page with its assets served from here."""
    app.include_router(router)
    assets = resources.files("fastapi_offline") / "static"  # swagger-ui from a wheel: no page loads from outside
    app.mount("/assets/docs", StaticFiles(directory=str(assets)))


@router.get("/models", summary="Every model of this server")
async def list_models(request: Request) -> list[ModelSummary]:
    """Name, status, version and device of each."""
    states = _gateway(request).repository.states
    return [ModelSummary(**_summary(name, state)) for name, state in states.items()]


@router.get("/models/{model}", summary="One model with its evidence and lineage", responses=_PROBLEMS)
async def show_model(model: str, request: Request) -> ModelDetails:
    """The parts of its manifest that a caller may want."""
    state = _gateway(request).repository.states.get(model)
    if state is None or state.served is None:
        if state is None:
            _gateway(request).repository.get(model)
            raise ModelNotFound(f"no model named {model[:80]!r} is served")
        return ModelDetails(**_summary(model, state))
    manifest = state.served.bundle.manifest
    return ModelDetails(
        **_summary(model, state),
        description=manifest.description,
        created_at=manifest.created_at.isoformat(),
        variants=[variant.model_dump() for variant in manifest.variants],
        evidence=[evidence.model_dump() for evidence in manifest.evidence],
        postprocessing=manifest.postprocessing.model_dump(),
        lineage=manifest.lineage.model_dump(),
        samples=list(manifest.samples),
    )


@router.get("/models/{model}/card", summary="The model card, as Markdown", responses=_PROBLEMS)
async def show_card(model: str, request: Request) -> Response:
    """What a person should know of the model."""
    served = _gateway(request).repository.get(model)
    return Response(model_card(served.bundle.manifest), media_type="text/markdown; charset=utf-8")


@router.get("/models/{model}/drift", summary="The latest windows against the reference", responses=_PROBLEMS)
async def show_drift(model: str, request: Request) -> dict[str, Any]:
    """Status, alert, windows and the score of every feature beside its threshold."""
    gateway = _gateway(request)
    version = gateway.repository.get(model).bundle.manifest.version
    return await asyncio.to_thread(gateway.monitor.drift, model, version)


@router.post(
    "/models/{model}/feedback",
    status_code=201,
    summary="Correct a prediction",
    responses=_PROBLEMS,
    openapi_extra={
        "requestBody": {"required": True, "content": {"application/json": {"schema": FeedbackBody.model_json_schema()}}}
    },
)
async def give_feedback(model: str, request: Request) -> FeedbackAnswer:
    """Puts the text on the relabel queue with the label given; durable once this is answered."""
    gateway = _gateway(request)
    gateway.repository.get(model)
    document = await read_json(request, gateway.settings.max_body_bytes)
    try:
        body = FeedbackBody.model_validate(document)
    except ValidationError as error:
        raise InvalidInput(first_fault(error)) from None
    item = await asyncio.to_thread(gateway.monitor.feedback, body.prediction_id, body.label, body.comment)
    return FeedbackAnswer(item_id=item)


@router.get("/healthz", summary="The process answers")
async def healthz() -> dict[str, str]:
    """Says nothing of the models; see /readyz."""
    return {"status": "ok"}


@router.get("/readyz", summary="Every model answers", responses={503: {"description": "Not every model answers yet."}})
async def readyz(request: Request) -> JSONResponse:
    """200 when every model is warm; until then, and when one has failed, 503 with each one's state."""
    repository = _gateway(request).repository
    models = {
        name: {"status": state.status} | ({"error": state.error} if state.error else {})
        for name, state in repository.states.items()
    }
    return JSONResponse({"ready": repository.ready, "models": models}, 200 if repository.ready else 503)


@router.get("/metrics", summary="Prometheus metrics", response_class=Response)
async def metrics(request: Request) -> Response:
    """Text exposition of the whole process."""
    registry = _gateway(request).metrics.registry
    return Response(await asyncio.to_thread(generate_latest, registry), media_type=CONTENT_TYPE_LATEST)


@router.get("/", include_in_schema=False)
async def index() -> Response:
    """The documentation is the front page."""
    return RedirectResponse("docs")


@router.get("/docs", include_in_schema=False)
async def docs(request: Request) -> Response:
    """Swagger UI, with every asset from this server."""
    return get_swagger_ui_html(
        openapi_url=f"{request.scope.get('root_path', '')}/openapi.json",
        title="Tidegate",
        swagger_js_url="assets/docs/swagger-ui-bundle.js",
        swagger_css_url="assets/docs/swagger-ui.css",
        swagger_favicon_url="assets/docs/favicon.png",
    )


def _gateway(request: Request) -> Gateway:
    gateway: Gateway = request.app.state.gateway
    return gateway


def _summary(name: str, state: ModelState) -> dict[str, Any]:
    summary: dict[str, Any] = {"name": name, "status": state.status, "error": state.error}
    if state.served is None:
        return summary
    manifest = state.served.bundle.manifest
    return summary | {
        "version": manifest.version,
        "task": manifest.task,
        "labels": list(manifest.labels),
        "variant": state.served.engine.variant.name,
        "device": state.served.device.name,
        "device_reason": state.served.device.reason,
    }
