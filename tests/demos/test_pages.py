"""A page is of what answers now: through a real gateway whose aliases really move."""

import asyncio
import contextlib
import gc
import weakref
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from fastapi import FastAPI

from demos.app import Demos
from demos.front import PREFIX, Front
from demos.mounting import MAX_WAITING
from demos.pages import Page
from demos.paths import RUN, STREAM
from tests import bundles
from tests.demos.visits import ANSWER, JOIN, QUEUED, SAMPLE, TEXT, WEIGH, config
from tests.serving.apps import gateway
from tidegate.bundle_store import BundleStore
from tidegate.errors import Overloaded

MODEL = "sentiment"
DEMO = f"/demo/{MODEL}"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    store = BundleStore(tmp_path / "bundles")
    bundles.sentiment(store, threshold=0.6)
    bundles.sentiment(store, threshold=0.9)
    store.set_alias(MODEL, "champion", 1)
    return tmp_path


def demos_on(app: FastAPI) -> Demos:
    """Mount the demos, for a test that looks at their pages."""
    demos = Demos(app.state.gateway)
    app.mount(PREFIX, Front(app.state.gateway, demos))
    return demos


def button(page: dict[str, Any], event: int) -> int:
    """The number of the component that triggers an event."""
    dependency = next(one for one in page["dependencies"] if one["id"] == event)
    return int(dependency["targets"][0][0])


async def ask(
    client: httpx.AsyncClient, page: dict[str, Any], event: int, data: list[str], session: str
) -> httpx.Response:
    """Press the button of an event on a page that is open."""
    question = {"data": data, "fn_index": event, "session_hash": session, "trigger_id": button(page, event)}
    return await client.post(DEMO + (JOIN if event in QUEUED else RUN), json=question)


async def opened(client: httpx.AsyncClient) -> dict[str, Any]:
    """What a browser has when it has opened the page."""
    return config((await client.get(f"/demo/{MODEL}/")).text)


async def move(client: httpx.AsyncClient, version: int) -> None:
    moved = await client.put(f"/models/{MODEL}/aliases/champion", json={"version": version})
    assert moved.status_code == 200, moved.text


async def answered(client: httpx.AsyncClient, session: str) -> list[Any]:
    """The answer of a question that was asked."""
    lines = (await client.get(DEMO + STREAM, params={"session_hash": session})).text.split("\n\n")
    events = [orjson.loads(line[6:]) for line in lines if line.startswith("data: ")]
    data: list[Any] = next(event for event in events if event["msg"] == "process_completed")["output"]["data"]
    return data


def test_after_a_promotion_the_page_is_new_and_an_older_one_is_told_so(home: Path) -> None:
    async def main() -> None:
        async with gateway(home) as running, demos_on(running.app).open():
            before = await opened(running.client)
            await move(running.client, 2)
            after = await opened(running.client)
            refused = await ask(running.client, before, ANSWER, [TEXT], "old")
            taken = await ask(running.client, after, ANSWER, [TEXT], "new")

        assert before["components"] != after["components"]
        assert refused.status_code == 422
        assert "older than the model that answers now; reload it" in refused.json()["detail"]
        assert taken.status_code == 200
        assert "version 2" in taken.json()["data"][0]

    asyncio.run(main())


def test_a_rollback_brings_the_first_page_back_with_whom_it_has_open(home: Path) -> None:
    async def main() -> None:
        async with gateway(home) as running, demos_on(running.app).open():
            before = await opened(running.client)
            await move(running.client, 2)
            await opened(running.client)
            await move(running.client, 1)
            taken = await ask(running.client, before, SAMPLE, [], "patient")
            again = await opened(running.client)

        assert taken.status_code == 200
        assert again["components"] == before["components"]

    asyncio.run(main())


def test_what_was_asked_before_a_promotion_is_answered_after_it(home: Path) -> None:
    async def main() -> None:
        async with gateway(home) as running, demos_on(running.app).open():
            await ask(running.client, await opened(running.client), WEIGH, [TEXT], "waits")
            await move(running.client, 2)
            await opened(running.client)

            assert "profit" in (await answered(running.client, "waits"))[0]

    asyncio.run(main())


def test_a_model_that_is_loaded_again_keeps_its_page_and_one_that_is_unloaded_has_none(home: Path) -> None:
    async def main() -> None:
        async with gateway(home) as running, demos_on(running.app).open():
            before = await opened(running.client)
            await running.client.post(f"/v2/repository/models/{MODEL}/unload")
            gone = await running.client.get(f"/demo/{MODEL}/")
            await running.client.post(f"/v2/repository/models/{MODEL}/load")
            again = await opened(running.client)

        assert gone.status_code == 503
        assert again["components"] == before["components"]

    asyncio.run(main())


def test_no_more_is_answered_at_once_than_may_wait(home: Path) -> None:
    async def main() -> None:
        async with gateway(home) as running:
            demos = demos_on(running.app)
            async with demos.open(), contextlib.AsyncExitStack() as others:
                open_one = await opened(running.client)
                page = await demos.pages.of(MODEL)
                for _ in range(MAX_WAITING):
                    await others.enter_async_context(page.asking(at_once=True))
                refused = await ask(running.client, open_one, ANSWER, [TEXT], "too many")
                queued = await ask(running.client, open_one, WEIGH, [TEXT], "waits")
                await others.aclose()
                taken = await ask(running.client, open_one, ANSWER, [TEXT], "later")

        assert (refused.status_code, refused.headers["retry-after"]) == (Overloaded.status, "1")
        assert "answers as many as it can" in refused.json()["detail"]
        assert (queued.status_code, taken.status_code) == (200, 200)

    asyncio.run(main())


def test_an_older_page_leaves_nothing_in_memory(home: Path) -> None:
    async def main() -> None:
        async with gateway(home) as running:
            demos = demos_on(running.app)
            async with demos.open():
                await opened(running.client)
                old = weakref.ref((await demos.pages.of(MODEL)).app)
                await move(running.client, 2)
                await opened(running.client)
                gc.collect()

                assert old() is None
                assert len([one for one in gc.get_objects() if isinstance(one, Page)]) == 1

    asyncio.run(main())
