"""Figures of one process stay its own; those of several workers add up, whichever of them is asked."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from serving.metrics import ServingMetrics, SharedRegistry, forget_gauges

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
