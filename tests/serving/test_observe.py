"""Every request has an id, the log names it, and nothing that was asked is in the log."""

import asyncio
import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from serving.observe import Observed
from tests.serving.apps import gateway
from tidegate.logs import CURRENT, JsonLines

PREDICT = "/models/sentiment/predict"
SECRET = "profit of the unnamed company"


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """What is logged while the test runs, as JSON lines."""
    shown = io.StringIO()
    handler, access = logging.StreamHandler(shown), logging.getLogger("tidegate.access")
    handler.setFormatter(JsonLines("3"))
    logging.getLogger().addHandler(handler)
    access.setLevel(logging.INFO)
    yield shown
    access.setLevel(logging.NOTSET)
    logging.getLogger().removeHandler(handler)


def client(app: ASGIApp) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://localhost")


async def hello(_scope: Scope, _receive: Receive, send: Send) -> None:
    logging.getLogger("hello").warning("somebody came")
    await send({"type": "http.response.start", "status": 200, "headers": [(b"x-other", b"1")]})
    await send({"type": "http.response.body", "body": b"hello"})


async def broken(_scope: Scope, _receive: Receive, _send: Send) -> None:
    raise RuntimeError("nobody is home")


def ids_of(app: ASGIApp, *sent: str) -> list[str]:
    async def ask() -> list[str]:
        async with client(app) as asking:
            return [
                (await asking.get("/", headers=[(b"x-request-id", each.encode())])).headers["x-request-id"]
                for each in sent
            ]

    return asyncio.run(ask())


@pytest.mark.parametrize("access_log", [False, True])
def test_an_answer_carries_the_callers_id_or_one_of_ours_where_that_is_not_sane(access_log: bool) -> None:
    sane, *others = ids_of(Observed(hello, access_log=access_log), "order-7/try.2", "", "a b", "x" * 129, '"}{"', "ä")

    assert sane == "order-7/try.2"
    assert all(len(each) == 32 and int(each, 16) for each in others)
    assert len(set(others)) == len(others)


def test_a_line_that_is_logged_for_a_request_names_it(log: io.StringIO) -> None:
    ids_of(Observed(hello), "mine")
    line = json.loads(log.getvalue())

    assert {name: line[name] for name in ("level", "logger", "message", "worker", "request_id")} == {
        "level": "WARNING",
        "logger": "hello",
        "message": "somebody came",
        "worker": "3",
        "request_id": "mine",
    }
    assert "model" not in line


def test_a_request_that_fails_before_its_answer_is_in_the_access_log_as_500(log: io.StringIO) -> None:
    async def ask() -> None:
        async with client(Observed(broken, access_log=True)) as asking:
            await asking.get("/a%0Ab?share=token")

    asyncio.run(ask())
    line = json.loads(log.getvalue())

    assert line["message"].startswith("127.0.0.1 GET /a%0Ab 500 ")
    assert (line["path"], line["status"]) == ("/a%0Ab", 500)
    assert "token" not in log.getvalue()


def test_the_access_log_names_model_status_and_time_and_never_what_was_asked(tmp_path: Path, log: io.StringIO) -> None:
    async def ask() -> tuple[httpx.Response, httpx.Response]:
        async with gateway(tmp_path) as running, client(Observed(running.app, access_log=True)) as asking:
            good = await asking.post(PREDICT, json={"inputs": SECRET}, headers={"authorization": "Bearer sesame"})
            return good, await asking.post("/models/sentiment/predict", json={"inputs": SECRET, "nonsense": 1})

    good, bad = asyncio.run(ask())
    lines = [json.loads(line) for line in log.getvalue().splitlines()]
    first, second = [line for line in lines if line["logger"] == "tidegate.access"]

    assert (first["status"], first["model"], first["path"]) == (200, "sentiment", PREDICT)
    assert first["request_id"] == good.headers["x-request-id"] != good.headers["x-prediction-id"]
    assert 0 < first["seconds"] < 30
    assert (second["status"], second["model"]) == (422, "sentiment")
    assert second["request_id"] == bad.headers["x-request-id"]
    assert SECRET not in log.getvalue()
    assert "sesame" not in log.getvalue()


def test_requests_at_the_same_time_keep_their_ids_apart(tmp_path: Path) -> None:
    seen: dict[str, str] = {}

    async def slow(_scope: Scope, _receive: Receive, send: Send) -> None:
        before = CURRENT.get()
        await asyncio.sleep(0.01)
        after = CURRENT.get()
        assert before is after
        assert before is not None
        seen[before.request_id] = before.request_id
        await hello({}, _receive, send)

    async def ask() -> list[str]:
        async with client(Observed(slow)) as asking:
            answers = await asyncio.gather(*(asking.get("/", headers={"x-request-id": f"r{n}"}) for n in range(20)))
        return [answer.headers["x-request-id"] for answer in answers]

    assert asyncio.run(ask()) == [f"r{n}" for n in range(20)]
    assert len(seen) == 20
