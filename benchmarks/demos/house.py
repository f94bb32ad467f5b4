"""A server with many models, whose processes collect their garbage on demand so that their memory can be read.

Counted are the gateway and the process that has its demos, not the monitor process. Before: nothing; after: `many` and
`latency` send visitors. Limits: Linux (/proc).
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks import processes
from tests import bundles
from tidegate.bundle_store import BundleStore
from tidegate.errors import NotReady

_COLLECT_SECONDS = 2.0
_COLLECT = "import gc, signal; signal.signal(signal.SIGUSR1, lambda *_: gc.collect()); "
_SERVE = f"""\
{_COLLECT}
from demos.process import DemoProcess
python, isolated, option, code, *rest = DemoProcess.command
DemoProcess.command = (python, isolated, option, {_COLLECT!r} + code, *rest)
from tidegate.cli import main
main()
"""


@dataclass(frozen=True, slots=True)
class House:
    """A server that answers.

    Attributes:
        ready_seconds: from start until every model answers.
    """

    url: str
    pid: int
    ready_seconds: float

    def memory_mib(self) -> float:
        """Resident memory of the gateway and its demos after their garbage was collected."""
        counted = [self.pid, *self._demos()]
        for pid in counted:
            os.kill(pid, signal.SIGUSR1)
        time.sleep(_COLLECT_SECONDS)
        return sum(map(_resident_mib, counted))

    def cpu_seconds(self) -> float:
        """CPU time of all its processes so far."""
        return processes.cpu_seconds(self.pid)

    def _demos(self) -> list[int]:
        family = [one.pid for one in processes.family(self.pid)]
        return [pid for pid in family if b"demos.child" in Path(f"/proc/{pid}/cmdline").read_bytes()]


def _resident_mib(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:")) / 1024


def names(models: int) -> list[str]:
    """Of the models."""
    return [f"demo-{number:02d}" for number in range(models)]


@contextmanager
def serving(home: Path, models: Sequence[str]) -> Iterator[House]:
    """Publish a small TF-IDF bundle under each name, and serve them until the block ends.

    Raises:
        NotReady: the server ended first.
    """
    store = BundleStore(home / "bundles")
    for model in models:
        bundles.sentiment(store, model, threshold=0.6, fallback="unsure")
    started = time.monotonic()
    command = [sys.executable, "-c", _SERVE, "serve", "--home", str(home), "--port", "0"]
    variables = os.environ | {"TIDEGATE_TUNE": "false", "TIDEGATE_LAME_DUCK_SECONDS": "0"}
    with (home / "server.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, env=variables)
    try:
        line = process.stdout.readline() if process.stdout else ""
        if not line.startswith("ready "):
            raise NotReady(f"the server ended before it was ready:\n{(home / 'server.log').read_text()[-2_000:]}")
        yield House(line.split()[1], process.pid, time.monotonic() - started)
    finally:
        processes.end(process)  # type: ignore[arg-type]  # it reads no stream
        if process.stdout is not None:
            process.stdout.close()
