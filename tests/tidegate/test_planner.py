"""The planner measures once a machine, and what fails here is not served, whatever the bundle's evidence says."""

import asyncio
import logging
from contextlib import closing
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
from tidegate.cli import gateway as whole
from tidegate.cli.planner import make_planner, place_champions, plan
from tidegate.devices import available_providers
from tidegate.errors import GateRefused, UsageError
from tidegate.gpus import CUDA, Gpu
from tidegate.placement import Machine, Placement
from tidegate.plan import Plan
from tidegate.settings import Settings
from tidegate.tunings import Planned, Trial, Tuning

GIB = 1 << 30
TWO_GPUS = Machine(
    cores=2,
    gpus=(Gpu(0, "toy", 8 * GIB, GIB, 0.0, (9, 0)), Gpu(1, "toy", 8 * GIB, 0, 0.0, (9, 0))),
    providers=[CUDA, "CPUExecutionProvider"],
)


def planned(home: Path, bundle: Bundle, **settings: object) -> Planned:
    """On the CPU, whatever else is here, and of one thread, which leaves one shape to try."""
    return plan(Settings.model_validate({"home": home, "threads": 1, "device": "cpu", **settings}), bundle, Event())


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
    assert first.tuning == tunings.read(tmp_path / "tuning", bundle, place("cpu", 1))
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
        hardware=place("cpu", 1),
        bundle=tunings.bundle_digest(bundle),
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
        quick=True,
        trials=(),
    )
    tunings.write(tmp_path / "tuning", bundle, empty)

    assert planned(tmp_path, bundle).note == "as exported, verified here at export"


def test_champions_are_placed_together_and_one_that_cannot_be_read_stops_no_other(
    store: BundleStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bundles.sentiment(store)
    bundles.wordpieces(store)
    (bundles.wordpieces(store, "broken").path / "bundle.json").write_text("{")
    settings = Settings(home=tmp_path)

    placed = place_champions(settings, TWO_GPUS)
    assert {name: where.devices for name, where in placed.items()} == {
        "sentiment": ("cpu",),
        "wordpieces": ("cuda:1", "cuda:0"),
    }
    assert caplog.messages == []
    named = settings.model_copy(update={"device": "wordpieces=cuda:0,auto"})
    assert place_champions(named, TWO_GPUS)["wordpieces"].devices == ("cuda:0",)
    with pytest.raises(UsageError, match="cuda:7"):
        place_champions(settings.model_copy(update={"device": "wordpieces=cuda:7,auto"}), TWO_GPUS)


def test_a_device_for_a_model_that_is_not_there_stops_the_start(store: BundleStore, tmp_path: Path) -> None:
    bundles.wordpieces(store)
    settings = Settings(home=tmp_path, port=0, device="wordpeices=cpu,auto")

    with closing(whole.open_door(settings)) as door, pytest.raises(UsageError, match="the models here are: wordpieces"):
        whole.run(settings, door)


@pytest.mark.skipif(CUDA in available_providers(), reason="this onnxruntime has CUDA")
def test_a_gpu_for_one_model_is_refused_at_the_door_where_onnxruntime_has_none(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="device 'cuda:1': this onnxruntime offers"):
        whole.open_door(Settings(home=tmp_path, port=0, device="wordpieces=cuda:1,auto"))


def test_a_model_without_room_on_the_gpu_runs_on_the_cpu_loudly(
    store: BundleStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bundle = bundles.wordpieces(store)
    full = Machine(2, (Gpu(0, "toy", 8 * GIB, 8 * GIB, 0.0, (9, 0)),), TWO_GPUS.providers)

    where = place_champions(Settings(home=tmp_path), full)["wordpieces"]

    assert where.devices == ("cpu",)
    assert "model wordpieces runs on the CPU: it needs" in caplog.text
    choice = plan(Settings(home=tmp_path, tune=False), bundle, Event(), where)
    assert choice.plan.device == "cpu"
    assert f"verified here at export; given cpu: {where.reason}" in choice.note


def test_what_was_tuned_on_one_gpu_runs_on_every_gpu_that_was_given(store: BundleStore, tmp_path: Path) -> None:
    bundle = bundles.wordpieces(store)
    tuned = Plan(variant="fp32", device="cuda:0", provider=CUDA, length_multiple=8)
    tuning = Tuning(
        hardware=place("auto", 1),
        bundle=tunings.bundle_digest(bundle),
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
        quick=True,
        trials=(Trial(plan=tuned, accepted=True, throughput_texts_per_second=9.0, latency_p50_seconds=0.1),),
    )
    tunings.write(tmp_path / "tuning", bundle, tuning)
    where = Placement("wordpieces", ("cuda:1", "cuda:0"), "room for two", loud=False, arena_bytes=GIB)

    choice = plan(Settings(home=tmp_path, threads=1), bundle, Event(), where)

    assert choice.plan == tuned.model_copy(update={"device": "cuda:1", "replicas": ("cuda:0",), "runs": 2})
    assert choice.note.endswith("; given cuda:1, cuda:0: room for two")


def test_a_gpu_that_does_not_start_is_refused_with_its_reason_and_the_cpu_serves(
    store: BundleStore, tmp_path: Path
) -> None:
    bundle = bundles.wordpieces(store)
    where = Placement("wordpieces", ("cuda:0",), "room for it", loud=False, arena_bytes=GIB)

    choice = plan(Settings(home=tmp_path, threads=1, tune=False), bundle, Event(), where)

    assert (choice.plan.device, choice.plan.replicas) == ("cpu", ())
    assert "fp32 on CUDA" in choice.note
    assert "did not start" in choice.note
    with pytest.raises(GateRefused, match="did not start"):
        plan(Settings(home=tmp_path, threads=1, tune=False, device="cuda:0"), bundle, Event(), where)


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
            text = card.model_card(repository.get("wordpieces"), Settings(), repository.state("wordpieces").planned)
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
