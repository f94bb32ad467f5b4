"""The planner measures once a machine, and what fails here is not served, whatever the bundle's evidence says."""

import asyncio
import logging
from datetime import UTC, datetime
from pathlib import Path
from threading import Event

import httpx
import pytest
from fastapi import FastAPI
from prometheus_client import CollectorRegistry

from exporters.candidates import place
from serving import card
from serving.app import create_app
from tests import bundles
from tests.serving.apps import MemoryMonitor
from tidegate import tunings
from tidegate.bundle import Bundle
from tidegate.bundle_store import BundleStore
from tidegate.cli.planner import make_planner, plan
from tidegate.errors import GateRefused
from tidegate.settings import Settings
from tidegate.tunings import Planned, Tuning


def planned(home: Path, bundle: Bundle, **settings: object) -> Planned:
    """Of one thread, which leaves one shape to try."""
    return plan(Settings.model_validate({"home": home, "threads": 1, **settings}), bundle, Event())


@pytest.fixture
def store(tmp_path: Path) -> BundleStore:
    return BundleStore(tmp_path / "bundles")


def test_a_machine_that_never_tuned_tunes_once_and_keeps_the_result(store: BundleStore, tmp_path: Path) -> None:
    bundle = bundles.wordpieces(store, fault="lies")
    first = planned(tmp_path, bundle)

    assert first.plan.variant == "fp32"
    assert first.verified
    assert "best for throughput of" in first.note
    assert "int8 on CPU" in first.note
    assert first.tuning == tunings.read(tmp_path / "tuning", bundle, place("auto", 1))
    again = planned(tmp_path, bundle, goal="latency", tune=False)  # known figures serve both goals
    assert again.tuning == first.tuning
    assert "best for latency" in again.note


def test_without_tuning_a_choice_that_was_verified_here_is_served_unmeasured(
    store: BundleStore, tmp_path: Path
) -> None:
    choice = planned(tmp_path, bundles.wordpieces(store), tune=False)

    assert (choice.plan.variant, choice.tuning, choice.verified) == ("fp32", None, True)
    assert choice.note == "as exported, verified here at export"
    assert not (tmp_path / "tuning").exists()


def test_without_tuning_a_choice_from_elsewhere_is_verified_again_and_the_next_one_taken(
    store: BundleStore, tmp_path: Path
) -> None:
    choice = planned(tmp_path, bundles.wordpieces(store, fault="lies", verified_on="another CPU"), tune=False)

    assert choice.plan.variant == "fp32"
    assert "verified again here on 150 texts; int8 on CPU" in choice.note
    assert choice.tuning is not None
    assert [(trial.plan.variant, trial.accepted) for trial in choice.tuning.trials] == [("int8", False), ("fp32", True)]
    assert list((tmp_path / "tuning").glob("*/*.json")) == []  # verified is not tuned: a later start may tune


def test_when_nothing_passes_here_the_model_fails_with_every_reason(store: BundleStore, tmp_path: Path) -> None:
    bundle = bundles.only_lies(store)

    assert planned(tmp_path, bundle, tune=False).plan.variant == "int8"  # as its evidence, of this machine, says
    with pytest.raises(GateRefused, match=r"no variant passes on this machine: int8 on CPU.*agrees with the source"):
        planned(tmp_path, bundle)


def test_a_tuning_that_had_no_time_for_any_plan_leaves_the_exported_choice(store: BundleStore, tmp_path: Path) -> None:
    bundle = bundles.wordpieces(store)
    empty = Tuning(
        hardware=place("auto", 1),
        bundle=tunings.bundle_digest(bundle),
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
        quick=True,
        trials=(),
    )
    tunings.write(tmp_path / "tuning", bundle, empty)

    assert planned(tmp_path, bundle).note == "as exported, verified here at export"


def test_a_server_says_what_it_uses_and_what_was_refused(
    store: BundleStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bundles.wordpieces(store, fault="lies", verified_on="another CPU")
    caplog.set_level(logging.INFO)

    async def main() -> None:
        app, loaded = gateway(store, Settings(home=tmp_path, tune=False))
        transport = httpx.ASGITransport(app)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=transport, base_url="http://localhost") as client,
        ):
            assert (await client.get("/readyz")).status_code == 503  # loading, while it is verified
            await asyncio.wait_for(loaded.wait(), 60)
            assert (await client.get("/readyz")).status_code == 200
            document = (await client.get("/models/wordpieces")).json()
            assert document["variant"] == document["plan"]["variant"] == "fp32"
            assert [trial["accepted"] for trial in document["tuning"]["trials"]] == [False, True]
            assert "agrees with the source model" in document["tuning"]["trials"][0]["refusal"]
            assert document["warnings"] == [
                f"the exported choice int8 is not used on this machine: {document['tuning']['trials'][0]['refusal']}"
            ]
            repository = app.state.gateway.repository
            text = card.model_card(repository.get("wordpieces"), repository.state("wordpieces").planned)
            assert "- **Plan**: fp32 on CPU" in text
            assert "| int8 on CPU, " in text
            assert "| refused: agrees with the source model on " in text
            assert "verified on another machine" not in text  # it is verified on this one now
            answer = await client.post("/models/wordpieces/predict", json={"inputs": "strong profit growth"})
            assert answer.json()[0][0]["label"] == "positive"

    asyncio.run(main())
    [line] = [record.getMessage() for record in caplog.records if record.getMessage().startswith("serving ")]
    assert "fp32 on CPU" in line
    assert "int8 on CPU" in line


def test_a_server_that_is_stopped_while_it_measures_stops_at_once(store: BundleStore, tmp_path: Path) -> None:
    bundles.wordpieces(store)

    async def main() -> None:
        app, _ = gateway(store, Settings(home=tmp_path))
        async with app.router.lifespan_context(app):
            await asyncio.sleep(0.5)

    started = asyncio.Runner()
    with started:
        loop = started.get_loop()
        before = loop.time()
        started.run(main())
        assert loop.time() - before < 5


def gateway(store: BundleStore, settings: Settings) -> tuple[FastAPI, asyncio.Event]:
    loaded, monitor = asyncio.Event(), MemoryMonitor()
    planner = make_planner(settings)
    app = create_app(settings, store, monitor, monitor, CollectorRegistry(), planner=planner, on_loaded=loaded.set)
    return app, loaded
