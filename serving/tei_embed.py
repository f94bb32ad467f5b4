"""Text Embeddings Inference's routes for embeddings, below `/tei/{m}` as those for classifiers (`serving.tei`).

`/embed` and `/similarity` as TEI answers them, and `/v1/embeddings`, which TEI has too (`serving.openai_embeddings`).
Vectors are of length 1 unless `normalize` says otherwise, as TEI's are. Limits: texts, no token ids; no `/embed_all`,
since a bundle's graph ends in the pooled vector; no prompts. Source: TEI, router/src/http/server.rs and types.rs.
"""

from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response

from serving import codec, foreign, openai_embeddings, vectors
from serving.body import decode_json
from serving.lean_route import documented
from serving.predict import HEADERS
from serving.tei import EmptyInput, tell
from serving.vectors import Wanted
from tidegate.errors import InvalidInput


class TeiOptions(BaseModel):
    """What both requests may say."""

    truncate: bool | None = Field(None, description="false refuses texts that are too long; else they are cut.")
    truncation_direction: str = "right"
    prompt_name: str | None = Field(None, description="Nothing: put a prompt into the text.")


class TeiEmbed(TeiOptions):
    """TEI's request for embeddings."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"inputs": "Profit rose to EUR 5.2 mn"}]})

    inputs: str | list[str] = Field(description="A text, or a list of texts.")
    normalize: bool = True
    dimensions: int | None = Field(None, ge=1, description="The first so many numbers of each vector.")


class TeiSentences(BaseModel):
    """A sentence and those that it is compared with."""

    source_sentence: str
    sentences: list[str]


class TeiSimilarity(BaseModel):
    """TEI's request for similarities."""

    inputs: TeiSentences
    parameters: TeiOptions | None = None


router = APIRouter(route_class=foreign.telling(tell), prefix="/tei/{model}", tags=["TEI"])
_ERROR = {"error": "/inputs: token ids are not taken; send texts", "error_type": "Validation"}
_STATUSES = (400, 404, 408, 413, 415, 422, 424, 429, 503, 504)


@router.post(
    "/embed",
    summary="Embeddings, for TEI clients",
    response_model=list[list[float]],
    responses=foreign.errors(_ERROR, *_STATUSES),
    openapi_extra=documented(TeiEmbed, headers=HEADERS),
)
async def embed(request: Request) -> Response:
    """One vector a text, also for a single one."""
    return await _answer(request, similarity=False)


@router.post(
    "/similarity",
    summary="Cosine similarities, for TEI clients",
    response_model=list[float],
    responses=foreign.errors(_ERROR, *_STATUSES),
    openapi_extra=documented(TeiSimilarity, headers=HEADERS),
)
async def similarity(request: Request) -> Response:
    """How near each sentence is to the source sentence."""
    return await _answer(request, similarity=True)


@router.post(
    "/v1/embeddings",
    summary="Embeddings, for OpenAI clients of a TEI server",
    response_model=openai_embeddings.OpenAiAnswer,
    responses=foreign.errors(_ERROR, *_STATUSES),
    openapi_extra=documented(openai_embeddings.OpenAiRequest, headers=HEADERS),
)
async def openai(request: Request) -> Response:
    """As `POST /v1/embeddings`; the model is the one in the path, whatever the body says."""
    return await openai_embeddings.answer(request, request.path_params["model"])


async def _answer(request: Request, *, similarity: bool) -> Response:
    name, gateway = request.path_params["model"], foreign.gateway_of(request)
    wanted: list[Wanted] = []

    async def decode(body: bytes) -> Sequence[str]:
        document = decode_json(body)
        _check_some(document)
        manifest = gateway.repository.get(name).manifest
        wanted.append(Wanted.decode(document, manifest, gateway.settings, normalise=True))
        if wanted[0].similarity is not similarity:
            shape = "source_sentence and sentences" if similarity else "a text or a list of texts"
            raise InvalidInput(f"expected {shape}", pointer="/inputs")
        return wanted[0].texts

    predictions = await foreign.ask(request, name, decode, task="embedding")
    response = Response(vectors.dumps(wanted[0].document(predictions)), media_type="application/json")
    response.raw_headers.extend(codec.answer_headers(predictions))
    return response


def _check_some(document: Any) -> None:
    if isinstance(document, dict) and document.get("inputs") in ("", []):
        raise EmptyInput("nothing was sent; send a text, or a list of texts", pointer="/inputs")
