"""A served model: texts in, answers out, for every door (REST, demos, later gRPC).

Tokenizes in a thread, batches, decides, records. After `serving.repository` opened it; before the routes.
"""

import asyncio
import time
import uuid
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from serving.batcher import Batcher, Inferred, Limits
from serving.metrics import Metrics
from tidegate.bundle import Bundle
from tidegate.devices import Device
from tidegate.engine import Engine
from tidegate.errors import DeadlinePassed
from tidegate.preprocess import Encoded
from tidegate.records import Record, Recorder
from tidegate.settings import Settings
from tidegate.tasks import Answer, decide

# Texts tokenized in one go: a request of a thousand lets others in between.
_TOKENIZE_CHUNK = 64


@dataclass(frozen=True, slots=True)
class Timings:
    """Where the time of a request went, in seconds."""

    queue: float
    tokenize: float
    infer: float


@dataclass(frozen=True, slots=True)
class Predictions:
    """The answers to one request.

    Attributes:
        id: of the request.
        ids: of each prediction: the request's own for a single text, `{id}.{index}` for several.
        answers: one a text, in order.
    """

    id: str
    ids: Sequence[str]
    answers: Sequence[Answer]
    version: int
    variant: str
    timings: Timings


class ServedModel:
    """One open bundle and its batcher; `start` and `close` it on the event loop."""

    def __init__(
        self, engine: Engine, device: Device, settings: Settings, recorder: Recorder, metrics: Metrics
    ) -> None:
        self.bundle: Bundle = engine.bundle
        self.engine = engine
        self.device = device
        self._settings = settings
        self._recorder = recorder
        self._metrics = metrics
        self._name = engine.bundle.manifest.name
        limits = Limits(
            runs=engine.runs,
            batch_size=engine.variant.max_batch_size,
            batch_tokens=settings.max_batch_tokens,
            queued=settings.max_queued,
        )
        self.batcher = Batcher(engine.infer, limits, lambda stats: metrics.batch(self._name, stats))
        self._tokenizer = ThreadPoolExecutor(1, thread_name_prefix="tokenize")

    def start(self) -> None:
        """Take requests."""
        manifest = self.bundle.manifest
        self.batcher.start()
        self._metrics.waiting.labels(self._name).set_function(lambda: self.batcher.waiting)
        self._metrics.info.labels(self._name, manifest.version, self.engine.variant.name, self.device.name).set(1)
        self._metrics.ready.labels(self._name).set(1)

    async def close(self) -> None:
        """Finish what waits, within the settings' drain time."""
        self._metrics.ready.labels(self._name).set(0)
        await self.batcher.close(self._settings.drain_seconds)
        self._tokenizer.shutdown(wait=False, cancel_futures=True)

    async def predict(self, texts: Sequence[str], deadline_seconds: float | None = None) -> Predictions:
        """Answer texts.

        Args:
            texts: one or more.
            deadline_seconds: from now; the settings' default when None.

        Raises:
            Overloaded: too many texts wait already.
            DeadlinePassed: the deadline came first.
            InferenceFailed: the model failed on one of the texts.
            NotReady: the server is stopping.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + (deadline_seconds or self._settings.deadline_seconds)
        with self.batcher.admit(len(texts)), self._metrics.in_flight.labels(self._name).track_inprogress():
            started = loop.time()
            rows = await self._tokenize(texts, deadline)
            tokenize_seconds = loop.time() - started
            inferred = await self.batcher.submit(rows, deadline)
        timings = Timings(inferred.queue_seconds, tokenize_seconds, inferred.infer_seconds)
        predictions = self._decide(inferred, timings)
        self._observe(timings, len(texts))
        self._recorder.record(self._records(texts, rows, predictions))
        return predictions

    async def _tokenize(self, texts: Sequence[str], deadline: float) -> list[Encoded]:
        loop = asyncio.get_running_loop()
        rows: list[Encoded] = []
        for start in range(0, len(texts), _TOKENIZE_CHUNK):
            if loop.time() > deadline:
                raise DeadlinePassed("the deadline passed while the texts were tokenized; send fewer or shorter ones")
            chunk = texts[start : start + _TOKENIZE_CHUNK]
            rows += await loop.run_in_executor(self._tokenizer, self.engine.encode, chunk)
        return rows

    def _decide(self, inferred: Inferred, timings: Timings) -> Predictions:
        manifest = self.bundle.manifest
        rows: list[list[float]] = inferred.probabilities.tolist()
        request_id = uuid.uuid4().hex
        return Predictions(
            id=request_id,
            ids=[request_id] if len(rows) == 1 else [f"{request_id}.{index}" for index in range(len(rows))],
            answers=[decide(row, manifest.labels, manifest.postprocessing) for row in rows],
            version=manifest.version,
            variant=self.engine.variant.name,
            timings=timings,
        )

    def _observe(self, timings: Timings, texts: int) -> None:
        self._metrics.queue_seconds.labels(self._name).observe(timings.queue)
        self._metrics.tokenize_seconds.labels(self._name).observe(timings.tokenize)
        self._metrics.infer_seconds.labels(self._name).observe(timings.infer)
        self._metrics.texts.labels(self._name).inc(texts)

    def _records(self, texts: Sequence[str], rows: Sequence[Encoded], predictions: Predictions) -> list[Record]:
        now = time.time()
        return [
            Record(
                id=prediction_id,
                model=self._name,
                version=predictions.version,
                variant=predictions.variant,
                text=text,
                label=answer.label,
                score=answer.score,
                abstained=answer.abstained,
                scores=answer.scores,
                length=row.length,
                words=row.words,
                unknown=row.unknown,
                truncated=row.truncated,
                created_at=now,
            )
            for prediction_id, text, row, answer in zip(predictions.ids, texts, rows, predictions.answers, strict=True)
        ]
