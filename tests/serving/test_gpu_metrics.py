"""`/metrics` shows every GPU as it stands when asked, under the device name of the models; without one, nothing."""

from collections.abc import Sequence

from prometheus_client import CollectorRegistry, generate_latest

from serving.gpu_metrics import GpuCollector
from tidegate.gpus import Gpu

L4 = Gpu(0, "NVIDIA L4", 24_000, 4_000, 0.25, (8, 9))
T4 = Gpu(1, "NVIDIA T4", 16_000, 1_000, None, (7, 5))


class Meter:
    """A reader that counts how often it is asked, and a clock that is set by hand."""

    def __init__(self, *gpus: Gpu) -> None:
        self.gpus: Sequence[Gpu] = gpus
        self.readings = 0
        self.now = 100.0

    def read(self) -> Sequence[Gpu]:
        self.readings += 1
        return self.gpus


def _registry(meter: Meter) -> CollectorRegistry:
    registry = CollectorRegistry()
    registry.register(GpuCollector(meter.read, lambda: meter.now))
    return registry


def test_every_gpu_has_memory_and_load_under_its_device_and_name() -> None:
    registry = _registry(Meter(L4, T4))
    l4, t4 = {"device": "cuda:0", "name": "NVIDIA L4"}, {"device": "cuda:1", "name": "NVIDIA T4"}

    assert registry.get_sample_value("tidegate_gpu_memory_used_bytes", l4) == 4_000
    assert registry.get_sample_value("tidegate_gpu_memory_total_bytes", t4) == 16_000
    assert registry.get_sample_value("tidegate_gpu_utilisation_ratio", l4) == 0.25


def test_a_load_that_is_not_known_is_left_out_rather_than_zero() -> None:
    shown = generate_latest(_registry(Meter(T4))).decode()

    assert "tidegate_gpu_memory_used_bytes{" in shown
    assert "tidegate_gpu_utilisation_ratio{" not in shown


def test_without_a_gpu_nothing_is_shown() -> None:
    assert generate_latest(_registry(Meter())) == b""


def test_registering_reads_nothing() -> None:
    meter = Meter(L4)
    _registry(meter)

    assert meter.readings == 0


def test_readings_within_a_second_are_shared_and_then_new() -> None:
    meter = Meter(L4)
    registry = _registry(meter)

    for later in (0.0, 0.9, 1.0, 1.5):
        meter.now = 100.0 + later
        generate_latest(registry)

    assert meter.readings == 2
    meter.gpus, meter.now = [T4], 110.0
    assert b"NVIDIA T4" in generate_latest(registry)
