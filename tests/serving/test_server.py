"""Behind a real uvicorn: callers who hang up, bodies that are too large, requests in flight at shutdown."""

import asyncio
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import uvicorn
from prometheus_client import CollectorRegistry

from serving.app import create_app
from serving.model import ServedModel
from tests import bundles
from tests.serving.apps import MemoryMonitor
from tidegate.bundle_store import BundleStore
from tidegate.engine import Engine
from tidegate.preprocess import Encoded
from tidegate.settings import Settings

PREDICT = "/models/wordpieces/predict"


@dataclass
class Listening:
    """A gateway behind uvicorn on this event loop.

    Attributes:
        hold: makes the model's tokenizer wait; returns what lets it go on.
    """

    port: int
    registry: CollectorRegistry
    server: uvicorn.Server
    model: ServedModel

    def client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(base_url=f"http://127.0.0.1:{self.port}", timeout=30)

    def count(self, outcome: int) -> float:
        labels = {"model": "wordpieces", "outcome": str(outcome)}
        return self.registry.get_sample_value("tidegate_requests_total", labels) or 0.0

    def hold(self) -> Callable[[], None]:
        gate = threading.Event()
        engine = self.model.engine
        encode = engine.encode

        class Gated(Engine):
            def encode(self, texts: Sequence[str]) -> list[Encoded]:
                if not gate.wait(20):
                    raise TimeoutError
                return encode(texts)

        engine.__class__ = Gated
        return gate.set


@asynccontextmanager
async def listening(home: Path) -> AsyncIterator[Listening]:
    store = BundleStore(home / "bundles")
    bundles.wordpieces(store)
    registry, monitor, loaded = CollectorRegistry(), MemoryMonitor(), asyncio.Event()
    app = create_app(Settings(home=home), store, monitor, monitor, registry, on_loaded=loaded.set)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, http="httptools", log_config=None, access_log=False))
        task = asyncio.create_task(server.serve([listener]))
        await asyncio.wait_for(loaded.wait(), 30)
        model = app.state.gateway.repository.get("wordpieces")
        yield Listening(listener.getsockname()[1], registry, server, model)
        server.should_exit = True
        await asyncio.wait_for(task, 30)


async def eventually(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < until, "it never came to be"
        await asyncio.sleep(0.005)


def test_a_caller_who_hangs_up_is_noticed_and_harms_nobody(tmp_path: Path) -> None:
    async def main() -> None:
        async with listening(tmp_path) as g, g.client() as staying:
            release = g.hold()
            kept = asyncio.create_task(staying.post(PREDICT, json={"inputs": "profit"}))
            async with g.client() as leaving:
                with pytest.raises(httpx.ReadTimeout):
                    await leaving.post(PREDICT, json={"inputs": "loss"}, timeout=0.1)
            await eventually(lambda: g.count(499) == 1)  # while the model still holds both
            release()
            assert (await kept).json()[0][0]["label"] == "positive"
            assert (await staying.post(PREDICT, json={"inputs": "loss"})).status_code == 200

    asyncio.run(main())


@pytest.mark.parametrize("declared", [True, False], ids=["declared", "chunked"])
def test_ten_megabytes_are_answered_413_and_the_server_goes_on(tmp_path: Path, declared: bool) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b"x" * 100_000

    async def main() -> None:
        headers = {"content-type": "application/json"}
        async with listening(tmp_path) as g, g.client() as client:
            content = b"x" * 10_000_000 if declared else chunks()
            response = await client.post(PREDICT, content=content, headers=headers)
            assert response.status_code == 413
            assert response.headers["content-type"] == "application/problem+json"
            assert (await client.post(PREDICT, json={"inputs": "profit"})).status_code == 200

    asyncio.run(main())


def test_a_body_that_never_ends_holds_up_nobody(tmp_path: Path) -> None:
    async def main() -> None:
        async with listening(tmp_path) as g, g.client() as client:
            reader, writer = await asyncio.open_connection("127.0.0.1", g.port)
            head = (
                f"POST {PREDICT} HTTP/1.1",
                "host: localhost",
                "content-type: application/json",
                "content-length: 99",
            )
            writer.write("\r\n".join([*head, "", ""]).encode() + b'{"inputs"')
            await writer.drain()
            assert (await client.post(PREDICT, json={"inputs": "profit"})).status_code == 200
            writer.close()
            await writer.wait_closed()
            assert await reader.read() == b""

    asyncio.run(main())


def test_shutdown_answers_what_is_in_flight(tmp_path: Path) -> None:
    async def main() -> None:
        async with listening(tmp_path) as g, g.client() as client:
            release = g.hold()
            asked = [asyncio.create_task(client.post(PREDICT, json={"inputs": "profit"})) for _ in range(8)]
            in_flight = {"model": "wordpieces"}
            await eventually(lambda: g.registry.get_sample_value("tidegate_requests_in_flight", in_flight) == 8)
            g.server.should_exit = True
            await asyncio.sleep(0.05)
            release()
            assert [(await answer).status_code for answer in asked] == [200] * 8

    asyncio.run(main())
