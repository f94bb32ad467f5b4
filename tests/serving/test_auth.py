"""The key at the door, and what the server refuses to listen on."""

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.types import Receive, Scope, Send

from serving.access import Role
from serving.auth import ApiKeyAuth, Door, check_binding
from serving.keys import ApiKeys
from tests.serving.apps import Running, on_gateway
from tidegate.errors import Unauthorized, UsageError
from tidegate.settings import Settings
from tidegate.store import open_database

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

        door = Door(Settings.load({"TIDEGATE_API_KEY": KEY}))
        await ApiKeyAuth(app, door)({"type": "websocket", "path": "/", "headers": []}, receive, send)

    asyncio.run(main())
    assert [message["type"] for message in sent] == ["websocket.close"]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.8.8.8"])
def test_loopback_needs_no_key(host: str, tmp_path: Path) -> None:
    check_binding(Settings(host=host, home=tmp_path))


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "192.168.1.4", "example.org", "localhost.example.org"])
def test_anything_else_needs_a_key_or_to_be_told(host: str, tmp_path: Path) -> None:
    settings = Settings(host=host, home=tmp_path)
    with pytest.raises(UsageError, match="TIDEGATE_API_KEY, or pass --open"):
        check_binding(settings)
    assert list(tmp_path.iterdir()) == []  # to ask for keys makes no database

    check_binding(Settings(host=host, home=tmp_path, open=True))
    check_binding(Settings.load({"TIDEGATE_API_KEY": KEY}, host=host, home=tmp_path))
    database = open_database(settings.state_url)
    keys = ApiKeys(database)
    key_id, _ = keys.create("one", Role.PREDICT)
    check_binding(settings)
    keys.revoke(key_id)
    with pytest.raises(UsageError, match="tidegate keys create"):
        check_binding(settings)
    database.dispose()


def test_other_protocols_ask_the_same_door() -> None:
    door = Door(Settings.load({"TIDEGATE_API_KEY": "s3cret"}))

    admin = door.judge("Bearer s3cret", Role.ADMIN)

    assert admin is not None
    assert admin.role is Role.ADMIN
    for wrong in ("", "s3cret", "Bearer", "Bearer s3cre", "Basic s3cret", "Bearer \ud800"):
        with pytest.raises(Unauthorized):
            door.judge(wrong, Role.PREDICT)
    assert Door(Settings()).judge("", Role.ADMIN) is None


@pytest.mark.parametrize("name", ["x-api-key", "X-API-Key"])
def test_the_key_may_come_in_a_header_of_its_own(tmp_path: Path, name: str) -> None:
    async def scenario(g: Running) -> None:
        assert (await g.client.get("/models", headers={name: "s3cret"})).status_code == 200
        assert (await g.client.get("/models", headers={name: "wrong"})).status_code == 401
        both = {name: "s3cret", "authorization": "Basic dXNlcjpwYXNz"}  # a proxy's own
        assert (await g.client.get("/models", headers=both)).status_code == 200

    on_gateway(tmp_path, scenario, api_key="s3cret")


def test_inside_v2_the_refusal_has_that_protocols_form(tmp_path: Path) -> None:
    async def scenario(g: Running) -> None:
        refused = await g.client.get("/v2/models/sentiment")

        assert refused.status_code == 401
        assert list(refused.json()) == ["error"]

    on_gateway(tmp_path, scenario, api_key=KEY)


def test_pages_of_other_origins_are_shut_out_unless_named(tmp_path: Path) -> None:
    page, other = {"origin": "https://app.example.org"}, {"origin": "https://evil.example.org"}
    preflight = {"access-control-request-method": "POST", "access-control-request-headers": "authorization"}
    key = {"authorization": "Bearer s3cret"}

    async def closed(g: Running) -> None:
        assert (await g.client.options(PREDICT, headers=page | preflight)).status_code == 401
        answer = await g.client.get("/models", headers=page | key)
        assert "access-control-allow-origin" not in answer.headers

    async def opened(g: Running) -> None:
        allowed = await g.client.options(PREDICT, headers=page | preflight)
        assert (allowed.status_code, allowed.headers["access-control-allow-origin"]) == (200, page["origin"])
        assert "access-control-allow-credentials" not in allowed.headers
        answer = await g.client.post(PREDICT, json={"inputs": "a"}, headers=page | key)
        assert answer.headers["access-control-allow-origin"] == page["origin"]
        refused = await g.client.options(PREDICT, headers=other | preflight)
        assert "access-control-allow-origin" not in refused.headers

    on_gateway(tmp_path, closed, api_key="s3cret")
    on_gateway(tmp_path, opened, api_key="s3cret", cors_origins="https://app.example.org, http://localhost:3000")


@pytest.mark.parametrize("origins", ["app.example.org", "https://app.example.org/", "ftp://x", "https://a b", "null"])
def test_what_is_no_origin_fails_at_start(origins: str) -> None:
    with pytest.raises(UsageError, match="is no origin"):
        Settings.load({"TIDEGATE_CORS_ORIGINS": origins})


def test_every_answer_says_not_to_guess_nor_keep_it(tmp_path: Path) -> None:
    async def scenario(g: Running) -> None:
        answers = [
            await g.client.post(PREDICT, json={"inputs": "a"}),
            await g.client.post(PREDICT, json={"inputs": 1}),
            await g.client.get("/models"),
            await g.client.get("/nowhere"),
            await g.client.get("/models/sentiment/card"),
        ]
        for answer in answers:
            assert answer.headers.get_list("x-content-type-options") == ["nosniff"]
            assert answer.headers.get_list("cache-control") == ["no-store"]
        file = await g.client.get("/docs/swagger-ui.css")
        assert file.headers.get_list("cache-control") == ["max-age=86400"]

    on_gateway(tmp_path, scenario)


@pytest.mark.parametrize(
    "path", ["/models", "/models/sentiment", "/healthz", "/readyz", "/metrics", "/docs", "/openapi.json", "/login"]
)
def test_head_is_get_without_its_body(tmp_path: Path, path: str) -> None:
    async def scenario(g: Running) -> None:
        got, head = await g.client.get(path), await g.client.head(path)

        assert (head.status_code, head.content) == (got.status_code, b"")
        assert head.headers.get("content-type") == got.headers.get("content-type")
        assert (await g.client.head(PREDICT)).status_code == 405

    on_gateway(tmp_path, scenario)
