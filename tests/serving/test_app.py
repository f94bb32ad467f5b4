"""What the app pulls in, and that other rooms can mount their pages on it."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI
from prometheus_client import CollectorRegistry

from serving.app import create_app
from tests import bundles
from tests.serving.apps import MemoryMonitor
from tidegate.bundle_store import BundleStore
from tidegate.settings import Settings


def test_serving_pulls_in_none_of_the_exporters_libraries() -> None:
    script = (
        "import sys, serving.app; "
        "print(sorted({name.partition('.')[0] for name in sys.modules} & "
        "{'torch', 'transformers', 'mlflow', 'optimum', 'sklearn', 'gradio', 'whylogs', 'pandas', 'demos'}))"
    )

    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"


def test_a_page_mounted_before_the_start_lives_and_asks_the_same_models(tmp_path: Path) -> None:
    store = BundleStore(tmp_path / "bundles")
    bundles.sentiment(store)
    monitor, loaded = MemoryMonitor(), asyncio.Event()
    app = create_app(Settings(home=tmp_path), store, monitor, monitor, CollectorRegistry(), on_loaded=loaded.set)
    lives: list[str] = []
    before: Callable[[Any], Any] = app.router.lifespan_context

    @asynccontextmanager
    async def lifespan(outer: Any) -> AsyncIterator[Any]:  # what gradio.mount_gradio_app does
        async with before(outer) as state:
            lives.append("started")
            yield state
        lives.append("stopped")

    app.router.lifespan_context = lifespan
    page = FastAPI()

    @page.get("/ask")
    async def ask() -> str:
        predictions = await app.state.gateway.repository.get("sentiment").predict(["profit rises"])
        return str(predictions.answers[0].label)

    app.mount("/demo", page)

    async def main() -> None:
        async with app.router.lifespan_context(app):
            await asyncio.wait_for(loaded.wait(), 30)
            async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client:
                assert (await client.get("/demo/ask")).json() == "positive"

    asyncio.run(main())
    assert lives == ["started", "stopped"]
    assert [record.text for record in monitor.records] == ["profit rises"]
