"""Running: batches through the engine, in threads between the backlog and the event loop.

A thread takes a batch, runs it, and hands all of its answers over at once. When a batch fails, its rows run one by
one, so that a poisoned one fails its own request alone. Before: `serving.backlog`; after: `serving.batcher`, on its
loop. Limits: a run cannot be stopped; one that hangs keeps its thread, which `join` leaves behind.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from serving.backlog import Backlog
from serving.batch import Entry, Ticket, padded_tokens
from serving.metrics import ModelMetrics
from tidegate.engine import Inference
from tidegate.errors import InferenceFailed, TidegateError
from tidegate.plan import Plan
from tidegate.preprocess import Encoded

log = logging.getLogger(__name__)

_JOIN_SECONDS = 5.0  # a runner that hangs must not hold up the end of the process

# Of each row of a batch: its probabilities, and its embedding where the bundle has one.
Answers = tuple[list[list[float]], Sequence[NDArray[np.float32] | None]]
Deliver = Callable[[Sequence[Entry], Answers, float, float], None]  # seconds of the run, and when it ended


class Runner(Protocol):
    """What encodes and runs: an engine. Called from the batcher's threads."""

    @property
    def plan(self) -> Plan:
        """How many runs at once, and what a batch may hold."""
        ...

    def encode(self, texts: Sequence[str]) -> list[Encoded]:
        """One row a text."""
        ...

    def infer(self, rows: Sequence[Encoded]) -> Inference:
        """Probabilities of shape (len(rows), classes), and embeddings."""
        ...


class Running:
    """The threads, one a run of the plan; they end when the backlog is closed.

    The last three arguments are called from these threads: with the answers of a batch, with a request that failed,
    and with the error that ended a thread.
    """

    def __init__(
        self,
        engine: Runner,
        backlog: Backlog,
        metrics: ModelMetrics,
        deliver: Deliver,
        fail: Callable[[Ticket, TidegateError], None],
        died: Callable[[BaseException], None],
    ) -> None:
        self._engine = engine
        self._backlog = backlog
        self._metrics = metrics
        self._deliver = deliver
        self._fail = fail
        self._died = died
        self._threads = [
            threading.Thread(target=self._work, name=f"tidegate-infer-{n}", daemon=True)
            for n in range(engine.plan.runs)
        ]
        for thread in self._threads:
            thread.start()

    def join(self) -> None:
        """Wait until the threads have ended, a bounded time."""
        until = time.monotonic() + _JOIN_SECONDS
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))
            if thread.is_alive():
                log.warning("a run has not ended within %s s; it is left behind", _JOIN_SECONDS)

    def _work(self) -> None:
        """One thread: cut, run, answer, until closed."""
        try:
            while batch := self._backlog.take():
                try:
                    self._run(batch)
                finally:
                    self._backlog.done()
        except BaseException as error:  # a fault of ours: better to refuse than to let callers wait for nothing
            self._died(error)
        finally:
            self._backlog.close()  # wakes the next thread, which goes as well

    def _run(self, batch: Sequence[Entry]) -> None:
        """Run a batch; when it fails, run its rows one by one, so that a poisoned one fails alone."""
        started = time.perf_counter()
        try:
            answers = self._infer(batch)
        except TidegateError as error:
            if len(batch) == 1:
                self._fail(batch[0].ticket, error)
                return
            log.warning("a batch of %s failed (%s); running its rows one by one", len(batch), type(error).__name__)
            for entry in batch:
                if not entry.ticket.left:
                    self._run([entry])
            return
        now = time.perf_counter()
        self._metrics.observe_batch(
            len(batch), sum(entry.row.length for entry in batch), padded_tokens(batch), now - started
        )
        self._deliver(batch, answers, now - started, now)

    def _infer(self, batch: Sequence[Entry]) -> Answers:
        try:
            inference = self._engine.infer([entry.row for entry in batch])
            answers: list[list[float]] = inference.probabilities.tolist()  # (batch, classes)
            embedding = inference.embedding  # (batch, hidden)
            embeddings = [None] * len(batch) if embedding is None else list(embedding)
        except TidegateError:
            raise
        except Exception as error:  # whatever an engine raises must fail its rows, never the thread
            log.exception("the engine raised on a batch of %s rows", len(batch))
            reason = f"the engine raised {type(error).__name__}; the server's log has the trace"
            raise InferenceFailed(reason) from error
        if not len(answers) == len(embeddings) == len(batch):
            raise InferenceFailed(f"{len(batch)} rows went in and {len(answers)} came out")
        return answers, embeddings
