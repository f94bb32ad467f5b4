"""Versions come and go under load: nobody is dropped, callers stay where they are, what fails changes nothing."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine

from serving.rollout import place_of
from tests import bundles
from tests.serving.apps import Running, on_gateway
from tidegate import store
from tidegate.bundle_store import BundleStore
from tidegate.comparisons import Comparison, ComparisonStore

TEXT = {"inputs": "profit rises"}
PREDICT = "/models/sentiment/predict"


def versions(home: Path, count: int = 2) -> BundleStore:
    """A store with several versions of one model, the first of them champion."""
    made = BundleStore(home / "bundles")
    for _ in range(count):
        bundles.sentiment(made)
    return made


@contextmanager
def state(home: Path) -> Iterator[Engine]:
    database = store.open_database(f"sqlite:///{home / 'state.db'}")
    try:
        yield database
    finally:
        database.dispose()


async def version_of(g: Running, caller: str = "") -> int:
    answer = await g.client.post(PREDICT, json=TEXT, headers={"x-caller-key": caller} if caller else {})
    assert answer.status_code == 200, answer.text
    return int(answer.headers["x-model-version"])


async def point(g: Running, alias: str, version: int, **more: Any) -> httpx.Response:
    return await g.client.put(f"/models/sentiment/aliases/{alias}", json={"version": version, **more})


async def until(true: Any, seconds: float = 10) -> None:
    async with asyncio.timeout(seconds):
        while not await true():
            await asyncio.sleep(0.02)


def test_a_route_moves_the_champion_and_the_next_request_gets_it(tmp_path: Path) -> None:
    kept = versions(tmp_path)

    async def scenario(g: Running) -> None:
        assert await version_of(g) == 1
        moved = await point(g, "champion", 2)
        assert moved.status_code == 200
        assert [(each["role"], each["version"]) for each in moved.json()["versions"]] == [("champion", 2)]
        assert await version_of(g) == 2
        assert (await g.client.post("/models/sentiment/rollback")).status_code == 200
        assert await version_of(g) == 1
        assert kept.aliases("sentiment").champion == 1

    on_gateway(tmp_path, scenario)


def test_an_alias_that_another_process_moved_is_followed(tmp_path: Path) -> None:
    kept = versions(tmp_path)

    async def scenario(g: Running) -> None:
        await asyncio.to_thread(kept.set_alias, "sentiment", "champion", 2)

        async def followed() -> bool:
            return await version_of(g) == 2

        await until(followed)

    on_gateway(tmp_path, scenario)


def test_a_model_that_is_published_while_serving_is_served_and_one_that_is_removed_is_not(tmp_path: Path) -> None:
    kept = versions(tmp_path, 1)

    async def scenario(g: Running) -> None:
        await asyncio.to_thread(bundles.wordpieces, kept)

        async def both() -> bool:
            return (await g.client.post("/models/wordpieces/predict", json=TEXT)).status_code == 200

        await until(both)
        await asyncio.to_thread((kept.root / "wordpieces").rename, tmp_path / "elsewhere")

        async def gone() -> bool:
            return (await g.client.post("/models/wordpieces/predict", json=TEXT)).status_code == 404

        await until(gone)
        assert await version_of(g) == 1

    on_gateway(tmp_path, scenario)


def test_a_version_that_cannot_be_opened_changes_nothing(tmp_path: Path) -> None:
    kept = versions(tmp_path)
    (kept.path("sentiment", 2) / "model.onnx").write_bytes(b"not what was published")

    async def scenario(g: Running) -> None:
        for alias in ("champion", "canary", "shadow"):
            refused = await point(g, alias, 2)
            assert refused.status_code == 503
            assert "model.onnx is not what was published" in refused.json()["detail"]
            assert "what was served before is served still" in refused.json()["detail"]
            assert await version_of(g) == 1
        assert kept.aliases("sentiment").model_dump(exclude_defaults=True) == {"champion": 1}
        assert (await g.client.get("/readyz")).status_code == 200

    on_gateway(tmp_path, scenario)


@pytest.mark.parametrize(
    ("alias", "body", "status", "words"),
    [
        ("canary", {"version": 9}, 404, "no version or alias 9"),
        ("canary", {"version": 1}, 422, "version 1 is the champion"),
        ("canary", {"version": 2, "percent": 101}, 422, "/percent"),
        ("canary", {"version": True}, 422, "/version"),
        ("canary", {"version": "../1"}, 404, "no version or alias"),
        ("canary", {}, 422, "/version"),
        ("chief", {"version": 2}, 422, "no alias 'chief'; use one of: champion, canary, shadow"),
    ],
)
def test_wishes_that_cannot_be_are_refused_with_a_reason(
    tmp_path: Path, alias: str, body: dict[str, Any], status: int, words: str
) -> None:
    versions(tmp_path)

    async def scenario(g: Running) -> None:
        refused = await g.client.put(f"/models/sentiment/aliases/{alias}", json=body)
        assert refused.status_code == status
        assert words in refused.json()["detail"]

    on_gateway(tmp_path, scenario)


def test_a_canary_answers_its_share_of_callers_and_always_the_same_ones(tmp_path: Path) -> None:
    versions(tmp_path)

    async def scenario(g: Running) -> None:
        assert (await point(g, "canary", 2, percent=30)).status_code == 200
        callers = [f"caller-{n}" for n in range(100)]
        first = [await version_of(g, caller) for caller in callers]
        again = [await version_of(g, caller) for caller in callers]
        assert first == again
        assert 15 <= first.count(2) <= 45
        assert (await g.client.delete("/models/sentiment/aliases/canary")).status_code == 200
        assert {await version_of(g, caller) for caller in callers} == {1}

    on_gateway(tmp_path, scenario)


def test_places_are_spread_evenly_and_shuffled_by_each_rollout() -> None:
    places = [place_of(str(n), "m/2") for n in range(4_000)]
    others = [place_of(str(n), "m/3") for n in range(4_000)]

    assert all(0 <= place < 100 for place in places)
    for percent in (1, 10, 50, 90):
        assert abs(sum(place < percent for place in places) / 40 - percent) < 3
    both = sum(a < 50 and b < 50 for a, b in zip(places, others, strict=True)) / 40
    assert abs(both - 25) < 3


def test_canary_and_shadow_are_compared_with_the_champion_on_the_same_texts(tmp_path: Path) -> None:
    kept = versions(tmp_path, 2)
    bundles.sentiment(kept, threshold=1.0, fallback="neutral")  # answers neutral whatever is asked

    async def scenario(g: Running) -> None:
        await point(g, "canary", 2, percent=50)
        await point(g, "shadow", 3)
        for number in range(60):
            assert await version_of(g, f"caller-{number}") in (1, 2)

        async def compared() -> bool:
            report = (await g.client.get("/models/sentiment/traffic")).json()
            return bool(sum(each["compared"] for each in report["versions"]) == 60)

        await until(compared)
        champion, canary, shadow = (await g.client.get("/models/sentiment/traffic")).json()["versions"]
        assert champion["requests"] + canary["requests"] == 60
        assert (canary["compared"], canary["agreement"], canary["confidence_shift"]) == (canary["requests"], 1.0, 0.0)
        assert (shadow["compared"], shadow["agreement"]) == (champion["requests"], 0.0)
        assert champion["latency_p50_seconds"] > 0
        differ = [record.id for record in g.monitor.records if record.version == 1 and record.label != "neutral"]
        assert sorted(g.monitor.disputed) == sorted(("sentiment", prediction_id) for prediction_id in differ)

    on_gateway(tmp_path, scenario)


def test_a_shadow_is_never_answered_recorded_or_counted(tmp_path: Path) -> None:
    versions(tmp_path)

    async def scenario(g: Running) -> None:
        await point(g, "shadow", 2)
        for _ in range(20):
            assert await version_of(g) == 1
        await asyncio.sleep(0.2)
        assert {record.version for record in g.monitor.records} == {1}
        assert len(g.monitor.records) == 20
        assert g.registry.get_sample_value("tidegate_texts_total", {"model": "sentiment"}) == 20

    on_gateway(tmp_path, scenario)


def test_switches_under_load_drop_nothing_and_nobody_gets_a_version_that_is_gone(tmp_path: Path) -> None:
    versions(tmp_path)
    answered: list[tuple[int, set[int]]] = []
    live: set[int] = {1}

    async def scenario(g: Running) -> None:
        stop = asyncio.Event()

        async def ask() -> None:
            while not stop.is_set():
                sent = set(live)
                version = await version_of(g)
                answered.append((version, sent | live))

        callers = [asyncio.create_task(ask()) for _ in range(8)]
        for number in range(20):
            version = 2 - number % 2
            live.add(version)
            assert (await point(g, "champion", version)).status_code == 200
            live.difference_update({3 - version})
        stop.set()
        await asyncio.gather(*callers)

    on_gateway(tmp_path, scenario)
    assert len(answered) > 100
    assert all(version in possible for version, possible in answered)


def test_an_unloaded_model_is_answered_503_and_the_server_stays_ready(tmp_path: Path) -> None:
    kept = versions(tmp_path)
    bundles.wordpieces(kept)

    async def scenario(g: Running) -> None:
        repository = g.app.state.gateway.repository
        await repository.unload("sentiment")
        refused = await g.client.post(PREDICT, json=TEXT)
        assert refused.status_code == 503
        assert "is unloaded" in refused.json()["detail"]
        assert (await g.client.get("/readyz")).status_code == 200
        await repository.load("sentiment")
        assert await version_of(g) == 1

    on_gateway(tmp_path, scenario)


def test_auto_promotion_moves_the_aliases_once_by_the_counts_of_all_processes(tmp_path: Path) -> None:
    kept = versions(tmp_path)
    kept.set_alias("sentiment", "canary", 2, 50)
    since = kept.aliases("sentiment").since
    with state(tmp_path) as database:
        counts = Comparison(requests=100, paired=600, agreed=600)
        ComparisonStore(database).write("sentiment", since, {2: counts})

        async def scenario(g: Running) -> None:
            async def promoted() -> bool:
                return await version_of(g, "somebody") == 2 and kept.aliases("sentiment").champion == 2

            await until(promoted)
            assert kept.aliases("sentiment").model_dump(exclude_defaults=True, exclude={"since", "canary_percent"}) == {
                "champion": 2,
                "before": 1,
            }

        on_gateway(tmp_path, scenario, comparisons=ComparisonStore(database), auto_promote=True)


def test_without_auto_promotion_the_verdict_is_shown_and_nothing_moves(tmp_path: Path) -> None:
    kept = versions(tmp_path)
    kept.set_alias("sentiment", "canary", 2, 50)
    since = kept.aliases("sentiment").since
    with state(tmp_path) as database:
        ComparisonStore(database).write("sentiment", since, {2: Comparison(requests=100, paired=600, agreed=600)})

        async def scenario(g: Running) -> None:
            verdict = (await g.client.get("/models/sentiment/traffic")).json()["verdict"]
            assert verdict["decision"] == "promote"
            await asyncio.sleep(2.5)
            assert kept.aliases("sentiment").champion == 1

        on_gateway(tmp_path, scenario, comparisons=ComparisonStore(database))
