"""The monitor process itself: a monitoring job at the other end of the gateway's pipe.

It takes records as they come, answers calls from a few threads, and tells after each turn of the writer, and before
each answer, what is new in its metrics. When the gateway says so, or is gone, it writes what it has, saves the open
windows and ends; signals that end a whole group of processes do not reach it, since the gateway still has to hand over
what is on its way. Once it is there it steps back for whoever answers callers: nice, and as a batch job, which takes
nobody's core when it wakes. Not as SCHED_IDLE: on a machine that is busy for long it would never come to write, and
would stop in the middle of a turn at the database.
Before: `link`; after: `job`.
"""

import contextlib
import gc
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry

from tidegate import logs, store
from tidegate.bundle_store import BundleStore
from tidegate.errors import TidegateError
from tidegate.settings import Settings

if TYPE_CHECKING:
    from monitoring.job import MonitoringJob

log = logging.getLogger(__name__)

NICE = 5  # a third of a core beside one that is busy: writing at full load takes a tenth
THREADS = 8
COLLECT_AFTER = 50_000  # objects: some 10,000 records


class Answers:
    """What goes back to the gateway, from any thread; nothing once it is gone."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self._lock = threading.Lock()
        self.job: MonitoringJob | None = None

    def tell(self) -> None:
        """Say what is new in the job's metrics."""
        with self._lock:
            if self.job is not None and (changes := self.job.metrics.changes()):
                self._send(("changes", changes))

    def call(self, number: int, method: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        """Call a method and send what it returns or raises."""
        value: Any = None
        error: Exception | None = None
        try:
            value = method(*arguments)
        except TidegateError as raised:
            error = raised
        except Exception as raised:
            log.exception("monitoring failed at %s", method.__name__)
            error = RuntimeError(f"monitoring failed: {type(raised).__name__}; its log has more")
        self.tell()
        with self._lock:
            self._send(("answer", number, value, error))

    def _send(self, frame: tuple[Any, ...]) -> None:
        with contextlib.suppress(OSError):
            self._pipe.send(frame)


def attend(pipe: Connection, job: "MonitoringJob", answers: Answers) -> None:
    """Do what the gateway says until it says `end`, or is gone."""
    pool = ThreadPoolExecutor(THREADS, "tidegate-answer")
    with contextlib.suppress(EOFError, OSError):
        while (frame := pipe.recv())[0] != "end":
            match frame:
                case ("records", parcel):
                    job.record(parcel)
                case ("disagreed", model, ids):
                    job.disagreed(model, ids)
                case ("call", number, name, arguments):
                    pool.submit(answers.call, number, getattr(job, name), arguments)
    pool.shutdown(wait=False, cancel_futures=True)


def work(pipe: Connection, settings: Settings) -> None:
    """Be the monitor process."""
    from monitoring.job import MonitoringJob  # pandas and whylogs: a second and more, which nobody should wait for long

    step_back()
    answers = Answers(pipe)
    database = store.open_database(settings.state_url)
    job = MonitoringJob(
        database, BundleStore(settings.bundles_dir), settings, CollectorRegistry(), on_turn=answers.tell
    )
    answers.job = job
    job.start()
    _spare_collections()
    try:
        attend(pipe, job, answers)
    finally:
        job.stop()
        answers.tell()


def step_back() -> None:
    """Let whoever answers callers go first; threads that are started later inherit it."""
    os.nice(NICE)
    if sys.platform == "linux":
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


def _spare_collections() -> None:
    """Keep the garbage collector from walking through what was imported, and from starting at every hundred records.

    What records leave behind is no garbage that needs a collector; looking for it took a tenth of this process's time.
    """
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER)


def main() -> int:
    """What `link` starts, with the number of its end of the pipe."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    with Connection(int(sys.argv[1])) as pipe:
        try:
            _, settings, name = pipe.recv()
            logs.to_stderr(settings.log_format, name)
            work(pipe, settings)
        except EOFError:  # the gateway ended before it had begun
            return 1
        except TidegateError as error:
            log.error("monitoring cannot start: %s", error)
            return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
