"""The wire form of predictions and feedback: decoded JSON to checked values, answers to bytes.

Hugging Face's inference shape: `inputs` is a text or a list of texts, the answer is one ranking per text, also
for a single one. Rankings hold every label unless `parameters.top_k` says fewer, best first. Checked by hand
because this is the hot route; `serving.schemas` documents the same shapes. Before: `serving.body`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import orjson
from pydantic import BaseModel, ValidationError

from serving.body import json_object, json_type
from serving.limits import check_count, check_text
from serving.predictions import Predictions
from serving.relabel_schemas import AnnotatorAnswer, Nothing
from serving.schemas import AlertNote, AliasRequest, BehaviourRequest, FeedbackRequest
from tidegate.errors import InvalidInput, MalformedRequest
from tidegate.settings import Settings
from tidegate.tasks import Answer, ranked

DEADLINE_HEADER = "x-deadline-ms"

Body = TypeVar("Body", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Question:
    """A checked prediction request.

    Attributes:
        texts: 1 or more, each within the limits.
        top_k: labels per text, 1 or more; None for all.
        details: answer with ids and abstention.
    """

    texts: Sequence[str]
    top_k: int | None
    details: bool


def decode_question(document: Any, settings: Settings) -> Question:
    """Check a decoded body.

    Raises:
        InvalidInput: not the shape; carries the JSON pointer of the fault.
        PayloadTooLarge: too many texts.
    """
    fields = json_object(document, ("inputs", "parameters"))
    if "inputs" not in fields:
        raise InvalidInput("inputs is missing; send a text or a list of texts", pointer="/inputs")
    texts = texts_of(fields["inputs"], settings)
    parameters = fields.get("parameters")
    if parameters is None:
        return Question(texts, None, False)
    parameters = json_object(parameters, ("top_k", "details", "function_to_apply"), "/parameters")
    _function(parameters.get("function_to_apply"))
    return Question(texts, _top_k(parameters.get("top_k")), _details(parameters.get("details", False)))


def decode_feedback(document: Any) -> FeedbackRequest:
    """Check a decoded correction; raises what `_checked` does."""
    return _checked(FeedbackRequest, document)


def decode_behaviour(document: Any) -> BehaviourRequest:
    """Check a decoded example; raises what `_checked` does."""
    return _checked(BehaviourRequest, document)


def decode_alias(document: Any) -> AliasRequest:
    """Check where an alias is to point; raises what `_checked` does."""
    return _checked(AliasRequest, document)


def decode_note(document: Any) -> AlertNote:
    """Check what is said about an alert; raises what `_checked` does."""
    return _checked(AlertNote, document)


def decode_annotation(document: Any) -> AnnotatorAnswer:
    """Check what a person says of an item; raises what `_checked` does."""
    return _checked(AnnotatorAnswer, document)


def decode_nothing(document: Any) -> Nothing:
    """Check that nothing is said; raises what `_checked` does."""
    return _checked(Nothing, document)


def _checked(schema: type[Body], document: Any) -> Body:
    """A decoded body as its schema.

    Raises:
        InvalidInput: not the shape; carries the JSON pointer of the fault.
    """
    fields = json_object(document, tuple(schema.model_fields))
    try:
        return schema.model_validate(fields)
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False)[0]
        pointer = "/" + "/".join(str(step) for step in fault["loc"])
        raise InvalidInput(fault["msg"], pointer=pointer) from None


def decode_deadline(sent: bytes) -> float | None:
    """Seconds the caller waits, from the value of `x-deadline-ms`; None when it is empty.

    Raises:
        MalformedRequest: not a whole number of milliseconds, 1 or more.
    """
    if not sent:
        return None
    if not sent.isdigit() or len(sent) > 10 or int(sent) == 0:
        shown = sent[:80].decode("latin-1")
        raise MalformedRequest(f"{DEADLINE_HEADER} is {shown!r}; send whole milliseconds, 1 or more")
    return int(sent) / 1e3


def encode_answer(question: Question, predictions: Predictions) -> bytes:
    """The body of the answer."""
    if question.details:
        return orjson.dumps(_full(question, predictions))
    return orjson.dumps([_ranking(answer, predictions.labels, question.top_k) for answer in predictions.answers])


def answer_headers(predictions: Predictions) -> list[tuple[bytes, bytes]]:
    """Headers of every prediction answer; `server-timing` counts in milliseconds (W3C Server Timing)."""
    timings = predictions.timings
    stages = (timings.queue * 1e3, timings.tokenize * 1e3, timings.infer * 1e3)
    return [
        (b"x-prediction-id", predictions.request_id.encode()),
        (b"x-model-version", b"%d" % predictions.version),
        (b"x-variant", predictions.variant.encode()),
        (b"server-timing", b"queue;dur=%.3f, tokenize;dur=%.3f, infer;dur=%.3f" % stages),
    ]


def texts_of(inputs: Any, settings: Settings) -> Sequence[str]:
    """The texts of a decoded `inputs`; raises what `decode_question` does."""
    if isinstance(inputs, str):
        check_text(inputs, settings, "/inputs")
        return (inputs,)
    if not isinstance(inputs, list):
        raise InvalidInput(f"inputs is {json_type(inputs)}; send a text or a list of texts", pointer="/inputs")
    check_count(len(inputs), settings)
    for index, text in enumerate(inputs):
        if not isinstance(text, str):
            raise InvalidInput(f"the input is {json_type(text)}, not a text", pointer=f"/inputs/{index}")
        check_text(text, settings, f"/inputs/{index}")
    return inputs


def _top_k(value: Any) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise InvalidInput("top_k must be a whole number, 1 or more", pointer="/parameters/top_k")
    return value


def _details(value: Any) -> bool:
    if not isinstance(value, bool):
        raise InvalidInput(f"details is {json_type(value)}; send true or false", pointer="/parameters/details")
    return value


def _function(value: Any) -> None:
    """Scores are the probabilities that the bundle's calibration gives: there is nothing else to choose."""
    if value not in (None, "softmax"):
        shown = repr(value[:80]) if isinstance(value, str) else json_type(value)
        raise InvalidInput(
            f"function_to_apply is {shown}; scores are probabilities: leave it out, or send 'softmax'",
            pointer="/parameters/function_to_apply",
        )


def _ranking(answer: Answer, labels: Sequence[str], top_k: int | None) -> list[dict[str, Any]]:
    return [{"label": label, "score": score} for label, score in ranked(answer, labels, top_k)]


def _full(question: Question, predictions: Predictions) -> dict[str, Any]:
    return {
        "model": predictions.model,
        "version": predictions.version,
        "predictions": [
            {
                "id": prediction_id,
                "label": answer.label,
                "score": answer.score,
                "abstained": answer.abstained,
                "scores": dict(ranked(answer, predictions.labels, question.top_k)),
            }
            for prediction_id, answer in zip(predictions.ids, predictions.answers, strict=True)
        ],
    }
