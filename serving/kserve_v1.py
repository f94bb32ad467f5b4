"""KServe's V1 protocol, which is TensorFlow Serving's: `{"instances": [...]}` in, `{"predictions": [...]}` out.

An instance is a text, a list of one text, or an object with one text. A prediction is the answered label, its score and
every label's score. Errors are `{"error": TEXT}`, as KServe's model servers write them.
Limits: no explanations. Source: KServe, docs "Data Plane (V1)", and kserve/protocol/rest/v1_endpoints.py.
"""

from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response

from serving import foreign
from serving.body import decode_json, json_object, json_type
from serving.following import ModelState
from serving.lean_route import documented
from serving.predict import HEADERS
from serving.predictions import Predictions
from tidegate.errors import InvalidInput, NotReady, TidegateError
from tidegate.tasks import ranked


class OpenAiModel(BaseModel):
    """A model as OpenAI lists it."""

    id: str
    object: str = "model"
    created: int = Field(description="Unix seconds; 0 until the model is open.")
    owned_by: str = "tidegate"


class V1Models(BaseModel):
    """Names of the models for KServe's clients, and the same models for OpenAI's."""

    models: list[str]
    object: str = "list"
    data: list[OpenAiModel]


class V1Ready(OpenAiModel):
    """Whether a model answers; with what OpenAI's clients read of it."""

    name: str
    ready: bool


class V1Request(BaseModel):
    """Texts to classify, under one of the two names."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"instances": ["Profit rose to EUR 5.2 mn"]}]})

    instances: list[str | list[str] | dict[str, str]] | None = Field(None, description="One text each.")
    inputs: list[str | list[str] | dict[str, str]] | None = Field(None, description="Another name for instances.")


class V1Prediction(BaseModel):
    """The answer to one instance."""

    label: str
    score: float
    scores: dict[str, float]


class V1Answer(BaseModel):
    """One prediction an instance, in their order."""

    predictions: list[V1Prediction]


def _tell(error: TidegateError) -> tuple[int, dict[str, Any]]:
    return error.status, {"error": foreign.told(error)}


router = APIRouter(route_class=foreign.telling(_tell), prefix="/v1/models", tags=["KServe V1"])
_ERROR = {"error": "/instances/0: expected a text, got a number"}


@router.get(
    "",
    summary="Models, for KServe V1 and OpenAI clients",
    response_model=V1Models,
    openapi_extra=documented(model=False),
)
async def models(request: Request) -> Response:
    """Every model of the store, whether it answers or not."""
    states = foreign.gateway_of(request).repository.states
    data = [_openai(name, state) for name, state in states.items()]
    return foreign.json_response({"models": list(states), "object": "list", "data": data})


@router.get(
    "/{model}",
    summary="The model answers, for KServe V1 and OpenAI clients",
    response_model=V1Ready,
    responses=foreign.errors(_ERROR, 404, 503),
    openapi_extra=documented(),
)
async def ready(request: Request) -> Response:
    """200 while it does, 503 while it does not."""
    name, repository = request.path_params["model"], foreign.gateway_of(request).repository
    repository.get(name)
    if repository.state(name).standing != "ready":
        raise NotReady(f"model {name!r} has stopped answering; it is opened anew, try again")
    return foreign.json_response({"name": name, "ready": True, **_openai(name, repository.state(name))})


@router.post(
    "/{model}:predict",
    summary="Predict, for KServe V1 clients",
    response_model=V1Answer,
    responses=foreign.errors(_ERROR, 400, 404, 408, 413, 415, 422, 429, 500, 503, 504),
    openapi_extra=documented(V1Request, headers=HEADERS),
)
async def predict(request: Request) -> Response:
    """Answer a list of instances."""
    settings = foreign.gateway_of(request).settings

    async def decode(body: bytes) -> Sequence[str]:
        fields = json_object(decode_json(body), ("instances", "inputs"))
        if len(fields) != 1:
            raise InvalidInput("expected instances, a list with one text each (inputs is another name for it)")
        [(key, instances)] = fields.items()
        if not isinstance(instances, list):
            raise InvalidInput(f"expected a list, got {json_type(instances)}", pointer=f"/{key}")
        return foreign.checked_texts([_text(each) for each in instances], settings, f"/{key}")

    predictions = await foreign.ask(request, request.path_params["model"], decode)
    return foreign.answered({"predictions": _document(predictions)}, predictions)


def _openai(name: str, state: ModelState) -> dict[str, Any]:
    created = int(state.served.manifest.created_at.timestamp()) if state.served else 0
    return OpenAiModel(id=name, created=created).model_dump()


def _text(instance: Any) -> Any:
    """The text of an instance, or whatever stands in its place."""
    if isinstance(instance, list) and len(instance) == 1:
        return instance[0]
    if isinstance(instance, dict) and len(instance) == 1:
        return next(iter(instance.values()))
    return instance


def _document(predictions: Predictions) -> list[dict[str, Any]]:
    return [
        {"label": answer.label, "score": answer.score, "scores": dict(ranked(answer, predictions.labels, None))}
        for answer in predictions.answers
    ]
