"""Errors as RFC 9457 problem documents: the one place where the error tree meets HTTP.

The status is the error class's own (`tidegate.errors`); Starlette's own errors (unknown path, wrong method) and
whatever nobody foresaw take the same shape. A message never carries more of a payload than its raiser put there.
"""

import logging
import math
from http import HTTPStatus

import orjson
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from tidegate.errors import Overloaded, TidegateError

MEDIA_TYPE = "application/problem+json"
_log = logging.getLogger(__name__)


def install(app: FastAPI) -> None:
    """Answer every error of the app with a problem document."""
    app.add_exception_handler(TidegateError, _tidegate_error)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(Exception, _unforeseen)


def problem(status: int, detail: str, path: str, headers: dict[str, str] | None = None) -> Response:
    """A problem document."""
    body = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "instance": path,
    }
    return Response(orjson.dumps(body), status, headers, MEDIA_TYPE)


def from_error(error: TidegateError, path: str) -> Response:
    """The problem of an error of ours, with the headers that its status asks for."""
    headers: dict[str, str] = {}
    if isinstance(error, Overloaded):
        headers["retry-after"] = str(math.ceil(error.retry_after_seconds))
    elif error.status == HTTPStatus.SERVICE_UNAVAILABLE:
        headers["retry-after"] = "1"
    elif error.status == HTTPStatus.UNAUTHORIZED:
        headers["www-authenticate"] = "Bearer"
    return problem(error.status, str(error), path, headers)


async def _tidegate_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, TidegateError):
        raise error
    if error.status == HTTPStatus.INTERNAL_SERVER_ERROR:
        _log.error("%s on %s: %s", type(error).__name__, request.url.path, error)
    return from_error(error, request.url.path)


async def _http_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    details = {404: f"there is nothing at {request.url.path[:200]}; /docs lists what there is"}
    detail = details.get(error.status_code, error.detail)
    return problem(error.status_code, detail, request.url.path, dict(error.headers or {}))


async def _validation_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, RequestValidationError):
        raise error
    fault = error.errors()[0]
    pointer = "/".join(str(step) for step in fault["loc"])
    return problem(422, f"/{pointer}: {fault['msg']}", request.url.path)


async def _unforeseen(request: Request, error: Exception) -> Response:
    _log.error("%s on %s", type(error).__name__, request.url.path, exc_info=error)
    return problem(500, "this is a fault of the server; its log has the cause", request.url.path)
