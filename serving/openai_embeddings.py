"""OpenAI's embeddings: `POST /v1/embeddings`, the model's name in the body; what the `openai` SDK asks and reads.

Vectors as floats or as base64 of little-endian float32 (the SDK's default), `dimensions` cuts them and brings them to
length 1 again, `usage` counts tokens, specials included. `GET /v1/models` is shared with `serving.kserve_v1`.
Errors are `{"error": {"message", "type", "param", "code"}}`; faults of shape are 400, as OpenAI has them.
Limits: texts, no token ids; texts that are too long are cut. Source: OpenAI, API reference, Embeddings.
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response

from serving import codec, foreign, vectors
from serving.body import Head, decode_json, json_object, json_type, read_body
from serving.lean_route import documented
from serving.predict import HEADERS
from serving.predictions import Predictions
from tidegate.errors import InvalidInput, ModelNotFound, TidegateError
from tidegate.settings import Settings


class OpenAiRequest(BaseModel):
    """OpenAI's request for embeddings."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"model": "minilm", "input": "Profit rose"}]})

    model: str = Field(description="Name of the bundle.")
    input: str | list[str] = Field(description="A text, or a list of texts.")
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: int | None = Field(None, ge=1, description="The first so many numbers of each vector.")
    user: str | None = Field(None, description="Not looked at.")


class OpenAiVector(BaseModel):
    """One embedding."""

    object: Literal["embedding"]
    index: int
    embedding: list[float] | str


class OpenAiUsage(BaseModel):
    """Tokens of the texts as the model took them."""

    prompt_tokens: int
    total_tokens: int


class OpenAiAnswer(BaseModel):
    """One embedding a text, in their order."""

    object: Literal["list"]
    data: list[OpenAiVector]
    model: str
    usage: OpenAiUsage


@dataclass(frozen=True, slots=True)
class _Asked:
    texts: Sequence[str]
    dimensions: Any  # checked when the model is known
    in_base64: bool


_TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
_MEMBERS = {"error": {"message": "...", "type": "invalid_request_error", "param": "input", "code": None}}
_ERRORS = {
    status: {"description": text, "content": {"application/json": {"example": _MEMBERS}}}
    for status, text in ((400, "The request"), (404, "No such model"), (413, "Too large"), (429, "Overloaded"))
} | {status: {"description": "The server"} for status in (408, 415, 500, 503, 504)}


def tell(error: TidegateError) -> tuple[int, dict[str, Any]]:
    """An error as OpenAI tells it."""
    status = 400 if isinstance(error, InvalidInput) else error.status
    pointer = error.pointer if isinstance(error, InvalidInput) else ""
    kind = _TYPES.get(status, "invalid_request_error" if status < 500 else "server_error")
    code = "model_not_found" if isinstance(error, ModelNotFound) else None
    message = str(error).encode(errors="replace").decode()
    param = "model" if code else pointer.removeprefix("/").partition("/")[0] or None
    return status, {"error": {"message": message, "type": kind, "param": param, "code": code}}


router = APIRouter(route_class=foreign.telling(tell), tags=["OpenAI"])


@router.post(
    "/v1/embeddings",
    summary="Embeddings, for OpenAI clients",
    response_model=OpenAiAnswer,
    responses=_ERRORS,  # type: ignore[arg-type]  # FastAPI wants one kind of key
    openapi_extra=documented(OpenAiRequest, headers=HEADERS, model=False),
)
async def embeddings(request: Request) -> Response:
    """One vector a text."""
    return await answer(request)


async def answer(request: Request, model: str = "") -> Response:
    """Answer a request for embeddings, by the model that it names, or by the one that is given."""
    gateway = foreign.gateway_of(request)
    try:
        body = await read_body(Head.of(request.scope), request.receive, gateway.settings.max_body_bytes)
        fields = json_object(decode_json(body), tuple(OpenAiRequest.model_fields))
        name = model or _name(fields)
        asked = _decode(fields, gateway.settings)
    except TidegateError as error:
        gateway.metrics.refuse("", error.status)
        raise

    async def decode(_body: bytes) -> Sequence[str]:
        vectors.check_dimensions(asked.dimensions, gateway.repository.get(name).manifest)
        return asked.texts

    predictions = await foreign.ask(request, name, decode, task="embedding", body=body)
    response = Response(vectors.dumps(_document(asked, predictions)), media_type="application/json")
    response.raw_headers.extend(codec.answer_headers(predictions))
    return response


def _name(fields: dict[str, Any]) -> str:
    name = fields.get("model")
    if not isinstance(name, str) or not name:
        raise InvalidInput("model is missing; send the name of a bundle, GET /v1/models has them", pointer="/model")
    return name


def _decode(fields: dict[str, Any], settings: Settings) -> _Asked:
    """What is asked.

    Raises:
        InvalidInput: not the shape.
        PayloadTooLarge: too many texts.
    """
    sent = fields.get("input")
    if isinstance(sent, list) and sent and isinstance(sent[0], int | list):
        raise InvalidInput("token arrays are not taken; send texts, they are tokenized here", pointer="/input")
    texts = foreign.checked_texts([sent] if isinstance(sent, str) else sent, settings, "/input")
    encoding = fields.get("encoding_format")
    if encoding not in (None, "float", "base64"):
        shown = repr(encoding[:80]) if isinstance(encoding, str) else json_type(encoding)
        raise InvalidInput(f"encoding_format is {shown}; send 'float' or 'base64'", pointer="/encoding_format")
    return _Asked(texts, fields.get("dimensions"), encoding == "base64")


def _document(asked: _Asked, predictions: Predictions) -> dict[str, Any]:
    rows = vectors.shaped(predictions, normalise=None, dimensions=asked.dimensions)
    tokens = sum(row.length for row in predictions.rows)
    return {
        "object": "list",
        "data": [
            {"object": "embedding", "index": index, "embedding": _base64(row) if asked.in_base64 else row}
            for index, row in enumerate(rows)
        ],
        "model": predictions.model,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }


def _base64(row: Any) -> str:
    return base64.b64encode(row.astype("<f4").tobytes()).decode()
