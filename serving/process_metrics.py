"""Memory, CPU time and open files of every process of a server, for `GET /metrics`, read when somebody looks.

prometheus_client's own `process_*` are those of the process that answers, and a server is more: each worker has its
monitor beside it, and one of them the demos. Each tells which processes it consists of, several in files of a folder
that they share, and whoever is asked reads /proc for all.
Limits: Linux; elsewhere, and for a process that is gone, nothing is shown; nor for pages that runs brought.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import NamedTuple

from prometheus_client import Metric, ProcessCollector
from prometheus_client.registry import Collector

_FAMILIES = ("resident_memory_bytes", "cpu_seconds", "open_fds", "max_fds", "start_time_seconds")


class Part(NamedTuple):
    """What a process is of a server: number of the worker, and gateway, monitor or demos. Also the metrics' labels."""

    worker: str
    process: str


class ProcessTable:
    """Which processes a server consists of; whoever makes one is the gateway of its worker.

    Args:
        worker: number of this one.
        folder: that several workers share; None where there is one.
    """

    def __init__(self, worker: str = "0", folder: Path | None = None) -> None:
        self._worker = worker
        self._folder = folder
        self._own: dict[Part, int] = {}
        self.tell("gateway", os.getpid())

    def tell(self, process: str, pid: int | None) -> None:
        """Say what the process id of a part of this worker is; None: it has ended. Never fails."""
        self._own[Part(self._worker, process)] = pid or 0
        if self._folder is not None:
            with suppress(OSError):  # a full disk, or the supervisor is gone and its folder with it: no figures, then
                (self._folder / f"{self._worker}.{process}.pid").write_text(str(pid or 0))

    def pids(self) -> Mapping[Part, int]:
        """Process ids of all workers; a dead worker's are there until another takes its place."""
        if self._folder is None:
            return self._own.copy()
        files = self._folder.glob("*.*.pid")
        return {Part(*file.name.split(".")[:2]): int(file.read_text() or 0) for file in files}


class ProcessesCollector(Collector):
    """prometheus_client's process figures, once for each process.

    Args:
        pids: finds the process ids; 0 for one that has ended.
    """

    def __init__(self, pids: Callable[[], Mapping[Part, int]]) -> None:
        self._pids = pids

    def describe(self) -> list[Metric]:
        """Nothing: registering reads nothing, and no other collector has these names."""
        return []

    def collect(self) -> Iterator[Metric]:
        """The figures of now."""
        families: dict[str, Metric] = {}
        for part, pid in sorted(self._pids().items()):
            for found in ProcessCollector("tidegate", partial(int, pid), registry=None).collect():
                if found.name.removeprefix("tidegate_process_") not in _FAMILIES:
                    continue
                family = families.setdefault(found.name, Metric(found.name, found.documentation, found.type))
                for sample in found.samples:
                    family.add_sample(sample.name, part._asdict(), sample.value)
        yield from families.values()
