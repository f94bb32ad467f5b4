"""Bytes to a prediction request and back: the hot route's own decoding, by orjson and a few checks.

The pydantic models in `serving.schemas` document the same shapes; a test sends both ways what one accepts and
the other refuses. Errors name the place by JSON pointer, and echo at most 80 characters of a value.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from starlette.requests import Request

from serving.model import Predictions
from tidegate.errors import InvalidInput, MalformedRequest, PayloadTooLarge, UnsupportedMediaType
from tidegate.settings import Settings
from tidegate.tasks import ranked

_PARAMETERS = ("top_k", "details")


@dataclass(frozen=True, slots=True)
class PredictRequest:
    """A decoded prediction request; `top_k` None means every label."""

    texts: list[str]
    top_k: int | None = None
    details: bool = False


async def read_json(request: Request, max_bytes: int) -> Any:
    """Read a JSON body, refusing it before it is read whole when it is too large.

    Raises:
        UnsupportedMediaType: it says that it is not JSON.
        PayloadTooLarge: more than `max_bytes`.
        MalformedRequest: not JSON, or not UTF-8.
    """
    media_type = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise UnsupportedMediaType(f"content-type {media_type[:80]!r} is not read here; send application/json")
    body = await read_body(request, max_bytes)
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise MalformedRequest(f"the body is not JSON in UTF-8: {error.msg} at character {error.pos}") from None


async def read_body(request: Request, max_bytes: int) -> bytes:
    """The body, up to `max_bytes`; a longer one is refused by its Content-Length, or when it gets there.

    Raises:
        PayloadTooLarge: it is longer.
    """
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > max_bytes:
        raise PayloadTooLarge(f"the body has {announced} bytes and {max_bytes} may be; send fewer or shorter texts")
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > max_bytes:
            raise PayloadTooLarge(f"the body has more than {max_bytes} bytes; send fewer or shorter texts")
        chunks.append(chunk)
    return b"".join(chunks)


def decode_predict(document: Any, settings: Settings) -> PredictRequest:
    """Check a decoded body of `POST /models/{m}/predict`.

    Raises:
        InvalidInput: readable, but not of that shape.
        PayloadTooLarge: more texts than one request may have.
    """
    if not isinstance(document, dict) or "inputs" not in document:
        raise InvalidInput('the body must be an object with "inputs": a text or a list of texts')
    _refuse_unknown(document, ("inputs", "parameters"), "")
    inputs = document["inputs"]
    texts = [inputs] if isinstance(inputs, str) else inputs
    if not isinstance(texts, list) or not texts:
        raise InvalidInput(f"/inputs must be a text or a list of at least one text, not {shown(inputs)}")
    if len(texts) > settings.max_inputs:
        raise PayloadTooLarge(f"/inputs has {len(texts)} texts and {settings.max_inputs} may be; send them in parts")
    for index, text in enumerate(texts):
        _check_text(text, "/inputs" if text is inputs else f"/inputs/{index}", settings)
    return PredictRequest(texts, *_parameters(document.get("parameters") or {}))


def encode_plain(predictions: Predictions, labels: Sequence[str], top_k: int | None) -> bytes:
    """Hugging Face's text-classification shape: a list of {label, score} per input, best first."""
    return orjson.dumps(
        [
            [{"label": label, "score": score} for label, score in ranked(answer, labels, top_k)]
            for answer in predictions.answers
        ]
    )


def encode_details(model: str, predictions: Predictions, labels: Sequence[str], top_k: int | None) -> bytes:
    """The same with ids, version and whether the model abstained."""
    return orjson.dumps(
        {
            "model": model,
            "version": predictions.version,
            "predictions": [
                {
                    "id": prediction_id,
                    "label": answer.label,
                    "score": answer.score,
                    "abstained": answer.abstained,
                    "scores": best(dict(zip(labels, answer.scores, strict=True)), top_k),
                }
                for prediction_id, answer in zip(predictions.ids, predictions.answers, strict=True)
            ],
        }
    )


def best(scores: dict[str, float], top_k: int | None) -> dict[str, float]:
    """The most likely classes and their probabilities, best first."""
    return dict(sorted(scores.items(), key=lambda pair: -pair[1])[:top_k])


def shown(value: Any) -> str:
    """A value for an error message: its type, and at most 80 characters of it."""
    text = repr(value)
    return f"{type(value).__name__} {text[:77] + '...' if len(text) > 80 else text}"


def _check_text(text: Any, pointer: str, settings: Settings) -> None:
    if not isinstance(text, str):
        raise InvalidInput(f"{pointer} must be a text, not {shown(text)}")
    if not text or text.isspace():
        raise InvalidInput(f"{pointer} is empty; there is nothing to classify")
    if len(text) > settings.max_text_chars:
        raise InvalidInput(f"{pointer} has {len(text)} characters and {settings.max_text_chars} may be")


def _parameters(parameters: Any) -> tuple[int | None, bool]:
    if not isinstance(parameters, dict):
        raise InvalidInput(f"/parameters must be an object, not {shown(parameters)}")
    _refuse_unknown(parameters, _PARAMETERS, "/parameters")
    top_k, details = parameters.get("top_k"), parameters.get("details", False)
    if top_k is not None and (not isinstance(top_k, int) or isinstance(top_k, bool) or top_k < 1):
        raise InvalidInput(f"/parameters/top_k must be a whole number from 1, not {shown(top_k)}")
    if not isinstance(details, bool):
        raise InvalidInput(f"/parameters/details must be true or false, not {shown(details)}")
    return top_k, details


def _refuse_unknown(document: dict[str, Any], known: Sequence[str], pointer: str) -> None:
    for key in document:
        if key not in known:
            raise InvalidInput(f"{pointer}/{key[:80]} is not known here; there are: {', '.join(known)}")
