"""Label Studio's webhook: an annotation counts as soon as it is made there, no file in between.

Label Studio sends the headers that a webhook is given, so a key that may annotate goes along as `Authorization: Bearer
KEY`. It sends an event once and without regard to order, and monitoring takes each as often and in whatever order it
comes. Limits: the body of one request; an event of anything but annotations is answered and changes nothing.
Source: https://labelstud.io/guide/webhook_reference.
"""

import orjson
from fastapi import APIRouter
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from serving.body import read_json
from serving.gateway import Gateway
from serving.lean_route import LeanRoute, documented, problems
from serving.schemas import LabelStudioAnswer, LabelStudioEvent

router = APIRouter(route_class=LeanRoute)


@router.post(
    "/relabel/{model}/labelstudio",
    summary="Label Studio's webhook",
    description="Takes annotations of tasks that `tidegate relabel export` wrote, as they are made, changed, deleted.",
    response_model=LabelStudioAnswer,
    responses=problems(400, 403, 404, 408, 413, 415, 422, 503),
    openapi_extra=documented(LabelStudioEvent),
)
async def label_studio(request: Request) -> Response:
    """Take an event; what it says is on disk before the answer goes out."""
    gateway: Gateway = request.app.state.gateway
    model = request.path_params["model"]
    gateway.repository.state(model)  # no model of that name is 404, whatever the body holds
    event = await read_json(request, gateway.settings)
    taken = await run_in_threadpool(gateway.monitor.label_studio, model, event)
    return Response(orjson.dumps(taken), media_type="application/json")
