"""GPU figures for `GET /metrics`: memory and load of every GPU, read when somebody looks.

A collector with an injected reader; without a GPU it yields nothing. `device` is `cuda:N`, as in
`tidegate_model_info`, so the two join. Before: `tidegate.gpus.read_gpus`; after: the registry it is registered with.
Limits: the figures are the GPU's, every process on it included; with several workers each answers the same.
"""

import time
from collections.abc import Callable, Iterator, Sequence

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from tidegate.gpus import Gpu

LABELS = ("device", "name")
# Prometheus asks every 15 s or so; several that ask at once share one reading.
KEEP_SECONDS = 1.0


class GpuCollector(Collector):
    """Gauges of every GPU; register it with the registry that `/metrics` shows."""

    def __init__(self, read: Callable[[], Sequence[Gpu]], clock: Callable[[], float] = time.monotonic) -> None:
        self._read = read
        self._clock = clock
        self._gpus: Sequence[Gpu] = ()
        self._stale_at = float("-inf")

    def describe(self) -> list[GaugeMetricFamily]:
        """The families without samples, so that registering reads nothing."""
        return list(_families())

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """The figures of now; nothing without a GPU."""
        gpus = self._now()
        if not gpus:
            return
        used, total, utilisation = _families()
        for gpu in gpus:
            labels = (gpu.device, gpu.name)
            used.add_metric(labels, gpu.used_bytes)
            total.add_metric(labels, gpu.total_bytes)
            if gpu.utilisation is not None:
                utilisation.add_metric(labels, gpu.utilisation)
        yield from (used, total, utilisation)

    def _now(self) -> Sequence[Gpu]:
        now = self._clock()
        if now >= self._stale_at:
            self._gpus = self._read()
            self._stale_at = now + KEEP_SECONDS
        return self._gpus


def _families() -> tuple[GaugeMetricFamily, GaugeMetricFamily, GaugeMetricFamily]:
    def family(name: str, text: str) -> GaugeMetricFamily:
        return GaugeMetricFamily(f"tidegate_gpu_{name}", text, labels=LABELS)

    return (
        family("memory_used_bytes", "Memory of the GPU that is taken, by every process on it."),
        family("memory_total_bytes", "Memory of the GPU."),
        family("utilisation_ratio", "Share of the last sampling period in which the GPU ran a kernel."),
    )
