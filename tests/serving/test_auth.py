"""The key at the door, and what the server refuses to listen on."""

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.types import Receive, Scope, Send

from serving.auth import ApiKeyAuth, check_binding
from tests.serving.apps import Running, on_gateway
from tidegate.errors import UsageError
from tidegate.settings import Settings

KEY = "s3cret-ключ"
PREDICT = "/models/sentiment/predict"


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Bearer ", "Bearer wrong", f"Basic {KEY}", KEY, f"Bearer {KEY}x", f"Bearer {KEY[:-1]}"]
)
def test_without_the_key_everything_but_health_is_refused(tmp_path: Path, header: str) -> None:
    async def scenario(g: Running) -> None:
        headers = [(b"authorization", header.encode())] if header else []
        for path in ("/", "/docs", "/openapi.json", "/models", "/metrics", "/nowhere", "/models/sentiment/drift"):
            response = await g.client.get(path, headers=headers)

            assert response.status_code == 401, path
            assert response.headers["www-authenticate"] == "Bearer"
            assert response.headers["content-type"] == "application/problem+json"
            assert KEY not in response.text
        assert (await g.client.post(PREDICT, json={"inputs": "a"}, headers=headers)).status_code == 401
        assert (await g.client.get("/healthz", headers=headers)).status_code == 200
        ready = await g.client.get("/readyz", headers=headers)
        assert (ready.status_code, ready.json()) == (200, {"ready": True})  # no name of a model for a stranger

    on_gateway(tmp_path, scenario, api_key=KEY)


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_with_the_key_everything_is_served(tmp_path: Path, scheme: str) -> None:
    async def scenario(g: Running) -> None:
        headers = [(b"authorization", f"{scheme} {KEY}".encode())]

        assert (await g.client.get("/models", headers=headers)).status_code == 200
        assert "sentiment" in (await g.client.get("/readyz", headers=headers)).json()["models"]
        assert (await g.client.post(PREDICT, json={"inputs": "a"}, headers=headers)).status_code == 200

    on_gateway(tmp_path, scenario, api_key=KEY)


def test_a_share_visitor_whom_the_guard_let_in_needs_no_key(tmp_path: Path) -> None:
    async def scenario(g: Running) -> None:
        async def guard(scope: Scope, receive: Receive, send: Send) -> None:
            await g.app({**scope, "tidegate.share": object()}, receive, send)

        async with httpx.AsyncClient(transport=httpx.ASGITransport(guard), base_url="http://localhost") as visitor:
            assert (await visitor.get("/models")).status_code == 200

    on_gateway(tmp_path, scenario, api_key=KEY)


def test_a_websocket_without_the_key_is_closed_before_it_is_accepted() -> None:
    sent: list[Any] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise AssertionError("the key was not asked for")

    async def main() -> None:
        async def receive() -> Any:
            return {"type": "websocket.connect"}

        async def send(message: Any) -> None:
            sent.append(message)

        await ApiKeyAuth(app, KEY)({"type": "websocket", "path": "/", "headers": []}, receive, send)

    asyncio.run(main())
    assert [message["type"] for message in sent] == ["websocket.close"]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.8.8.8"])
def test_loopback_needs_no_key(host: str) -> None:
    check_binding(Settings(host=host))


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "192.168.1.4", "example.org", "localhost.example.org"])
def test_anything_else_needs_a_key_or_to_be_told(host: str) -> None:
    with pytest.raises(UsageError, match="TIDEGATE_API_KEY, or pass --open"):
        check_binding(Settings(host=host))

    check_binding(Settings(host=host, open=True))
    check_binding(Settings.load({"TIDEGATE_API_KEY": KEY}, host=host))
