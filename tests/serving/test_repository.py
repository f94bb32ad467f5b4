"""Models open in the background, one that fails stops no other, and the reason is told."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from pathlib import Path
from threading import Event

import pytest
from prometheus_client import CollectorRegistry

from serving.metrics import ServingMetrics
from serving.opening import Planner
from serving.repository import Repository
from tests import bundles
from tests.serving.apps import Running, on_gateway
from tidegate.bundle import Bundle
from tidegate.bundle_store import BundleStore
from tidegate.errors import GateRefused, ModelNotFound, NotReady
from tidegate.plan import Plan
from tidegate.records import NullRecorder
from tidegate.settings import Settings
from tidegate.tunings import Planned


def test_a_changed_byte_is_refused_by_name_and_the_others_are_served(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = BundleStore(tmp_path / "bundles")
    bundles.sentiment(store)
    file = bundles.wordpieces(store).file("model.onnx")
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)

    async def scenario(g: Running) -> None:
        response = await g.client.get("/readyz")
        assert response.status_code == 503
        models = response.json()["models"]
        assert models["sentiment"] == {"status": "ready"}
        assert models["wordpieces"]["status"] == "failed"
        assert "model.onnx is not what was published" in models["wordpieces"]["error"]
        good = await g.client.post("/models/sentiment/predict", json={"inputs": "profit"})
        bad = await g.client.post("/models/wordpieces/predict", json={"inputs": "profit"})
        assert (good.status_code, bad.status_code) == (200, 503)
        assert "model.onnx" in bad.json()["detail"]
        assert "model.onnx" in (await g.client.get("/models/wordpieces")).json()["error"]

    on_gateway(tmp_path, scenario)
    assert any(record.levelno == logging.ERROR and "model.onnx" in record.getMessage() for record in caplog.records)


def test_a_manifest_that_is_no_json_fails_that_model_alone(tmp_path: Path) -> None:
    store = BundleStore(tmp_path / "bundles")
    bundles.sentiment(store)
    (bundles.wordpieces(store).path / "bundle.json").write_text("{")

    async def scenario(g: Running) -> None:
        models = (await g.client.get("/readyz")).json()["models"]

        assert [models[name]["status"] for name in ("sentiment", "wordpieces")] == ["ready", "failed"]

    on_gateway(tmp_path, scenario)


def test_an_alias_file_that_is_broken_fails_that_model_alone(tmp_path: Path) -> None:
    store = BundleStore(tmp_path / "bundles")
    bundles.sentiment(store)
    bundles.wordpieces(store)
    (tmp_path / "bundles" / "wordpieces" / "aliases.json").write_text("not json")

    async def scenario(g: Running) -> None:
        models = (await g.client.get("/readyz")).json()["models"]

        assert [models[name]["status"] for name in ("sentiment", "wordpieces")] == ["ready", "failed"]

    on_gateway(tmp_path, scenario)


def test_the_champion_is_served_not_the_newest(tmp_path: Path) -> None:
    store = BundleStore(tmp_path / "bundles")
    bundles.sentiment(store)
    bundles.sentiment(store, threshold=0.5)

    async def scenario(g: Running) -> None:
        assert g.app.state.gateway.repository.get("sentiment").manifest.version == 1

    on_gateway(tmp_path, scenario)


def test_a_model_runs_by_the_plan_that_the_planner_gives_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    plan = Plan(variant="fp32", runs=2, threads=1, max_batch_rows=1)

    async def scenario(repository: Repository) -> None:
        assert repository.get("wordpieces").engine.plan == plan
        planned = repository.state("wordpieces").planned
        assert planned is not None
        assert planned.note == "because"

    planned_by(tmp_path, lambda _bundle, _stopping: Planned(plan, "because"), scenario)
    assert "serving wordpieces version 1, fp32 on CPU, 2 x 1 thread, one text a run: because" in caplog.messages


@pytest.mark.filterwarnings("ignore:Specified provider:UserWarning")
def test_a_gpu_that_does_not_start_leaves_the_model_to_the_cpu_loudly(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    plan = Plan(variant="fp32", device="cuda:0", replicas=("cuda:1",), provider="CUDAExecutionProvider", runs=2)

    async def scenario(repository: Repository) -> None:
        served = repository.get("wordpieces")
        assert (served.engine.plan.device, served.engine.plan.replicas) == ("cpu", ())
        assert (await served.predict(["strong profit growth"])).answers[0].label == "positive"

    planned_by(tmp_path, lambda _bundle, _stopping: Planned(plan, "given two GPUs"), scenario)
    [warning] = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert "model wordpieces: device cuda:0: CUDAExecutionProvider did not start" in warning
    assert warning.endswith("it runs on the CPU instead")


def test_a_planner_that_refuses_fails_the_model_with_its_reason(tmp_path: Path) -> None:
    def refuse(_bundle: Bundle, _stopping: Event) -> Planned:
        raise GateRefused("no variant passes on this machine")

    async def scenario(repository: Repository) -> None:
        assert not repository.ready
        with pytest.raises(NotReady, match="no variant passes on this machine"):
            repository.get("wordpieces")

    planned_by(tmp_path, refuse, scenario)


def test_a_model_is_loading_while_its_planner_measures_and_closing_tells_it_to_stop(tmp_path: Path) -> None:
    measuring, told = Event(), Event()

    def measure(_bundle: Bundle, stopping: Event) -> Planned:
        measuring.set()
        if stopping.wait(20):
            told.set()
        raise NotReady("stopped")

    async def main() -> None:
        bundles.wordpieces(BundleStore(tmp_path))
        metrics = ServingMetrics(CollectorRegistry())
        repository = Repository(BundleStore(tmp_path), Settings(), NullRecorder(), metrics, measure)
        repository.start(lambda: pytest.fail("it was told that models are loaded"))
        await asyncio.to_thread(measuring.wait, 10)
        assert repository.state("wordpieces").status == "loading"
        await repository.close()
        assert await asyncio.to_thread(told.wait, 5)

    asyncio.run(main())


def planned_by(home: Path, planner: Planner, scenario: Callable[[Repository], Coroutine[None, None, None]]) -> None:
    """Run a scenario on a repository whose one model was planned by `planner`."""

    async def main() -> None:
        bundles.wordpieces(BundleStore(home))
        metrics = ServingMetrics(CollectorRegistry())
        repository = Repository(BundleStore(home), Settings(), NullRecorder(), metrics, planner)
        loaded = asyncio.Event()
        repository.start(loaded.set)
        await asyncio.wait_for(loaded.wait(), 10)
        await scenario(repository)
        await repository.close()

    asyncio.run(main())


def test_an_empty_store_is_never_ready(tmp_path: Path) -> None:
    async def main() -> None:
        repository = Repository(BundleStore(tmp_path), Settings(), NullRecorder(), ServingMetrics(CollectorRegistry()))
        loaded = asyncio.Event()
        repository.start(loaded.set)
        await asyncio.wait_for(loaded.wait(), 10)
        assert not repository.ready
        with pytest.raises(ModelNotFound, match="served: none"):
            repository.get("sentiment")
        await repository.close()

    asyncio.run(main())


def test_closing_while_models_load_leaves_no_task_and_answers_not_ready(tmp_path: Path) -> None:
    bundles.sentiment(BundleStore(tmp_path))

    async def main() -> None:
        repository = Repository(BundleStore(tmp_path), Settings(), NullRecorder(), ServingMetrics(CollectorRegistry()))
        repository.start(lambda: pytest.fail("it was told that models are loaded"))
        await repository.close()
        assert [task for task in asyncio.all_tasks() if task is not asyncio.current_task()] == []
        with pytest.raises(NotReady):
            repository.get("sentiment")

    asyncio.run(main())


def test_after_closing_a_model_refuses_work(tmp_path: Path) -> None:
    bundles.sentiment(BundleStore(tmp_path))

    async def main() -> None:
        repository = Repository(BundleStore(tmp_path), Settings(), NullRecorder(), ServingMetrics(CollectorRegistry()))
        loaded = asyncio.Event()
        repository.start(loaded.set)
        await asyncio.wait_for(loaded.wait(), 10)
        model = repository.get("sentiment")
        await repository.close()
        with pytest.raises(NotReady, match="shutting down"):
            await model.predict(["profit"])

    asyncio.run(main())
