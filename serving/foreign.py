"""What protocols of other servers share: one way to the models, and each its own way to tell an error.

`ask` is the way of `serving.predict`: deadline, admission, limits, canary and records are the same whatever a caller
speaks. A protocol brings how a body becomes texts, and the shape of its errors (`telling`). Before: `serving.hf`,
`serving.tei`, `serving.kserve_v1`, `serving.mlflow_scoring`; after: `Repository.predict`.
Limits: what the framework answers before a route is found (401, 404, 405) stays a problem document.
"""

from collections.abc import Awaitable, Callable, Sequence
from http import HTTPStatus
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from serving import codec
from serving.body import JSON, Head, json_type, read_body
from serving.caller import caller_of
from serving.disconnect import WhileConnected
from serving.gateway import Gateway
from serving.lean_route import LeanRoute, problems
from serving.limits import check_count, check_text
from serving.predictions import Predictions
from serving.problems import headers_of
from tidegate.bundle import Task
from tidegate.errors import InvalidInput, ModelNotFound, TidegateError
from tidegate.settings import Settings

# A body to the texts that it asks about; may look things up (a tokenizer, say) in a thread.
Decode = Callable[[bytes], Awaitable[Sequence[str]]]
# An error to its status and its document.
Tell = Callable[[TidegateError], tuple[int, dict[str, Any]]]


def gateway_of(request: Request) -> Gateway:
    """The gateway that a request came to."""
    gateway: Gateway = request.app.state.gateway
    return gateway


async def ask(
    request: Request,
    name: str,
    decode: Decode,
    types: Sequence[bytes] = (JSON,),
    *,
    task: Task = "text-classification",
    body: bytes | None = None,
) -> Predictions:
    """The answers of a model to the texts of a request.

    Args:
        request: its body is not read yet, or else is `body`.
        name: of the model.
        decode: a body to texts.
        types: media types that are read.
        task: that the address answers for.
        body: where the model's name stood in it.

    Raises:
        TidegateError: whatever stands in the way of an answer.
        CallerLeft, ClientDisconnect: nobody waits for it.
    """
    gateway = gateway_of(request)
    try:
        _check_task(gateway, name, task)
        head = Head.of(request.scope)
        deadline_seconds = codec.decode_deadline(head.deadline)
        caller = caller_of(request.scope, head.caller, head.priority)
        gateway.repository.admit(name, deadline_seconds, caller)
        if body is None:
            body = await read_body(head, request.receive, gateway.settings.max_body_bytes, types)
        texts = await decode(body)
    except TidegateError as error:
        gateway.metrics.refuse("" if isinstance(error, ModelNotFound) else name, error.status)
        raise
    async with WhileConnected(request.receive):
        predictions = await gateway.repository.predict(name, texts, deadline_seconds=deadline_seconds, caller=caller)
    return predictions.of(task)


def checked_texts(values: Any, settings: Settings, pointer: str) -> list[str]:
    """A decoded list, if it holds texts that a model can be asked about.

    Raises:
        InvalidInput: it is no list, is empty, or holds something else.
        PayloadTooLarge: it holds too many.
    """
    if not isinstance(values, list):
        raise InvalidInput(f"expected a list of texts, got {json_type(values)}", pointer=pointer)
    if not values:
        raise InvalidInput("the list is empty; send at least one text", pointer=pointer)
    check_count(len(values), settings)
    for index, text in enumerate(values):
        if not isinstance(text, str):
            raise InvalidInput(f"expected a text, got {json_type(text)}", pointer=f"{pointer}/{index}")
        check_text(text, settings, f"{pointer}/{index}")
    return values


def telling(tell: Tell) -> type[LeanRoute]:
    """Lean routes whose errors have the shape that a protocol's clients read."""

    class Telling(LeanRoute):
        def get_route_handler(self) -> Callable[[Request], Awaitable[Response]]:  # type: ignore[override]
            endpoint = super().get_route_handler()

            async def handle(request: Request) -> Response:
                try:
                    return await endpoint(request)
                except TidegateError as error:
                    status, document = tell(error)
                    return json_response(document, status, headers_of(error))

            return handle

    return Telling


def told(error: TidegateError) -> str:
    """What an error says, with the place of the fault where it has one."""
    pointer = error.pointer if isinstance(error, InvalidInput) else ""
    # half surrogates, which JSON in UTF-8 cannot carry, as question marks
    return (f"{pointer}: {error}" if pointer else str(error)).encode(errors="replace").decode()


def json_response(document: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """An answer in JSON."""
    return Response(orjson.dumps(document), status, headers, media_type="application/json")


def answered(document: Any, predictions: Predictions) -> Response:
    """An answer with the headers of every prediction: its id, version, variant, timings."""
    response = json_response(document)
    response.raw_headers.extend(codec.answer_headers(predictions))
    return response


def errors(example: dict[str, Any], *statuses: int) -> dict[int | str, dict[str, Any]]:
    """`responses` of a route: the statuses that it answers with an error of this shape; the key's are problems."""
    schema = {"type": "object", "properties": {key: {"type": _TYPES[type(value)]} for key, value in example.items()}}
    content = {"application/json": {"schema": schema, "example": example}}
    return problems() | {status: {"description": HTTPStatus(status).phrase, "content": content} for status in statuses}


def _check_task(gateway: Gateway, name: str, wanted: Task) -> None:
    """Refuse a model that is for another task than the address.

    Raises:
        InvalidInput: it has another task.
        ModelNotFound, NotReady: it cannot be asked at all.
    """
    task = gateway.repository.get(name).manifest.task
    if task != wanted:
        raise InvalidInput(f"model {name!r} is for {task}; this address answers for {wanted}")


_TYPES = {str: "string", int: "integer"}
