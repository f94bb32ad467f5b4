"""What a process of the server shows of itself: its metrics registry, and its traces where they are asked for.

Before: `gateway`; after: `serving.metrics` and `serving.tracing`, which is loaded only with `otlp_endpoint` set.
"""

import importlib
from typing import TYPE_CHECKING

from prometheus_client import GC_COLLECTOR, PLATFORM_COLLECTOR, PROCESS_COLLECTOR, CollectorRegistry
from prometheus_client import disable_created_metrics as disable_created

from serving.process_metrics import ProcessesCollector, ProcessTable
from tidegate.errors import UsageError
from tidegate.settings import Settings

if TYPE_CHECKING:
    from serving.tracing import Tracing


def make_registry(processes: ProcessTable) -> CollectorRegistry:
    """A registry with what Prometheus shows of every process; the global one stays out of it."""
    # A series for each counter that nobody asks for, and that several workers have not got.
    disable_created()  # type: ignore[no-untyped-call]
    registry = CollectorRegistry()
    for collector in (PROCESS_COLLECTOR, PLATFORM_COLLECTOR, GC_COLLECTOR, ProcessesCollector(processes.pids)):
        registry.register(collector)
    return registry


def check_tracing(settings: Settings) -> None:
    """Check before anything slow happens that traces can be made where they are asked for.

    Raises:
        UsageError: OpenTelemetry is not installed.
    """
    if not settings.otlp_endpoint:
        return
    try:
        importlib.import_module("serving.tracing")
    except ImportError as error:
        raise UsageError(
            f"otlp_endpoint is set and {error.name} is not installed; install tidegate[otel], or leave it empty"
        ) from None


def open_tracing(settings: Settings, worker: str) -> "Tracing | None":
    """Traces of this process; None where nobody asks for any."""
    if not settings.otlp_endpoint:
        return None
    from serving.tracing import Tracing  # OpenTelemetry, an extra

    return Tracing(settings.otlp_endpoint, settings.trace_ratio, worker)
