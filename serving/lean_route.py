"""A lean route: its endpoint takes the request as it came and answers a response, and is documented all the same.

FastAPI's own route would resolve dependencies, validate and serialise on each call; the hot route cannot pay for
that. What the endpoint reads is described beside it, from the models of `serving.schemas`: `documented` makes
the `openapi_extra`, `problems` the `responses`. Used by `serving.predict` and `serving.routes`.
"""

from collections.abc import Callable, Coroutine
from http import HTTPStatus
from typing import Any

from fastapi.routing import APIRoute
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from serving.schemas import Problem

_Handler = Callable[[Request], Coroutine[Any, Any, Response]]
_IN_PATH = {"in": "path", "required": True, "schema": {"type": "string"}}


class LeanRoute(APIRoute):
    """A route without generic validation."""

    def get_route_handler(self) -> _Handler:
        """The endpoint itself."""
        handler: _Handler = self.endpoint
        return handler


def documented(
    body: type[BaseModel] | None = None,
    *,
    headers: tuple[dict[str, Any], ...] = (),
    model: bool = True,
    path: tuple[str, ...] = (),
) -> dict[str, Any]:
    """`openapi_extra` of a route: the model in its path and what else is there, its headers, its body."""
    names = ["model", *path] if model else path
    extra: dict[str, Any] = {"parameters": [*({**_IN_PATH, "name": name} for name in names), *headers]}
    if body is not None:
        schema = body.model_json_schema()
        content = {"application/json": {"schema": _inlined(schema, schema.pop("$defs", {}))}}
        extra["requestBody"] = {"required": True, "content": content}
    return extra


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """`responses` of a route: the statuses that it answers with problem details; 401 where a key is asked for."""
    content = {"application/problem+json": {"schema": Problem.model_json_schema()}}
    return {status: {"description": HTTPStatus(status).phrase, "content": content} for status in (401, *statuses)}


def _inlined(node: Any, definitions: dict[str, Any]) -> Any:
    """A JSON schema without references: OpenAPI would look them up in a place where they do not stand."""
    if isinstance(node, list):
        return [_inlined(item, definitions) for item in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        return _inlined(definitions[node["$ref"].rpartition("/")[2]], definitions)
    return {key: _inlined(value, definitions) for key, value in node.items()}
