"""A served model: texts in, answers out. What the HTTP route, the demos and every other protocol call.

Before: a checked request; inside: tokenizer threads, then the batcher; after: answers for the caller, records
for monitoring, figures for Prometheus. The event loop only waits. Prediction ids: a request of one text has one
id; a request of several has `{request_id}.{index}` for each.
"""

import asyncio
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from serving.batcher import Batcher, Inferred
from serving.limits import check_texts
from serving.metrics import ABANDONED, ModelMetrics
from tidegate.bundle import Bundle, Manifest
from tidegate.devices import Device
from tidegate.engine import Engine
from tidegate.errors import Overloaded, TidegateError
from tidegate.permits import Permits
from tidegate.records import Recorder, make_records
from tidegate.settings import Settings
from tidegate.tasks import Answer, decide


@dataclass(frozen=True, slots=True)
class Timings:
    """Where the time of one request went, in seconds.

    Attributes:
        queue: from tokenized to the first batch that took one of its rows.
        tokenize: waiting for a tokenizer thread included.
        infer: from the first batch to the last answer.
    """

    queue: float
    tokenize: float
    infer: float


@dataclass(frozen=True, slots=True)
class Predictions:
    """The answers to the texts of one request, in their order.

    Attributes:
        request_id: id of the request; also the prediction id when it held one text.
        ids: one prediction id a text.
    """

    request_id: str
    ids: Sequence[str]
    answers: Sequence[Answer]
    model: str
    version: int
    variant: str
    timings: Timings


class ServedModel:
    """One version of a model, open, warm and batching; create it on the event loop, `close` it there."""

    def __init__(
        self,
        engine: Engine,
        device: Device,
        settings: Settings,
        recorder: Recorder,
        metrics: ModelMetrics,
        permits: Permits,
    ) -> None:
        self.engine = engine
        self.device = device
        self._settings = settings
        self._recorder = recorder
        self._metrics = metrics
        self._ids = random_ids()
        self._batcher = Batcher(engine, metrics, permits, max_queued=settings.max_queued)

    @property
    def bundle(self) -> Bundle:
        """The bundle that it serves."""
        return self.engine.bundle

    @property
    def manifest(self) -> Manifest:
        """The manifest of its bundle."""
        return self.engine.bundle.manifest

    async def predict(self, texts: Sequence[str], deadline_seconds: float | None = None) -> Predictions:
        """Answer texts.

        Args:
            texts: 1 to `max_inputs` of them, none blank.
            deadline_seconds: how long the caller waits; never longer than the setting of that name, the default.

        Raises:
            InvalidInput, PayloadTooLarge: the texts cannot be taken.
            Overloaded: the queue is full.
            NotReady: shutting down.
            DeadlinePassed: no answer in time.
            InferenceFailed: the model failed on one of these texts.
        """
        with self._counted():
            check_texts(texts, self._settings)
            longest = self._settings.deadline_seconds
            started = time.monotonic()
            deadline = started + min(deadline_seconds or longest, longest)
            inferred = await self._batcher.submit(texts, deadline)
            timings = Timings(inferred.queue_seconds, inferred.tokenize_seconds, inferred.infer_seconds)
            self._observe(len(texts), timings, time.monotonic() - started)
            return self._conclude(texts, inferred, timings)

    async def close(self) -> None:
        """Finish what is queued within `drain_seconds`, then stop."""
        await self._batcher.close(self._settings.drain_seconds)

    @contextmanager
    def _counted(self) -> Iterator[None]:
        """Count the request while it is in flight, and by how it ended."""
        status = 500
        self._metrics.in_flight.inc()
        try:
            yield
            status = 200
        except TidegateError as error:
            status = error.status
            if isinstance(error, Overloaded):
                self._metrics.shed.inc()
            raise
        except asyncio.CancelledError:
            status = ABANDONED
            raise
        finally:
            self._metrics.in_flight.dec()
            self._metrics.count(status)

    def _conclude(self, texts: Sequence[str], inferred: Inferred, timings: Timings) -> Predictions:
        manifest = self.manifest
        request_id = self._ids()
        ids = [request_id] if len(texts) == 1 else [f"{request_id}.{index}" for index in range(len(texts))]
        answers = [decide(row, manifest.labels, manifest.postprocessing) for row in inferred.probabilities]
        variant = self.engine.variant.name
        self._recorder.record(make_records(manifest, variant, ids, texts, inferred.rows, answers, time.time()))
        return Predictions(request_id, ids, answers, manifest.name, manifest.version, variant, timings)

    def _observe(self, texts: int, timings: Timings, seconds: float) -> None:
        self._metrics.texts.inc(texts)
        self._metrics.request_seconds.observe(seconds)
        self._metrics.queue_seconds.observe(timings.queue)
        self._metrics.tokenize_seconds.observe(timings.tokenize)


def random_ids() -> Callable[[], str]:
    """Ids of 128 random bits in hexadecimal; the system is asked for randomness once in 256 ids, not each time."""
    pool: Iterator[str] = iter(())

    def next_id() -> str:
        nonlocal pool
        bits = next(pool, None)
        if bits is None:
            fresh = os.urandom(4_096).hex()
            pool = iter([fresh[start : start + 32] for start in range(0, len(fresh), 32)])
            bits = next(pool)
        return bits

    return next_id
