"""The route of behavioural tests: a text that was answered wrongly becomes a test of the model, exactly once.

Before: `serving.access` asks for a key that may annotate; after: `tidegate.behaviour_file` appends to the model's kept
file, redacted where the setting `redact` says so. Limits: a text stands there once, with one label.
"""

import orjson
from fastapi import APIRouter
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from serving import codec
from serving.body import read_json
from serving.gateway import Gateway
from serving.lean_route import LeanRoute, documented, problems
from serving.limits import check_text
from serving.schemas import BehaviourAnswer, BehaviourRequest
from tidegate.behaviour_file import keep
from tidegate.errors import InvalidInput

router = APIRouter(route_class=LeanRoute)


@router.post(
    "/models/{model}/behaviour",
    status_code=201,
    summary="Make a text a behavioural test",
    description="Appends a text with its right label to the model's behavioural tests, which every export runs.",
    response_model=BehaviourAnswer,
    responses=problems(400, 403, 404, 408, 413, 415, 422, 503),
    openapi_extra=documented(BehaviourRequest),
)
async def add_example(request: Request) -> Response:
    """Append an example; it is on disk before the answer goes out."""
    gateway: Gateway = request.app.state.gateway
    manifest = gateway.repository.get(request.path_params["model"]).manifest
    if manifest.task == "embedding":
        raise InvalidInput(f"model {manifest.name!r} answers vectors, and behavioural tests are about labels")
    sent = codec.decode_behaviour(await read_json(request, gateway.settings))
    check_text(sent.text, gateway.settings, "/text")
    added = await run_in_threadpool(keep, gateway.settings, manifest, sent.text, sent.label, sent.note)
    return Response(orjson.dumps({"added": added}), 201, media_type="application/json")
