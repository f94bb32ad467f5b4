"""Every error becomes an RFC 9457 answer, driven by its own status."""

from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path

import orjson
import pytest

from serving.problems import problem
from tests.serving.apps import Running, on_gateway
from tidegate.errors import InvalidInput, NotReady, Overloaded, TidegateError, Unauthorized


def _tree(root: type[TidegateError] = TidegateError) -> Iterator[type[TidegateError]]:
    yield root
    for child in root.__subclasses__():
        if child.__module__ == TidegateError.__module__:  # others' never leave their room
            yield from _tree(child)


@pytest.mark.parametrize("kind", list(_tree()))
def test_every_error_of_the_tree_maps_to_a_problem(kind: type[TidegateError]) -> None:
    response = problem(kind("what went wrong"), {"path": "/models/a/predict"})

    assert response.status_code == kind.status
    assert response.headers["content-type"] == "application/problem+json"
    assert orjson.loads(bytes(response.body)) == {
        "type": "about:blank",
        "title": HTTPStatus(kind.status).phrase,
        "status": kind.status,
        "detail": "what went wrong",
        "instance": "/models/a/predict",
    }


@pytest.mark.parametrize(
    ("error", "header", "value"),
    [
        (Overloaded("full", retry_after_seconds=2.1), "retry-after", "3"),
        (Overloaded("full", retry_after_seconds=0.01), "retry-after", "1"),
        (NotReady("loading"), "retry-after", "1"),
        (Unauthorized("no key"), "www-authenticate", "Bearer"),
    ],
)
def test_some_statuses_call_for_a_header(error: TidegateError, header: str, value: str) -> None:
    assert problem(error, {"path": "/"}).headers[header] == value


def test_a_fault_in_the_body_is_pointed_at() -> None:
    body = orjson.loads(bytes(problem(InvalidInput("is empty", pointer="/inputs/3"), {"path": "/"}).body))

    assert (body["pointer"], body["detail"]) == ("/inputs/3", "/inputs/3: is empty")


def test_what_json_cannot_carry_is_replaced() -> None:
    body = orjson.loads(bytes(problem(InvalidInput("half \ud800", pointer="/\udfff"), {"path": "/\ud83d"}).body))

    assert (body["pointer"], body["instance"]) == ("/?", "/?")


def test_what_nobody_foresaw_is_a_problem_too_and_tells_nothing_of_the_inside(tmp_path: Path) -> None:
    async def scenario(g: Running) -> None:
        async def broken() -> None:
            raise KeyError("password 123")

        g.app.add_api_route("/broken", broken)
        response = await g.client.get("/broken")

        assert response.status_code == 500
        assert response.headers["content-type"] == "application/problem+json"
        assert "password" not in response.text

    on_gateway(tmp_path, scenario)


def test_a_route_that_fastapi_validates_answers_problems_too(tmp_path: Path) -> None:
    async def scenario(g: Running) -> None:
        async def doubled(number: int) -> int:
            return 2 * number

        g.app.add_api_route("/doubled/{number}", doubled)
        response = await g.client.get("/doubled/three")

        assert response.status_code == 422
        assert response.headers["content-type"] == "application/problem+json"
        assert response.json()["pointer"] == "/path/number"

    on_gateway(tmp_path, scenario)
