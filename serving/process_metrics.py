"""Memory, CPU time and open files of every process of a server, for `GET /metrics`, read when somebody looks.

prometheus_client's own `process_*` are those of the process that answers; of several workers that is any one of them.
Here each worker tells its process id in a file of the shared folder, and whoever is asked reads /proc for all.
Limits: Linux; elsewhere, and for a worker that is gone, nothing is shown.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

from prometheus_client import Metric, ProcessCollector
from prometheus_client.registry import Collector

_FAMILIES = ("resident_memory_bytes", "cpu_seconds", "open_fds", "max_fds", "start_time_seconds")


class ProcessesCollector(Collector):
    """prometheus_client's process figures, once for each worker."""

    def __init__(self, processes: Callable[[], Mapping[str, int]]) -> None:
        """Take what finds the processes.

        Args:
            processes: process ids by worker's number.
        """
        self._processes = processes

    def describe(self) -> list[Metric]:
        """Nothing: registering reads nothing, and no other collector has these names."""
        return []

    def collect(self) -> Iterator[Metric]:
        """The figures of now."""
        families: dict[str, Metric] = {}
        for worker, process in sorted(self._processes().items()):
            for found in ProcessCollector("tidegate", partial(int, process), registry=None).collect():
                if found.name.removeprefix("tidegate_process_") not in _FAMILIES:
                    continue
                family = families.setdefault(found.name, Metric(found.name, found.documentation, found.type))
                for sample in found.samples:
                    family.add_sample(sample.name, {"worker": worker}, sample.value)
        yield from families.values()


def this_process() -> Mapping[str, int]:
    """The only worker."""
    return {"0": os.getpid()}


def tell_process(folder: Path, worker: int) -> None:
    """Let the workers of a shared folder know which process has this number."""
    _file(folder, worker).write_text(str(os.getpid()))


def told_processes(folder: Path) -> Mapping[str, int]:
    """Every process that told its id; a dead one's is there until another takes its place."""
    found = {}
    for file in folder.glob("worker-*.pid"):
        found[file.stem.removeprefix("worker-")] = int(file.read_text() or 0)
    return found


def _file(folder: Path, worker: int) -> Path:
    return folder / f"worker-{worker}.pid"
