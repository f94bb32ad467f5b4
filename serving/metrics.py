"""What the gateway counts and times: one class, an injected registry, base units, bounded labels.

`model` is always the name of a model in the store (or empty, for requests that name none), never what a caller
wrote. `outcome` is an HTTP status; 499 is a caller who left (nginx's convention). Read at `GET /metrics`.
Children whose labels are known beforehand are made at once: a rate over a counter that appears misses its first event.
Several workers (`share_figures`) write theirs to files of one folder, and each shows the sum of all.
Source: buckets grow geometrically by about 2, from below the fastest run to past the default deadline.
"""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal, get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric, values
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from serving.statistics import Statistics
from tidegate.errors import Overloaded, Shed

ABANDONED = 499
OverWorkers = Literal["livesum", "livemin", "livemax"]  # how the figures of several workers become one
Standing = Literal["loading", "ready", "failed", "unloaded", "stuck"]
_SECONDS = (0.0005, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
_ROWS = (1, 2, 4, 8, 16, 32, 64, 128)
_TOKENS = (16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192)
_SHARES = (0.0, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5)


class ServingMetrics:
    """Every metric of serving; `of` binds them to one model."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"tidegate_{name}", text, ["model", *labels], registry=registry)

        def histogram(name: str, text: str, buckets: Sequence[float] = _SECONDS) -> Histogram:
            return Histogram(f"tidegate_{name}", text, ["model"], buckets=buckets, registry=registry)

        def gauge(name: str, over_workers: OverWorkers, text: str, *labels: str) -> Gauge:
            names = ["model", *labels]
            return Gauge(f"tidegate_{name}", text, names, registry=registry, multiprocess_mode=over_workers)

        self.requests = counter("requests", "Prediction requests by HTTP status.", "outcome")
        self.texts = counter("texts", "Texts answered.")
        self.shed = counter(
            "shed",
            "Requests refused with 429: queue_full, deadline (the wait would be longer), rate_limit (of the key).",
            "reason",
        )
        self.shed.labels("", "rate_limit")
        self.refused_wait_seconds = histogram(
            "refused_wait_seconds", "Predicted wait of the requests that were refused for it."
        )
        self.request_seconds = histogram("request_seconds", "From the texts to their answers, all stages.")
        self.queue_seconds = histogram(
            "queue_seconds", "From tokenized to the first batch that took a row of the request."
        )
        self.tokenize_seconds = histogram("tokenize_seconds", "Tokenization, waiting for the tokenizer included.")
        self.infer_seconds = histogram("infer_seconds", "One run of the model on one batch.")
        self.batch_rows = histogram("batch_rows", "Rows of a batch.", _ROWS)
        self.batch_tokens = histogram("batch_tokens", "Padded tokens of a batch.", _TOKENS)
        self.padding_tokens = counter("padding_tokens", "Tokens that were run as padding.")
        self.padding = histogram("batch_padding_ratio", "Share of a batch's tokens that is padding.", _SHARES)
        self.queued = gauge("queued_texts", "livesum", "Texts that wait for a batch.")
        self.drain_seconds = gauge(
            "drain_seconds",
            "livemax",
            "Predicted time until what waits now is answered; of several workers, the longest.",
        )
        self.in_flight = gauge("requests_in_flight", "livesum", "Prediction requests not yet answered.")
        self.ready = gauge(
            "model_ready", "livemin", "1 when every worker's model answers, 0 while one loads or failed."
        )
        self.info = gauge("model_info", "livemax", "What is served; always 1.", "version", "variant", "device")
        self.standing = gauge(
            "model_standing", "livesum", "Workers in which the model stands so; stuck: it hangs.", "standing"
        )
        self.version = gauge(
            "model_version", "livemax", "Version in the role of champion, canary or shadow; 0: none.", "role"
        )
        self.canary_percent = gauge("canary_percent", "livemax", "Share of the callers that the canary answers.")
        self.restarts = counter("model_restarts", "Times that a model hung and was opened anew.")
        self.rollout_requests = counter(
            "rollout_requests",
            "Requests to a version while a canary or shadow is compared: answered, failed.",
            "version",
            "outcome",
        )
        self.rollout_texts = counter(
            "rollout_texts",
            "Texts that the champion and another version were both to answer: agreed, differed, unanswered, skipped.",
            "version",
            "outcome",
        )
        self.workers = Gauge(
            "tidegate_workers", "Processes that answer.", registry=registry, multiprocess_mode="livesum"
        )

    def refuse(self, model: str, status: int) -> None:
        """Count a request that was refused before it reached its model; `model` is empty when it names none."""
        self.requests.labels(model, str(status)).inc()

    def limit(self) -> None:
        """Count a request that its key's rate limit refused."""
        self.shed.labels("", "rate_limit").inc()

    def stand(self, model: str, standing: Standing) -> None:
        """Show where a model stands in this process."""
        self.ready.labels(model).set(standing == "ready")
        self.restarts.labels(model)
        for each in get_args(Standing):
            self.standing.labels(model, each).set(each == standing)

    def of(self, model: str) -> "ModelMetrics":
        """The metrics of one model; children are looked up once, not on each request."""
        return ModelMetrics(self, model)


class ModelMetrics:
    """The metrics of one model."""

    def __init__(self, metrics: ServingMetrics, model: str) -> None:
        self._requests = metrics.requests
        self._model = model
        self.texts = metrics.texts.labels(model)
        self._shed = {reason: metrics.shed.labels(model, reason) for reason in get_args(Shed)}
        self._refused_wait = metrics.refused_wait_seconds.labels(model)
        self.request_seconds = metrics.request_seconds.labels(model)
        self.queue_seconds = metrics.queue_seconds.labels(model)
        self.tokenize_seconds = metrics.tokenize_seconds.labels(model)
        self.infer_seconds = metrics.infer_seconds.labels(model)
        self.batch_rows = metrics.batch_rows.labels(model)
        self.batch_tokens = metrics.batch_tokens.labels(model)
        self.padding_tokens = metrics.padding_tokens.labels(model)
        self.padding = metrics.padding.labels(model)
        self.queued = metrics.queued.labels(model)
        self.drain_seconds = metrics.drain_seconds.labels(model)
        self.in_flight = metrics.in_flight.labels(model)
        self._outcomes = {200: metrics.requests.labels(model, "200")}
        self.statistics = Statistics()  # of one version: it has bound metrics of its own

    def count(self, status: int) -> None:
        """Count one request by the status it was answered with."""
        counter = self._outcomes.get(status)
        if counter is None:
            counter = self._outcomes[status] = self._requests.labels(self._model, str(status))
        counter.inc()

    def shed(self, error: Overloaded) -> None:
        """Count one request that was refused because of what waits, and the wait that was predicted."""
        self._shed[error.reason].inc()
        self._refused_wait.observe(error.wait_seconds)

    def observe_batch(self, rows: int, tokens: int, padded: int, seconds: float) -> None:
        """Take the figures of one run: rows, tokens with and without padding, wall time."""
        self.batch_rows.observe(rows)
        self.batch_tokens.observe(padded)
        self.padding_tokens.inc(padded - tokens)
        self.padding.observe(1 - tokens / padded)
        self.infer_seconds.observe(seconds)
        self.statistics.ran(rows, seconds)


class SharedRegistry(CollectorRegistry):
    """Shows the sum over the workers of one folder; metrics register themselves with it as with any registry.

    Collectors that look something up when they are asked (GPUs, the platform) answer for themselves, so they
    must be such that every worker answers the same; Prometheus' `process_*` and `python_gc_*` are not.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._workers = MultiProcessCollector(None, str(folder))  # type: ignore[no-untyped-call]

    def collect(self) -> Iterator[Metric]:
        """Read every worker's files and add them up; then ask the collectors."""
        yield from self._workers.collect()  # type: ignore[no-untyped-call]
        for collector in tuple(self._collector_to_names):
            if not isinstance(collector, MetricWrapperBase):  # those are in the files
                yield from collector.collect()


def share_figures(folder: Path, worker: int) -> SharedRegistry:
    """Let the metrics of this process live in files of `folder`; call it before any of them is made.

    Files carry the worker's number, not its process id: the one that takes a dead worker's place goes on with its
    counters, so totals never fall and files do not pile up.
    Source: prometheus_client, multiprocess mode.
    """
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(folder)  # read by each value that is made
    values.ValueClass = values.MultiProcessValue(lambda: worker)  # type: ignore[no-untyped-call]
    return SharedRegistry(folder)


def forget_gauges(folder: Path, worker: int) -> None:
    """Take what a dead worker held just then (queue, requests in flight) out of the sum; its counters stay."""
    mark_process_dead(worker, str(folder))  # type: ignore[no-untyped-call]
