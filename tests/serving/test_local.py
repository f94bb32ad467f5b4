"""Without a key the server answers this machine, and nobody behind a tunnel, a proxy or a rebound name."""

from pathlib import Path

import pytest

from tests.serving.apps import Running, on_gateway

PREDICT = "/models/sentiment/predict"


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8080", "127.0.0.1:8080", "127.0.0.1", "[::1]:8080", "[::1]"])
def test_this_machine_is_answered_by_each_of_its_names(tmp_path: Path, host: str) -> None:
    async def scenario(g: Running) -> None:
        assert (await g.client.get("/models", headers={"host": host})).status_code == 200

    on_gateway(tmp_path, scenario)


STRANGERS = [
    {"host": "demo.tunnel.example"},
    {"host": "127.0.0.1.example.org"},
    {"host": "localhost.example.org:8080"},
    {"host": "[::1].example.org"},
    {"host": ""},
    {"x-forwarded-for": "203.0.113.7"},
    {"x-forwarded-host": "demo.example"},
    {"forwarded": "for=203.0.113.7"},
    {"via": "1.1 proxy"},
    {"x-real-ip": "203.0.113.7"},
    {"origin": "https://evil.example.org"},  # a page elsewhere, whose browser runs on this machine
    {"origin": "null"},
]


@pytest.mark.parametrize("headers", STRANGERS)
def test_a_stranger_is_refused_everything_but_health(tmp_path: Path, headers: dict[str, str]) -> None:
    async def scenario(g: Running) -> None:
        for path in ("/models", "/metrics", "/docs", "/demo/sentiment/", "/nowhere"):
            response = await g.client.get(path, headers=headers)

            assert response.status_code == 403, path
            assert "TIDEGATE_API_KEY" in response.json()["detail"]
        assert (await g.client.post(PREDICT, json={"inputs": "a"}, headers=headers)).status_code == 403
        assert (await g.client.get("/healthz", headers=headers)).status_code == 200

    on_gateway(tmp_path, scenario)


def test_an_open_server_answers_strangers(tmp_path: Path) -> None:
    async def scenario(g: Running) -> None:
        for headers in STRANGERS[1:]:
            assert (await g.client.get("/models", headers=headers)).status_code == 200

    on_gateway(tmp_path, scenario, open=True)
