"""Errors to answers: RFC 9457 `application/problem+json`, for our error tree and for the framework's own errors.

The one table is `TidegateError.status`; what this module adds is headers that some statuses call for. Details
never echo a payload: messages carry at most 80 characters of what a caller sent.
"""

import math
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import orjson
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Scope

from serving.disconnect import CallerLeft
from serving.headers import API_HEADERS
from serving.metrics import ABANDONED
from tidegate.errors import InvalidInput, NotReady, Overloaded, TidegateError, Unauthorized

MEDIA_TYPE = "application/problem+json"
_NO_ROUTE = {404: "nothing is served at this address; see /docs", 405: "this address does not take {method}; see /docs"}


def install(app: FastAPI) -> None:
    """Make every error of an app a problem: ours, the framework's, and those nobody foresaw."""
    app.add_exception_handler(TidegateError, _answer_ours)
    app.add_exception_handler(HTTPException, _answer_framework)
    app.add_exception_handler(RequestValidationError, _answer_validation)
    app.add_exception_handler(CallerLeft, _answer_nobody)
    app.add_exception_handler(ClientDisconnect, _answer_nobody)
    app.add_exception_handler(Exception, _answer_unforeseen)


def problem(error: TidegateError, scope: Scope) -> Response:
    """The answer to a request that failed with one of our errors."""
    if isinstance(error, InvalidInput) and error.pointer:
        return _response(error.status, f"{error.pointer}: {error}", scope, pointer=error.pointer)
    return _response(error.status, str(error), scope, headers=headers_of(error))


def headers_of(error: TidegateError) -> dict[str, str]:
    """Headers that go with an error, in whatever shape it is told."""
    if isinstance(error, Overloaded):
        seconds = error.retry_after_seconds  # the second header is for those who can wait for less than a second
        return {"retry-after": str(max(1, math.ceil(seconds))), "retry-after-ms": str(max(1, math.ceil(seconds * 1e3)))}
    if isinstance(error, NotReady):
        return {"retry-after": "1"}
    if isinstance(error, Unauthorized):
        return {"www-authenticate": "Bearer"}  # RFC 9110 asks for a challenge with every 401
    return {}


def _response(
    status: int, detail: str, scope: Scope, *, headers: Mapping[str, str] | None = None, **members: Any
) -> Response:
    document = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "instance": str(scope.get("path", ""))[:200],
        **members,
    }
    v2 = _speaks_v2(scope)
    content = orjson.dumps(_printable({"error": detail} if v2 else document))
    media_type = "application/json" if v2 else MEDIA_TYPE
    response = Response(content, status, headers=dict(headers or {}), media_type=media_type)
    response.raw_headers.extend(API_HEADERS)
    return response


def _speaks_v2(scope: Scope) -> bool:
    """Whether the caller is a client of Open Inference Protocol V2: it reads `error`, whoever it was that refused."""
    path = str(scope.get("path", "")).removeprefix(str(scope.get("root_path", "")))
    return path == "/v2" or path.startswith("/v2/")


def _printable(document: Mapping[str, Any]) -> dict[str, Any]:
    """Half surrogates, which JSON in UTF-8 cannot carry, as question marks."""
    return {k: v.encode(errors="replace").decode() if isinstance(v, str) else v for k, v in document.items()}


async def _answer_ours(request: Request, error: Exception) -> Response:
    if not isinstance(error, TidegateError):
        raise error
    return problem(error, request.scope)


async def _answer_framework(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    detail = _NO_ROUTE.get(error.status_code, "{detail}").format(method=request.method, detail=str(error.detail)[:200])
    return _response(error.status_code, detail, request.scope, headers=error.headers)


async def _answer_validation(request: Request, error: Exception) -> Response:
    if not isinstance(error, RequestValidationError):
        raise error
    fault = error.errors()[0]
    where = "/" + "/".join(str(step) for step in fault["loc"])
    return _response(422, f"{where}: {fault['msg']}"[:200], request.scope, pointer=where)


async def _answer_nobody(_request: Request, _error: Exception) -> Response:
    return Response(status_code=ABANDONED)  # the client is gone; the server throws this away


async def _answer_unforeseen(request: Request, _error: Exception) -> Response:
    # The framework raises the error once more after this answer, so the server's log has its trace.
    return _response(500, "something failed on the server's side; its log has the cause", request.scope)
