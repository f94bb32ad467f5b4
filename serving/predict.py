"""`POST /models/{m}/predict`: the hot route. Read once, decode, predict, encode; nothing else."""

import asyncio
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from serving.codec import decode_predict, encode_details, encode_plain, read_json
from serving.disconnect import CallerLeft, WhileConnected
from serving.gateway import Gateway
from serving.model import Predictions, Timings
from serving.problems import from_error
from serving.schemas import DetailedPredictions, LabelScore, PredictBody, Problem
from tidegate.errors import InvalidInput, TidegateError

_CALLER_LEFT = 499  # nginx's number for "client closed request"; nobody receives it, the metrics count it

DOCUMENTATION: dict[str, Any] = {
    "summary": "Classify one text or a list of texts",
    "openapi_extra": {
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": PredictBody.model_json_schema()}},
        },
        "parameters": [
            {
                "name": "x-deadline-ms",
                "in": "header",
                "schema": {"type": "integer", "minimum": 1},
                "description": "Milliseconds after which the answer is of no use; then 504, and no work is done.",
            }
        ],
    },
    "responses": {
        200: {
            "model": list[list[LabelScore]] | DetailedPredictions,
            "description": "One list per input, best first; or, with details, the predictions with their ids.",
        },
        **{status: {"model": Problem} for status in (400, 401, 404, 413, 415, 422, 429, 503, 504)},
    },
}


async def predict(request: Request) -> Response:
    """Answer one request, and count it by its status."""
    gateway: Gateway = request.app.state.gateway
    name = request.path_params["model"]
    started = asyncio.get_running_loop().time()
    try:
        async with WhileConnected(request) as _:
            response = await _answer(gateway, name, request)
    except TidegateError as error:
        response = from_error(error, request.url.path)
    except CallerLeft:
        response = Response(status_code=_CALLER_LEFT)
    if name in gateway.repository.states:
        gateway.metrics.requests.labels(name, str(response.status_code)).inc()
        gateway.metrics.request_seconds.labels(name).observe(asyncio.get_running_loop().time() - started)
    return response


async def _answer(gateway: Gateway, name: str, request: Request) -> Response:
    model = gateway.repository.get(name)
    document = await read_json(request, gateway.settings.max_body_bytes)
    asked = decode_predict(document, gateway.settings)
    predictions = await model.predict(asked.texts, _deadline_seconds(request))
    labels = model.bundle.manifest.labels
    if asked.details:
        body = encode_details(name, predictions, labels, asked.top_k)
    else:
        body = encode_plain(predictions, labels, asked.top_k)
    return Response(body, headers=_headers(predictions), media_type="application/json")


def _headers(predictions: Predictions) -> dict[str, str]:
    return {
        "x-prediction-id": predictions.id,
        "x-model-version": str(predictions.version),
        "x-variant": predictions.variant,
        "server-timing": _server_timing(predictions.timings),
    }


def _server_timing(timings: Timings) -> str:
    """W3C Server-Timing, milliseconds."""
    return (
        f"queue;dur={timings.queue * 1e3:.3f}, tokenize;dur={timings.tokenize * 1e3:.3f}, "
        f"infer;dur={timings.infer * 1e3:.3f}"
    )


def _deadline_seconds(request: Request) -> float | None:
    text = request.headers.get("x-deadline-ms")
    if text is None:
        return None
    if not text.isascii() or not text.isdecimal() or not 1 <= int(text[:12]) <= 86_400_000:
        raise InvalidInput(f"x-deadline-ms must be whole milliseconds from 1 to 86400000, not {text[:80]!r}")
    return int(text) / 1e3
