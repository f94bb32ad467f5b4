"""Figures of one process stay its own; those of several workers add up, whichever of them is asked."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from prometheus_client import CollectorRegistry, Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from serving.metrics import ServingMetrics, SharedRegistry, forget_gauges
from serving.process_metrics import ProcessesCollector, ProcessTable
from tests import bundles
from tests.servers import Server, running
from tests.toy_graphs import HANGS
from tidegate.bundle_store import BundleStore
from tidegate.errors import Overloaded

# A worker that answers `requests` requests, leaves one in flight, and ends without a word.
WORKER = """
import os, sys
from pathlib import Path
from serving.metrics import ServingMetrics, share_figures
folder, worker, requests = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
metrics = ServingMetrics(share_figures(folder, worker))
metrics.workers.set(1)
metrics.ready.labels("m").set(worker != 1)
metrics.info.labels("m", "1", "fp32", "cpu").set(1)
model = metrics.of("m")
for _ in range(requests):
    model.count(200)
    model.request_seconds.observe(0.003)
model.in_flight.inc()
os._exit(9)
"""


def work(folder: Path, worker: int, requests: int) -> None:
    done = subprocess.run([sys.executable, "-c", WORKER, str(folder), str(worker), str(requests)], check=False)
    assert done.returncode == 9


def requests_of(registry: CollectorRegistry) -> float | None:
    return registry.get_sample_value("tidegate_requests_total", {"model": "m", "outcome": "200"})


def in_flight(registry: CollectorRegistry) -> float | None:
    return registry.get_sample_value("tidegate_requests_in_flight", {"model": "m"})


def test_the_figures_of_workers_add_up_and_the_model_is_ready_when_all_are(tmp_path: Path) -> None:
    work(tmp_path, 0, 5)
    work(tmp_path, 1, 7)
    shown = SharedRegistry(tmp_path)

    assert requests_of(shown) == 12
    assert shown.get_sample_value("tidegate_request_seconds_count", {"model": "m"}) == 12
    assert shown.get_sample_value("tidegate_request_seconds_bucket", {"model": "m", "le": "0.004"}) == 12
    assert in_flight(shown) == 2
    assert shown.get_sample_value("tidegate_workers") == 2
    assert shown.get_sample_value("tidegate_model_ready", {"model": "m"}) == 0
    described = {"model": "m", "version": "1", "variant": "fp32", "device": "cpu"}
    assert shown.get_sample_value("tidegate_model_info", described) == 1


def test_a_dead_worker_takes_its_gauges_with_it_and_leaves_its_counters(tmp_path: Path) -> None:
    work(tmp_path, 0, 5)
    work(tmp_path, 1, 7)
    forget_gauges(tmp_path, 1)
    shown = SharedRegistry(tmp_path)

    assert requests_of(shown) == 12
    assert in_flight(shown) == 1
    assert shown.get_sample_value("tidegate_workers") == 1
    assert shown.get_sample_value("tidegate_model_ready", {"model": "m"}) == 1


def test_the_worker_in_a_dead_ones_place_goes_on_with_its_counters_and_its_files(tmp_path: Path) -> None:
    work(tmp_path, 1, 7)
    files = sorted(tmp_path.iterdir())
    forget_gauges(tmp_path, 1)
    work(tmp_path, 1, 3)

    assert requests_of(SharedRegistry(tmp_path)) == 10
    assert in_flight(SharedRegistry(tmp_path)) == 1
    assert sorted(tmp_path.iterdir()) == files


class Weather(Collector):
    """Looks something up when it is asked."""

    def collect(self) -> Iterator[Metric]:
        yield GaugeMetricFamily("weather_celsius", "Outside.", value=21)


def test_a_collector_that_looks_things_up_is_shown_beside_the_workers(tmp_path: Path) -> None:
    work(tmp_path, 0, 5)
    shown = SharedRegistry(tmp_path)
    shown.register(Weather())

    assert shown.get_sample_value("weather_celsius") == 21
    assert requests_of(shown) == 5


def test_one_process_keeps_its_figures_in_memory() -> None:
    registry = CollectorRegistry()
    ServingMetrics(registry).of("m").count(200)

    assert requests_of(registry) == 1
    assert registry.get_sample_value("tidegate_workers") == 0, "it is not told that its models are loaded"


def test_refusals_are_counted_by_reason_with_the_wait_that_was_predicted() -> None:
    registry = CollectorRegistry()
    metrics = ServingMetrics(registry)
    model = metrics.of("m")
    model.shed(Overloaded("full", retry_after_seconds=0.25))
    model.shed(Overloaded("late", retry_after_seconds=0.25, reason="deadline", wait_seconds=3.0))
    metrics.limit()

    def shed(model: str, reason: str) -> float | None:
        return registry.get_sample_value("tidegate_shed_total", {"model": model, "reason": reason})

    assert (shed("m", "queue_full"), shed("m", "deadline"), shed("", "rate_limit")) == (1, 1, 1)
    assert registry.get_sample_value("tidegate_refused_wait_seconds_sum", {"model": "m"}) == 3.25


def test_a_model_stands_in_one_place_at_a_time() -> None:
    registry = CollectorRegistry()
    metrics = ServingMetrics(registry)
    metrics.stand("m", "loading")
    metrics.stand("m", "stuck")

    def stands(standing: str) -> float | None:
        return registry.get_sample_value("tidegate_model_standing", {"model": "m", "standing": standing})

    assert (stands("loading"), stands("ready"), stands("stuck")) == (0, 0, 1)
    assert registry.get_sample_value("tidegate_model_ready", {"model": "m"}) == 0


@pytest.mark.parametrize("workers", [1, 2])
def test_every_process_of_a_server_is_shown_until_it_is_gone(tmp_path: Path, workers: int) -> None:
    tables = [ProcessTable(str(worker), tmp_path if workers > 1 else None) for worker in range(workers)]
    registry = CollectorRegistry()
    registry.register(ProcessesCollector(tables[0].pids))

    def shown(name: str, worker: str, process: str) -> float | None:
        return registry.get_sample_value(f"tidegate_process_{name}", {"worker": worker, "process": process})

    for table in tables:
        table.tell("monitor", os.getppid())
    last = str(workers - 1)
    assert (shown("resident_memory_bytes", last, "gateway") or 0) > 10_000_000
    assert (shown("cpu_seconds_total", last, "gateway") or 0) > 0
    assert shown("resident_memory_bytes", last, "monitor") != shown("resident_memory_bytes", last, "gateway")
    tables[-1].tell("monitor", None)
    assert shown("resident_memory_bytes", last, "monitor") is None
    tables[-1].tell("monitor", 999_999_999)  # killed before it could be told
    assert shown("resident_memory_bytes", last, "monitor") is None


def test_a_worker_whose_folder_is_gone_goes_on_untold(tmp_path: Path) -> None:
    table = ProcessTable("0", tmp_path / "gone")
    table.tell("monitor", os.getpid())
    assert table.pids() == {}


PAGE = Path(__file__).parents[2] / "docs" / "reference" / "metrics.md"
ROW = re.compile(r"^\| `(\w+)` \| (\w+) \| (.+?) \| (.+) \|$", re.MULTILINE)
# What a server without a GPU, and without what these tell of, has not got to show once it has workers.
ON_OCCASION = {
    "tidegate_gpu_memory_total_bytes",
    "tidegate_gpu_memory_used_bytes",
    "tidegate_gpu_utilisation_ratio",
    "tidegate_drift_alerts_total",
    "tidegate_alerts_open",
}


def documented() -> dict[str, tuple[str, frozenset[str], str]]:
    """Name -> (type, labels, meaning), of the table in the reference."""
    rows = ROW.findall(PAGE.read_text())
    return {name: (kind, frozenset(re.findall(r"`(\w+)`", labels)), text) for name, kind, labels, text in rows}


def scraped(server: Server) -> dict[str, Metric]:
    """Families of our own by the name that the reference has, read by prometheus_client's parser."""
    text = httpx.get(f"{server.url}/metrics", timeout=30).text
    families = [family for family in text_string_to_metric_families(text) if family.name.startswith("tidegate_")]
    return {f"{each.name}_total" if each.type == "counter" else each.name: each for each in families}


def value(families: dict[str, Metric], name: str, **labels: str) -> float:
    family = families[re.sub("_(sum|count|bucket)$", "", name)]
    return sum(s.value for s in family.samples if s.name == name and labels.items() <= s.labels.items())


def make_traffic(server: Server) -> None:
    """What makes every metric show something: answers, refusals, a drifted window, a canary and a shadow."""
    with server.client() as client:
        url = "/models/sentiment/predict"
        for n in range(30):
            answer = client.post(url, json={"inputs": ["shares fell", "profit rises and rises"]})
            assert answer.status_code == 200, n
        for alias, version in (("canary", 2), ("shadow", 3)):
            moved = client.put(f"/models/sentiment/aliases/{alias}", json={"version": version})
            assert moved.status_code == 200, moved.text
        assert client.post(url, json={"inputs": 3}).status_code == 422
        assert client.post("/models/nope/predict", json={"inputs": "a"}).status_code == 404
        late = client.post(url, json={"inputs": ["some words"] * 1_000}, headers={"x-deadline-ms": "1"})
        assert late.status_code == 504
        for n in range(50):
            client.post(url, json={"inputs": "profit"}, headers={"x-caller-key": f"caller {n}"})
            httpx.post(server.url + url, json={"inputs": "profit"}, headers={"x-caller-key": f"other {n}"})
        answer = client.post(url, json={"inputs": "profit"})
        sent = {"prediction_id": answer.headers["x-prediction-id"], "label": "neutral"}
        time.sleep(1)
        assert client.post("/models/sentiment/feedback", json=sent).status_code == 201


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_the_table_of_the_reference_is_what_a_server_shows_after_some_traffic(tmp_path: Path, workers: int) -> None:
    store = BundleStore(tmp_path / "bundles")
    for _ in range(3):
        bundles.sentiment(store)
    limits = {"TIDEGATE_WINDOW_ROWS": "50"}
    with running(["serve", "--workers", str(workers)], tmp_path, **limits) as server:
        make_traffic(server)
        time.sleep(3)  # what is shown once a second or once a window
        shown = scraped(server)
    table = documented()

    assert shown.keys() <= table.keys(), "a metric that no table has"
    assert table.keys() - shown.keys() <= ON_OCCASION, "a metric that no server has"
    for name, family in shown.items():
        kind, labels, text = table[name]
        found = {frozenset(sample.labels) - {"le"} for sample in family.samples}
        assert (family.type, family.documentation) == (kind, text), name
        assert found <= {labels}, name
    assert value(shown, "tidegate_workers") == workers
    assert value(shown, "tidegate_model_standing", standing="ready") == workers
    processes = {(s.labels["worker"], s.labels["process"]) for s in shown["tidegate_process_open_fds"].samples}
    apart = {("0", "demos")}  # there once a visitor came, or the server is 20 s old
    assert processes - apart == {(f"{n}", process) for n in range(workers) for process in ("gateway", "monitor")}
    assert value(shown, "tidegate_model_version", role="canary") == 2
    assert value(shown, "tidegate_model_version", role="shadow") == 3
    assert value(shown, "tidegate_canary_percent") == 10
    assert value(shown, "tidegate_requests_total", outcome="422") == 1
    assert value(shown, "tidegate_requests_total", model="", outcome="404") == 1
    assert value(shown, "tidegate_requests_total", outcome="200") == 131
    assert value(shown, "tidegate_texts_total") == 161
    assert value(shown, "tidegate_request_seconds_count") == 131
    assert value(shown, "tidegate_request_seconds_bucket", le="+Inf") == 131
    assert value(shown, "tidegate_requests_in_flight") == value(shown, "tidegate_queued_texts") == 0
    assert value(shown, "tidegate_drain_seconds") == pytest.approx(0, abs=1e-9)
    assert value(shown, "tidegate_batch_tokens_sum") > value(shown, "tidegate_padding_tokens_total") >= 0
    assert value(shown, "tidegate_rollout_requests_total", version="2", outcome="answered") > 0
    assert value(shown, "tidegate_rollout_texts_total", version="3", outcome="agreed") > 0
    assert value(shown, "tidegate_relabel_queue_depth") >= 1
    assert value(shown, "tidegate_drift_score") > 0


@pytest.mark.slow
def test_a_model_that_hangs_shows_what_waits_what_it_refuses_and_that_it_was_opened_anew(tmp_path: Path) -> None:
    bundles.wordpieces(BundleStore(tmp_path / "bundles"), "brittle", fault="is brittle")
    url = "/models/brittle/predict"
    limits = {"TIDEGATE_RUN_SECONDS": "2", "TIDEGATE_THREADS": "1", "TIDEGATE_MAX_QUEUED": "8"}
    with running(["serve"], tmp_path, **limits) as server, ThreadPoolExecutor(2) as pool, server.client() as client:

        def ask(*texts: str) -> int:
            return httpx.post(server.url + url, json={"inputs": texts}, timeout=30).status_code

        assert ask("profit rises") == 200
        hanging = pool.submit(ask, HANGS)
        time.sleep(0.3)
        waiting = pool.submit(ask, *["profit"] * 8)
        time.sleep(0.3)
        before = scraped(server)
        refused = client.post(url, json={"inputs": ["profit"] * 8})
        until = time.monotonic() + 20
        while not value(scraped(server), "tidegate_model_restarts_total") and time.monotonic() < until:
            time.sleep(0.1)
        assert (refused.status_code, hanging.result(), waiting.result()) == (429, 503, 503)
        while value(scraped(server), "tidegate_model_ready") != 1 and time.monotonic() < until:
            time.sleep(0.1)
        after = scraped(server)

    assert value(before, "tidegate_drain_seconds") > 0
    assert value(before, "tidegate_queued_texts") == 8
    assert value(before, "tidegate_requests_in_flight") == 2
    assert value(after, "tidegate_shed_total", reason="queue_full") == 1
    assert value(after, "tidegate_refused_wait_seconds_count") == 1
    assert value(after, "tidegate_model_restarts_total") == 1
    assert value(after, "tidegate_model_standing", standing="ready") == 1
    assert value(after, "tidegate_requests_in_flight") == value(after, "tidegate_queued_texts") == 0
    assert value(after, "tidegate_drain_seconds") == pytest.approx(0, abs=1e-9)
