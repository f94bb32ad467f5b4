"""`POST /models/{m}/predict`: the hot route. Read once, decode, predict, encode; nothing else."""

from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from serving import codec
from serving.body import read_json
from serving.disconnect import WhileConnected
from serving.gateway import Gateway
from serving.lean_route import LeanRoute, documented, problems
from serving.schemas import DetailedPredictions, LabelScore, PredictRequest
from tidegate.errors import ModelNotFound, TidegateError

router = APIRouter(route_class=LeanRoute)

_DEADLINE: dict[str, Any] = {
    "name": codec.DEADLINE_HEADER,
    "in": "header",
    "required": False,
    "description": "How long the caller waits, in ms; never longer than the server's own deadline.",
    "schema": {"type": "integer", "minimum": 1},
}
_ANSWER_HEADERS = {
    "x-prediction-id": "What feedback names; of several texts, number N has this id followed by `.N`.",
    "x-model-version": "Version of the bundle that answered.",
    "x-variant": "Its variant.",
    "server-timing": "Milliseconds in queue, tokenize and infer (W3C Server Timing).",
}


@router.post(
    "/models/{model}/predict",
    summary="Predict",
    description="One ranking per input, best label first; with `parameters.details` an object with ids and abstention.",
    response_model=list[list[LabelScore]] | DetailedPredictions,
    responses={
        200: {
            "headers": {
                name: {"description": text, "schema": {"type": "string"}} for name, text in _ANSWER_HEADERS.items()
            }
        },
        **problems(400, 404, 413, 415, 422, 429, 500, 503, 504),
    },
    openapi_extra=documented(PredictRequest, headers=(_DEADLINE,)),
)
async def predict(request: Request) -> Response:
    """Answer one text or a list of texts."""
    gateway: Gateway = request.app.state.gateway
    name = request.path_params["model"]
    try:
        model = gateway.repository.get(name)
        deadline_seconds = codec.decode_deadline(request.headers)
        question = codec.decode_question(await read_json(request, gateway.settings), gateway.settings)
    except TidegateError as error:
        gateway.metrics.refuse("" if isinstance(error, ModelNotFound) else name, error.status)
        raise
    async with WhileConnected(request):
        predictions = await model.predict(question.texts, deadline_seconds)
    body = codec.encode_answer(question, predictions, model.manifest.labels)
    return Response(body, headers=codec.answer_headers(predictions), media_type="application/json")
