"""Text Embeddings Inference's routes for classifiers: `/tei/{m}` is the root that a TEI client is given.

`/predict`, `/info`, `/health` and `/tokenize` as TEI answers them, and its errors, `{"error", "error_type"}`.
Limits: models take one text, so a pair is refused; scores are probabilities, so `raw_scores` is; texts are cut at the
right. Faults of shape are 422 and limits 413, as TEI has them. Tokens are counted in characters, not in bytes.
Source: TEI, router/src/http/server.rs and types.rs.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import orjson
from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from tokenizers import Tokenizer

from serving import foreign
from serving.body import Head, decode_json, json_object, json_type, read_body
from serving.lean_route import documented
from serving.model import ServedModel
from serving.predict import HEADERS
from serving.predictions import Predictions
from serving.schemas import LabelScore
from serving.tokenizing import THREADS
from tidegate import __version__
from tidegate.bundle import Manifest, TokenizerPreprocessing
from tidegate.errors import InvalidInput, PayloadTooLarge, TidegateError
from tidegate.settings import Settings
from tidegate.tasks import ranked

_KINDS = {424: "Backend", 429: "Overloaded", 503: "Unhealthy", 504: "Backend"}
_DTYPES = {"fp32": "float32", "fp16": "float16", "int8": "int8"}


class EmptyInput(InvalidInput):
    """Nothing to answer: TEI has a status of its own for it."""

    status = 400


class TeiPredict(BaseModel):
    """TEI's request for a classification."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"inputs": "Profit rose to EUR 5.2 mn"}]})

    inputs: str | list[str] | list[list[str]] = Field(description="A text, or a batch: a list of lists of one text.")
    truncate: bool | None = Field(None, description="false refuses texts that are too long; else they are cut.")
    truncation_direction: str = "right"
    raw_scores: bool = False


class TeiTokenize(BaseModel):
    """TEI's request for tokens."""

    inputs: str | list[str]
    add_special_tokens: bool = True


def tell(error: TidegateError) -> tuple[int, dict[str, Any]]:
    """An error as TEI tells it."""
    status = 424 if error.status == 500 else error.status
    kind = "Empty" if isinstance(error, EmptyInput) else _KINDS.get(status, "Validation")
    return status, {"error": foreign.told(error), "error_type": kind}


router = APIRouter(route_class=foreign.telling(tell), prefix="/tei/{model}", tags=["TEI"])
_ERROR = {"error": "/inputs: expected a text, got a number", "error_type": "Validation"}


@router.post(
    "/predict",
    summary="Predict, for TEI clients",
    response_model=list[LabelScore] | list[list[LabelScore]],
    responses=foreign.errors(_ERROR, 400, 404, 408, 413, 415, 422, 424, 429, 503, 504),
    openapi_extra=documented(TeiPredict, headers=HEADERS),
)
async def predict(request: Request) -> Response:
    """A ranking for one text, a list of rankings for a batch."""
    name, gateway = request.path_params["model"], foreign.gateway_of(request)
    single = False

    async def decode(body: bytes) -> Sequence[str]:
        nonlocal single
        fields = json_object(decode_json(body), tuple(TeiPredict.model_fields))
        texts, single = _texts(fields.get("inputs"), gateway.settings)
        _check_options(fields)
        if fields.get("truncate") is False:
            await run_in_threadpool(_check_lengths, gateway.repository.get(name), texts)
        return texts

    predictions = await foreign.ask(request, name, decode)
    rankings = _rankings(predictions)
    return foreign.answered(rankings[0] if single else rankings, predictions)


@router.get(
    "/info",
    summary="What is served, for TEI clients",
    response_model=dict[str, Any],
    responses=foreign.errors(_ERROR, 404, 503),
    openapi_extra=documented(),
)
async def info(request: Request) -> Response:
    """The model, its labels, and the limits of a request."""
    gateway = foreign.gateway_of(request)
    return foreign.json_response(describe(gateway.repository.get(request.path_params["model"]), gateway.settings))


@router.get(
    "/health",
    summary="The model answers, for TEI clients",
    response_class=Response,
    responses=foreign.errors(_ERROR, 404, 503),
    openapi_extra=documented(),
)
async def health(request: Request) -> Response:
    """200 with nothing in it while the model answers."""
    foreign.gateway_of(request).repository.get(request.path_params["model"])
    return Response()


@router.post(
    "/tokenize",
    summary="Tokens of texts, for TEI clients",
    response_model=list[list[dict[str, Any]]],
    responses=foreign.errors(_ERROR, 400, 404, 408, 413, 415, 422, 503),
    openapi_extra=documented(TeiTokenize),
)
async def tokenize(request: Request) -> Response:
    """What the model's tokenizer makes of each text, uncut."""
    gateway = foreign.gateway_of(request)
    model = gateway.repository.get(request.path_params["model"])
    body = await read_body(Head.of(request.scope), request.receive, gateway.settings.max_body_bytes)
    fields = json_object(decode_json(body), tuple(TeiTokenize.model_fields))
    inputs = fields.get("inputs")
    texts = foreign.checked_texts([inputs] if isinstance(inputs, str) else inputs, gateway.settings, "/inputs")
    specials = _flag(fields, "add_special_tokens", default=True)
    return Response(await run_in_threadpool(_tokens, model, texts, specials), media_type="application/json")


def describe(model: ServedModel, settings: Settings) -> dict[str, Any]:
    """What TEI tells of a model at `/info`."""
    manifest, variant = model.manifest, model.engine.variant
    config = manifest.preprocessing
    longest = config.max_tokens if isinstance(config, TokenizerPreprocessing) else settings.max_text_chars
    return {
        "model_id": manifest.name,
        "served_model_name": manifest.name,
        "model_sha": manifest.files[variant.file].sha256,
        "model_dtype": _DTYPES[variant.precision],
        "model_type": _kind(manifest),
        "max_concurrent_requests": settings.max_queued,
        "max_input_length": longest,
        "max_batch_tokens": model.engine.plan.max_batch_tokens,
        "max_batch_requests": model.engine.plan.max_batch_rows,
        "max_client_batch_size": min(settings.max_inputs, settings.max_queued),
        "auto_truncate": True,
        "tokenization_workers": THREADS,
        "version": __version__,
    }


def _kind(manifest: Manifest) -> dict[str, Any]:
    if manifest.embedding is not None:
        return {"embedding": {"pooling": manifest.embedding.pooling}}
    labels = list(enumerate(manifest.labels))
    id2label, label2id = ({str(i): label for i, label in labels}, {label: i for i, label in labels})
    return {"classifier": {"id2label": id2label, "label2id": label2id}}


def _texts(inputs: Any, settings: Settings) -> tuple[list[str], bool]:
    """The texts of a request, and whether they are one that came without a batch around it."""
    if inputs in ("", [], None):
        raise EmptyInput("nothing was sent; send a text, or a batch [[text], [text], ...]", pointer="/inputs")
    if isinstance(inputs, str):
        return foreign.checked_texts([inputs], settings, "/inputs"), True
    if not isinstance(inputs, list):
        raise InvalidInput(f"expected a text or a batch of texts, got {json_type(inputs)}", pointer="/inputs")
    if isinstance(inputs[0], str):
        return foreign.checked_texts(_sequence(inputs, "/inputs"), settings, "/inputs"), True
    batch = [_sequence(each, f"/inputs/{index}")[0] for index, each in enumerate(inputs)]
    return foreign.checked_texts(batch, settings, "/inputs"), False


def _sequence(value: Any, pointer: str) -> list[Any]:
    """A list of one text; TEI's other sequence, a pair, is nothing that these models were trained on."""
    if not isinstance(value, list):
        raise InvalidInput(f"expected a list of one text, got {json_type(value)}", pointer=pointer)
    if len(value) == 1:
        return value
    what = "a pair of texts; this model classifies single texts" if len(value) == 2 else f"a list of {len(value)}"
    raise InvalidInput(f"got {what}: send [[text], [text], ...] for a batch", pointer=pointer)


def _check_options(fields: dict[str, Any]) -> None:
    if _flag(fields, "raw_scores", default=False):
        raise InvalidInput("raw_scores is true; scores are probabilities here: leave it out", pointer="/raw_scores")
    if fields.get("truncate") is not None:
        _flag(fields, "truncate", default=True)
    direction = fields.get("truncation_direction", "right")
    if not isinstance(direction, str) or direction.lower() != "right":
        shown = repr(direction[:80]) if isinstance(direction, str) else json_type(direction)
        raise InvalidInput(f"it is {shown}; texts are cut at the right: leave it out", pointer="/truncation_direction")


def _flag(fields: dict[str, Any], key: str, *, default: bool) -> bool:
    value = fields.get(key, default)
    if not isinstance(value, bool):
        raise InvalidInput(f"it is {json_type(value)}; send true or false", pointer=f"/{key}")
    return value


def _check_lengths(model: ServedModel, texts: Sequence[str]) -> None:
    """Refuse what would be cut, where the caller wants nothing to be cut; blocks."""
    config = model.manifest.preprocessing
    if not isinstance(config, TokenizerPreprocessing):
        return  # terms are counted, however many there are
    for index, encoding in enumerate(_tokenizer_of(model).encode_batch_fast(list(texts))):
        if len(encoding.ids) > config.max_tokens:
            raise PayloadTooLarge(
                f"text {index} has {len(encoding.ids)} tokens and {config.max_tokens} are the most; shorten it, "
                "or leave out truncate"
            )


def _rankings(predictions: Predictions) -> list[list[dict[str, Any]]]:
    return [
        [{"score": score, "label": label} for label, score in ranked(answer, predictions.labels, None)]
        for answer in predictions.answers
    ]


def _tokens(model: ServedModel, texts: Sequence[str], specials: bool) -> bytes:
    """The answer of `/tokenize`; blocks, and is encoded here because it may be fifty times as long as the texts."""
    encodings = _tokenizer_of(model).encode_batch(list(texts), add_special_tokens=specials)
    rows = [
        [_token(*each, text) for each in zip(row.ids, row.tokens, row.special_tokens_mask, row.offsets, strict=True)]
        for text, row in zip(texts, encodings, strict=True)
    ]
    return orjson.dumps(rows)


def _token(id: int, token: str, special: int, offsets: tuple[int, int], text: str) -> dict[str, Any]:
    if special:
        return {"id": id, "text": token, "special": True, "start": None, "stop": None}
    start, stop = offsets
    return {"id": id, "text": text[start:stop], "special": False, "start": start, "stop": stop}


def _tokenizer_of(model: ServedModel) -> Tokenizer:
    """The tokenizer of a model, which cuts nothing; blocks.

    Raises:
        InvalidInput: it has none.
    """
    config = model.manifest.preprocessing
    if not isinstance(config, TokenizerPreprocessing):
        raise InvalidInput(f"model {model.manifest.name!r} counts terms and has no tokenizer; its texts are never cut")
    return _opened(str(model.bundle.file(config.file)))


@lru_cache(maxsize=8)
def _opened(file: str) -> Tokenizer:
    tokenizer = Tokenizer.from_file(file)
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer
