"""The routes of people who label: items out, answers in. The page at `/relabel/{m}` uses them, and so may other tools.

An annotator is known by the name of their key. Where no key is asked for, or everybody shares the one of the setting,
they say their name themselves, in the header `x-annotator` (percent-encoded UTF-8). Bodies are JSON, also where there
is nothing to say: no form of another site can send that. After: `tidegate.annotation.Desk`, in threads.
"""

import unicodedata
from typing import Any
from urllib.parse import unquote

import orjson
from fastapi import APIRouter
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from serving import codec
from serving.auth import PRINCIPAL
from serving.body import Head, decode_json, read_body
from serving.gateway import Gateway
from serving.keys import SETTING_ID
from serving.lean_route import LeanRoute, documented, problems
from serving.relabel_schemas import (
    AnnotatorAnswer,
    Nothing,
    RelabelItems,
    RelabelOutcome,
    RelabelProgress,
    RelabelUndone,
)
from tidegate.annotation import MAX_NAME_CHARS, Desk
from tidegate.errors import Forbidden, InvalidInput, NotReady

router = APIRouter(route_class=LeanRoute)

ANNOTATOR_HEADER = "x-annotator"
MOST_ITEMS = 5  # held at once: more would keep them from others
_MAX_BODY_BYTES = 65_536  # a comment of the longest kind, escaped
_ELSEWHERE = ("cross-site", "same-site")
_NAME: dict[str, Any] = {
    "in": "header",
    "name": ANNOTATOR_HEADER,
    "description": "Who labels, percent-encoded, where the key does not say it.",
    "schema": {"type": "string"},
}
_COUNT: dict[str, Any] = {
    "in": "query",
    "name": "count",
    "schema": {"type": "integer", "minimum": 1, "maximum": MOST_ITEMS, "default": 1},
}
_WRITING = (400, 403, 404, 408, 413, 415, 422, 429, 503)


@router.get(
    "/relabel/{model}/items",
    summary="Claim items to label",
    response_model=RelabelItems,
    responses=problems(403, 404, 422, 503),
    openapi_extra=documented(headers=(_NAME, _COUNT)),
)
async def claim(request: Request) -> Response:
    """Those that the annotator holds already first; nobody else gets them until their lease runs out."""
    desk, model, who = _asked(request)
    sent = request.query_params.get("count", "1")
    if sent not in map(str, range(1, MOST_ITEMS + 1)):
        raise InvalidInput(f"count is {sent[:40]!r}; ask for 1 to {MOST_ITEMS} items")
    return _json(await run_in_threadpool(desk.next, model, who, int(sent)))


@router.post(
    "/relabel/{model}/items/{item}",
    summary="Label an item",
    response_model=RelabelOutcome,
    responses=problems(*_WRITING),
    openapi_extra=documented(AnnotatorAnswer, headers=(_NAME,), path=("item",)),
)
async def answer(request: Request) -> Response:
    """Stored before this answers; the same once more changes nothing, another one is a changed mind."""
    desk, model, who = _asked(request)
    sent = codec.decode_annotation(await _body(request))
    if (sent.label is None) == (sent.verdict == "label"):
        raise InvalidInput(f"the verdict {sent.verdict!r} takes {'a' if sent.label is None else 'no'} label")
    given = (sent.verdict, sent.label, sent.seconds, sent.comment)
    return _json(await run_in_threadpool(desk.answer, model, _item(request), who, *given))


@router.post(
    "/relabel/{model}/items/{item}/release",
    summary="Give an item back unlabelled",
    response_model=RelabelProgress,
    responses=problems(*_WRITING),
    openapi_extra=documented(Nothing, headers=(_NAME,), path=("item",)),
)
async def release(request: Request) -> Response:
    """Others get it at once; a second time changes nothing."""
    desk, model, who = _asked(request)
    codec.decode_nothing(await _body(request))
    return _json(await run_in_threadpool(desk.release, model, _item(request), who))


@router.post(
    "/relabel/{model}/undo",
    summary="Take the last answer back",
    response_model=RelabelUndone,
    responses=problems(*_WRITING),
    openapi_extra=documented(Nothing, headers=(_NAME,)),
)
async def undo(request: Request) -> Response:
    """Not once the annotator was told how it compares, nor once the item is in a data set."""
    desk, model, who = _asked(request)
    codec.decode_nothing(await _body(request))
    return _json(await run_in_threadpool(desk.undo, model, who))


@router.get(
    "/relabel/{model}/progress",
    summary="What waits and what is done",
    response_model=RelabelProgress,
    responses=problems(403, 404, 422, 503),
    openapi_extra=documented(headers=(_NAME,)),
)
async def progress(request: Request) -> Response:
    """Of one annotator, with how often others agreed with them."""
    desk, model, who = _asked(request)
    return _json(await run_in_threadpool(desk.progress, model, who))


def annotator_of_key(request: Request) -> str:
    """The name of the key that was sent; empty where it says nothing of who asks."""
    key = request.scope.get(PRINCIPAL)
    return "" if key is None or key.id.startswith(SETTING_ID) else str(key.name)


def _asked(request: Request) -> tuple[Desk, str, str]:
    """Desk, model and annotator of a request that no page of another site sent.

    Raises:
        ModelNotFound: it is not served.
        Forbidden: another site's page sent it.
        InvalidInput: nobody says who labels.
        NotReady: this server gives out no items.
    """
    gateway, model = _gateway(request), str(request.path_params["model"])
    gateway.repository.state(model)
    origin = request.headers.get("origin")
    if request.headers.get("sec-fetch-site") in _ELSEWHERE and origin not in gateway.settings.origins:
        raise Forbidden(f"a page of another site sent this; label at /relabel/{model} itself")
    if gateway.desk is None:
        raise NotReady("this server has no relabel queue")
    return gateway.desk, model, annotator_of_key(request) or _said(request.headers.get(ANNOTATOR_HEADER, ""))


def _said(sent: str) -> str:
    try:
        name = unicodedata.normalize("NFC", unquote(sent, errors="strict")).strip()
    except UnicodeDecodeError:
        raise InvalidInput(f"{ANNOTATOR_HEADER} is not UTF-8, percent-encoded") from None
    if not 0 < len(name) <= MAX_NAME_CHARS or not name.isprintable():
        raise InvalidInput(
            f"{ANNOTATOR_HEADER} is {name[:40]!r}; say who labels with 1 to {MAX_NAME_CHARS} printable characters, or "
            "send a key of your own"
        )
    return name


async def _body(request: Request) -> Any:
    limit = min(_MAX_BODY_BYTES, _gateway(request).settings.max_body_bytes)
    return decode_json(await read_body(Head.of(request.scope), request.receive, limit))


def _item(request: Request) -> str:
    return str(request.path_params["item"])


def _gateway(request: Request) -> Gateway:
    gateway: Gateway = request.app.state.gateway
    return gateway


def _json(document: Any) -> Response:
    return Response(orjson.dumps(document), media_type="application/json")
