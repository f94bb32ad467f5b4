"""MLflow's scoring protocol: what `mlflow models serve` answers, so that its clients need no change.

`POST /invocations` for the only model or the one that `?model=` or `x-model` names, `/models/{m}/invocations` for any;
`/ping`, `/health`, `/version`. JSON in MLflow's four forms or CSV (`serving.mlflow_inputs`); the answer is what its
transformers flavour gives for a classifier. Errors have MLflow's codes.
Limits: no parquet; models take no `params`. Source: mlflow/pyfunc/scoring_server/__init__.py, mlflow/exceptions.py.
"""

from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response

from serving import foreign
from serving.body import Head
from serving.lean_route import documented
from serving.mlflow_inputs import TYPES, check_content_type, decode_csv, decode_document
from serving.predict import HEADERS
from tidegate import __version__
from tidegate.errors import InvalidInput, MalformedRequest, TidegateError, UnsupportedMediaType

_CODES = {
    400: "BAD_REQUEST",
    404: "RESOURCE_DOES_NOT_EXIST",
    413: "BAD_REQUEST",
    429: "RESOURCE_EXHAUSTED",
    503: "TEMPORARILY_UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
_JSON = "application/json"


class MlflowRequest(BaseModel):
    """Exactly one of these."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"inputs": ["Profit rose to EUR 5.2 mn"]}]})

    dataframe_split: dict[str, Any] | None = Field(None, description='{"columns": [...], "index": [...], "data": ...}')
    dataframe_records: list[dict[str, Any]] | None = Field(None, description="[{column: text}, ...]")
    instances: list[Any] | None = Field(None, description="Texts, or objects with a text each.")
    inputs: str | list[Any] | dict[str, Any] | None = Field(None, description="Texts, or {column: texts}.")
    params: dict[str, Any] | None = Field(None, description="Nothing may stand in it.")


class MlflowPrediction(BaseModel):
    """The answer to one row."""

    label: str
    score: float


class MlflowAnswer(BaseModel):
    """One prediction a row, in their order."""

    predictions: list[MlflowPrediction]


def _tell(error: TidegateError) -> tuple[int, dict[str, Any]]:
    status = 400 if isinstance(error, InvalidInput) else error.status
    code = "INVALID_PARAMETER_VALUE" if isinstance(error, InvalidInput) else _CODES.get(status, "INTERNAL_ERROR")
    return status, {"error_code": code, "message": foreign.told(error)}


router = APIRouter(route_class=foreign.telling(_tell), tags=["MLflow"])
_ERROR = {"error_code": "INVALID_PARAMETER_VALUE", "message": "/inputs/0: expected a text, got a number"}
_STATUSES = (400, 404, 408, 413, 429, 500, 503, 504)
_NO_TYPE: dict[int | str, dict[str, Any]] = {
    415: {"description": "Unsupported Media Type", "content": {"text/plain": {"schema": {"type": "string"}}}}
}
_NAMED: tuple[dict[str, Any], ...] = (
    {"name": "model", "in": "query", "required": False, "schema": {"type": "string"}},
    {"name": "x-model", "in": "header", "required": False, "schema": {"type": "string"}},
)


def _taking_csv(extra: dict[str, Any]) -> dict[str, Any]:
    extra["requestBody"]["content"]["text/csv"] = {"schema": {"type": "string"}, "example": "text\nProfit rose\n"}
    return extra


@router.post(
    "/invocations",
    summary="Predict, for MLflow clients",
    response_model=MlflowAnswer,
    responses={**foreign.errors(_ERROR, *_STATUSES), **_NO_TYPE},
    openapi_extra=_taking_csv(documented(MlflowRequest, headers=(*HEADERS, *_NAMED), model=False)),
)
async def invocations(request: Request) -> Response:
    """Answer by the only model, or by the one that is named."""
    return await _answer(request, _chosen(request))


@router.post(
    "/models/{model}/invocations",
    summary="Predict by one model, for MLflow clients",
    response_model=MlflowAnswer,
    responses={**foreign.errors(_ERROR, *_STATUSES), **_NO_TYPE},
    openapi_extra=_taking_csv(documented(MlflowRequest, headers=HEADERS)),
)
async def model_invocations(request: Request) -> Response:
    """Answer by the model in the path."""
    return await _answer(request, request.path_params["model"])


async def ping(request: Request) -> Response:
    """200 while every model answers, 503 while one does not, 404 where there is none."""
    gateway = foreign.gateway_of(request)
    status = 200 if gateway.ready else 503 if gateway.repository.states else 404
    return Response("\n", status, media_type=_JSON)


for path in ("/ping", "/health"):
    router.get(
        path,
        summary="Every model answers, for MLflow clients",
        operation_id=path[1:],
        response_class=Response,
        responses={404: {"description": "There is no model."}, 503: {"description": "A model does not answer."}},
        openapi_extra=documented(model=False),
    )(ping)


@router.get("/version", summary="Tidegate's version", response_class=Response, openapi_extra=documented(model=False))
async def version(_request: Request) -> Response:
    """Where MLflow tells its own version: no MLflow runs here."""
    return Response(__version__, media_type=_JSON)


async def _answer(request: Request, name: str) -> Response:
    settings = foreign.gateway_of(request).settings
    head = Head.of(request.scope)

    async def decode(body: bytes) -> Sequence[str]:
        return (
            decode_csv(body, settings) if head.content_type.startswith(b"text/csv") else decode_document(body, settings)
        )

    try:
        check_content_type(head.content_type)
        predictions = await foreign.ask(request, name, decode, TYPES)
    except UnsupportedMediaType as error:
        return Response(str(error), error.status, media_type="text/plain")
    rows = [{"label": answer.label, "score": answer.score} for answer in predictions.answers]
    return foreign.answered({"predictions": rows}, predictions)


def _chosen(request: Request) -> str:
    """The model that a request is for.

    Raises:
        MalformedRequest: it names none, and there is not exactly one.
    """
    named = request.query_params.get("model") or request.headers.get("x-model")
    if named:
        return named
    names = list(foreign.gateway_of(request).repository.states)
    if len(names) == 1:
        return names[0]
    known = ", ".join(names) or "none"
    raise MalformedRequest(f"which model? served: {known}; ask /invocations?model=NAME or /models/NAME/invocations")
