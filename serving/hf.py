"""Hugging Face's inference shape at an address of its own: `/hf/{m}`, with what its clients ask beside it.

`InferenceClient(model="http://HOST/hf/NAME")` posts to exactly that address, and asks `/health` and `/info` below it.
The body and the answer are those of `POST /models/{m}/predict`; errors are `{"error": TEXT}`, because that is the
member whose text the client shows. Source: huggingface_hub, `inference/_client.py` and `utils/_http.py`.
"""

from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from serving import foreign, predict
from serving.lean_route import documented
from serving.schemas import DetailedPredictions, LabelScore, PredictRequest
from serving.tei import describe
from tidegate.errors import TidegateError


def _tell(error: TidegateError) -> tuple[int, dict[str, Any]]:
    return error.status, {"error": foreign.told(error)}


router = APIRouter(route_class=foreign.telling(_tell), prefix="/hf", tags=["Hugging Face"])
_PIPELINES = {"text-classification": "text-classification", "embedding": "feature-extraction"}
_ERROR = {"error": "/inputs: the text is empty; send at least one word"}


@router.post(
    "/{model}",
    summary="Predict, for Hugging Face clients",
    response_model=list[list[LabelScore]] | list[list[float]] | list[float] | DetailedPredictions,
    responses=foreign.errors(_ERROR, 400, 404, 408, 413, 415, 422, 429, 500, 503, 504),
    openapi_extra=documented(PredictRequest, headers=predict.HEADERS),
)
async def infer(request: Request) -> Response:
    """Answer one text or a list of texts."""
    return await predict.predict(request)


@router.get(
    "/{model}/health",
    summary="The model answers, for Hugging Face clients",
    response_class=Response,
    responses=foreign.errors(_ERROR, 404, 503),
    openapi_extra=documented(),
)
async def health(request: Request) -> Response:
    """200 with nothing in it while the model answers."""
    foreign.gateway_of(request).repository.get(request.path_params["model"])
    return Response()


@router.get(
    "/{model}/info",
    summary="What is served, for Hugging Face clients",
    response_model=dict[str, Any],
    responses=foreign.errors(_ERROR, 404, 503),
    openapi_extra=documented(),
)
async def info(request: Request) -> Response:
    """What TEI tells of itself, with the pipeline's name."""
    gateway = foreign.gateway_of(request)
    model = gateway.repository.get(request.path_params["model"])
    pipeline = {"model_pipeline_tag": _PIPELINES[model.manifest.task]}
    return foreign.json_response(describe(model, gateway.settings) | pipeline)
