"""Prometheus metrics of serving, in one class with an injected registry. Base units, bounded labels.

A model's name becomes a label only when that model is served, so no caller can grow the label set.
"""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from serving.batcher import BatchStats

# Factor 1.5 apart, as text-embeddings-inference has them: a quantile read off them errs by a quarter at most.
_SECONDS = tuple(round(0.0005 * 1.5**step, 6) for step in range(28))
_COUNTS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
_TOKENS = (16, 64, 256, 512, 1_024, 2_048, 4_096, 8_192, 16_384)


class Metrics:
    """What serving counts and times; methods are cheap enough for the request path."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def histogram(name: str, text: str, buckets: tuple[float, ...] = _SECONDS) -> Histogram:
            return Histogram(f"tidegate_{name}", text, ["model"], buckets=buckets, registry=registry)

        self.registry = registry
        self.requests = Counter(
            "tidegate_requests", "Prediction requests by answered status.", ["model", "status"], registry=registry
        )
        self.texts = Counter("tidegate_texts", "Texts answered.", ["model"], registry=registry)
        self.request_seconds = histogram("request_seconds", "From body read to answer encoded.")
        self.tokenize_seconds = histogram("tokenize_seconds", "Preprocessing of a request's texts.")
        self.queue_seconds = histogram("queue_seconds", "Until a request's first row runs.")
        self.infer_seconds = histogram("infer_seconds", "From a request's first run to its last.")
        self.run_seconds = histogram("run_seconds", "One batch in the model.")
        self.batch_rows = histogram("batch_rows", "Rows of a batch.", _COUNTS)
        self.batch_tokens = histogram("batch_tokens", "Padded tokens of a batch.", _TOKENS)
        self.tokens = Counter("tidegate_tokens", "Tokens run, without padding.", ["model"], registry=registry)
        self.padding = Counter("tidegate_padding_tokens", "Padding run along.", ["model"], registry=registry)
        self.in_flight = Gauge("tidegate_requests_in_flight", "Requests being answered.", ["model"], registry=registry)
        self.waiting = Gauge("tidegate_queue_depth", "Rows waiting for a run.", ["model"], registry=registry)
        self.ready = Gauge("tidegate_model_ready", "1 when the model answers.", ["model"], registry=registry)
        self.info = Gauge(
            "tidegate_model_info", "1 for what is served.", ["model", "version", "variant", "device"], registry=registry
        )

    def batch(self, model: str, stats: BatchStats) -> None:
        """Count one batch that ran."""
        self.run_seconds.labels(model).observe(stats.seconds)
        self.batch_rows.labels(model).observe(stats.rows)
        self.batch_tokens.labels(model).observe(stats.padded_tokens)
        self.tokens.labels(model).inc(stats.tokens)
        self.padding.labels(model).inc(stats.padded_tokens - stats.tokens)
