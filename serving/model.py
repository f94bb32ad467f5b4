"""A served model: texts in, answers out. What the HTTP route, the demos and every other protocol call.

Before: a checked request; inside: tokenizer threads, then the batcher; after: `predictions` for the caller,
records for monitoring, figures for Prometheus. The event loop only waits.
"""

import asyncio
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from serving.batcher import Batcher, Inferred
from serving.caller import ANYONE, MIRROR, Caller
from serving.limits import check_texts
from serving.metrics import ABANDONED, ModelMetrics
from serving.predictions import Predictions, Timings, random_ids
from serving.statistics import Statistics
from serving.tensor_runs import Output, TensorRuns
from tidegate.bundle import Bundle, Manifest
from tidegate.devices import Device
from tidegate.engine import Engine
from tidegate.errors import Overloaded, TidegateError
from tidegate.permits import Permits
from tidegate.preprocess import Feeds
from tidegate.records import Recorder, make_records
from tidegate.settings import Settings
from tidegate.tasks import Answer, decide_all


class ServedModel:
    """One version of a model, open, warm and batching; create it on the event loop, `close` it there.

    Attributes:
        statistics: of the texts that it answers.
        tensor_statistics: of callers' own tensors.
    """

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
        self._asked = 0  # requests that were taken and are not answered
        self._idle = asyncio.Event()
        self._idle.set()
        self._batcher = Batcher(
            engine, metrics, permits, max_queued=settings.max_queued, run_seconds=settings.run_seconds
        )
        self.statistics = metrics.statistics
        self.tensor_statistics = Statistics()
        self._tensors = TensorRuns(engine, permits, self.tensor_statistics, settings.max_inputs)

    @property
    def bundle(self) -> Bundle:
        """The bundle that it serves."""
        return self.engine.bundle

    @property
    def manifest(self) -> Manifest:
        """The manifest of its bundle."""
        return self.engine.bundle.manifest

    @property
    def variant(self) -> str:
        """Name of the variant that answers."""
        return self.engine.variant.name

    @property
    def stuck(self) -> bool:
        """Whether it has stopped answering."""
        return self._batcher.stuck or self._tensors.longest_run_seconds > self._settings.run_seconds

    def admit(self, deadline_seconds: float | None, caller: Caller) -> None:
        """Refuse at once what could not be answered in time even if it were a single short text.

        Raises:
            Overloaded: carries when to come back.
            NotReady: shutting down.
        """
        try:
            self._batcher.admit(time.monotonic() + self._within(deadline_seconds), caller)
        except Overloaded as error:
            self._metrics.shed(error)
            raise

    async def predict(
        self, texts: Sequence[str], deadline_seconds: float | None = None, caller: Caller = ANYONE
    ) -> Predictions:
        """Answer texts.

        Args:
            texts: 1 to `max_inputs` of them, none blank.
            deadline_seconds: how long the caller waits; never longer than the setting of that name, the default.
            caller: who asks.

        Raises:
            InvalidInput, PayloadTooLarge: the texts cannot be taken.
            Overloaded: the queue is full.
            NotReady: shutting down.
            DeadlinePassed: no answer in time.
            InferenceFailed: the model failed on one of these texts.
        """
        with self._counted(self.statistics):
            check_texts(texts, self._settings)
            started = time.monotonic()
            inferred = await self._batcher.submit(texts, started + self._within(deadline_seconds), caller)
            timings = Timings(inferred.queue_seconds, inferred.tokenize_seconds, inferred.infer_seconds)
            self._observe(len(texts), timings, time.monotonic() - started)
            return self._conclude(texts, inferred, timings, caller)

    async def run_tensors(self, feeds: Feeds, deadline_seconds: float | None = None) -> Output:
        """Run the graph on a caller's own tensors; what it answers, before any postprocessing.

        Args:
            feeds: by input name, of the graph's datatypes and ranks, rows first.
            deadline_seconds: as for `predict`.

        Raises what `TensorRuns.run` raises.
        """
        with self._counted(self.tensor_statistics):
            return await self._tensors.run(feeds, time.monotonic() + self._within(deadline_seconds))

    async def compare(self, texts: Sequence[str]) -> Sequence[Answer | Sequence[float]]:
        """Answer texts that somebody else answers: nothing is recorded, counted or told; last in line.

        Answers, or vectors where the task is embedding. Raises what `predict` raises.
        """
        with self._taken():
            deadline = time.monotonic() + self._settings.deadline_seconds
            inferred = await self._batcher.submit(texts, deadline, MIRROR)
        return self._vectors(inferred) or self._decide(inferred)

    def disagreed(self, ids: Sequence[str]) -> None:
        """Tell monitoring of predictions that another version answered otherwise: people may know which is right."""
        self._recorder.disagreed(self.manifest.name, ids)

    async def retire(self) -> None:
        """Stop once the last request that it took is answered; or at once when cancelled."""
        try:
            await self._idle.wait()
        finally:
            await self.close()

    def show(self) -> None:
        """Show in the metrics how long what waits will take."""
        self._batcher.show()

    def abandon(self) -> None:
        """Give up what hangs; see `Batcher.abandon`."""
        self._batcher.abandon()
        self._tensors.abandon()

    async def close(self) -> None:
        """Finish what is queued within `drain_seconds`, then stop."""
        seconds = self._settings.drain_seconds
        await asyncio.gather(self._batcher.close(seconds), self._tensors.close(seconds))

    @contextmanager
    def _taken(self) -> Iterator[None]:
        """One more request is to be answered before this version may go."""
        self._asked += 1
        self._idle.clear()
        try:
            yield
        finally:
            self._asked -= 1
            if not self._asked:
                self._idle.set()

    @contextmanager
    def _counted(self, statistics: Statistics) -> Iterator[None]:
        """Count the request while it is in flight, and by how it ended."""
        status, started = 500, time.perf_counter()
        self._metrics.in_flight.inc()
        try:
            with self._taken():
                yield
            status = 200
        except TidegateError as error:
            status = error.status
            if isinstance(error, Overloaded):
                self._metrics.shed(error)
            raise
        except asyncio.CancelledError:
            status = ABANDONED
            raise
        finally:
            self._metrics.in_flight.dec()
            self._metrics.count(status)
            if status != ABANDONED:
                span = statistics.success if status == 200 else statistics.fail
                span.add(time.perf_counter() - started)

    def _within(self, deadline_seconds: float | None) -> float:
        longest = self._settings.deadline_seconds
        return min(deadline_seconds or longest, longest)

    def _conclude(self, texts: Sequence[str], inferred: Inferred, timings: Timings, caller: Caller) -> Predictions:
        manifest = self.manifest
        request_id = self._ids()
        ids = [request_id] if len(texts) == 1 else [f"{request_id}.{index}" for index in range(len(texts))]
        answers = self._decide(inferred)
        variant, rows, vectors = self.engine.variant.name, inferred.rows, inferred.embeddings
        self._recorder.record(
            make_records(manifest, variant, ids, texts, rows, answers, time.time(), vectors, caller.digest)
        )
        return Predictions(
            request_id,
            ids,
            answers,
            manifest.labels,
            manifest.name,
            manifest.version,
            variant,
            timings,
            rows,
            self._vectors(inferred),
        )

    def _decide(self, inferred: Inferred) -> list[Answer]:
        return decide_all(inferred.probabilities, self.manifest)

    def _vectors(self, inferred: Inferred) -> Sequence[Sequence[float]]:
        return inferred.probabilities if self.manifest.task == "embedding" else ()

    def _observe(self, texts: int, timings: Timings, seconds: float) -> None:
        self._metrics.texts.inc(texts)
        self._metrics.request_seconds.observe(seconds)
        self._metrics.queue_seconds.observe(timings.queue)
        self._metrics.tokenize_seconds.observe(timings.tokenize)
        self.statistics.answered(texts, timings.queue, timings.tokenize, timings.infer)
