"""What monitoring tells Prometheus. Labels are bounded: models of the store, features of `features`."""

import time
from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge

from monitoring.drift import FeatureScore


class MonitoringMetrics:
    """Every metric of this room, in one registry."""

    def __init__(self, registry: CollectorRegistry, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._score = Gauge(
            "tidegate_drift_score",
            "Distance of the latest scored window from the reference.",
            ["model", "feature"],
            registry=registry,
        )
        self._threshold = Gauge(
            "tidegate_drift_threshold",
            "What the score exceeds in one drift-free window in a hundred.",
            ["model", "feature"],
            registry=registry,
        )
        self.alerts = Counter("tidegate_drift_alerts", "Drift alerts opened.", ["model"], registry=registry)
        self.rows = Counter("tidegate_monitor_rows", "Predictions profiled.", ["model"], registry=registry)
        self.dropped = Counter(
            "tidegate_monitor_dropped",
            "Predictions that monitoring did not see: its queue was full, or they could not be written.",
            registry=registry,
        )
        self.webhook_failures = Counter(
            "tidegate_webhook_failures", "Alerts that the webhook did not take.", registry=registry
        )
        self._age = Gauge(
            "tidegate_profile_age_seconds",
            "Time since the model's profile last grew: a dead man's switch.",
            ["model"],
            registry=registry,
        )
        self.depth = Gauge("tidegate_relabel_queue_depth", "Items that wait for a label.", ["model"], registry=registry)

    def scored(self, model: str, features: Iterable[FeatureScore]) -> None:
        """Show a window's scores."""
        for feature in features:
            self._score.labels(model, feature.name).set(feature.score)
            self._threshold.labels(model, feature.name).set(feature.threshold)

    def grew(self, model: str, rows: int) -> None:
        """Count rows that reached a profile, and start the model's age anew."""
        self.rows.labels(model).inc(rows)
        at = self._clock()
        self._age.labels(model).set_function(lambda: max(0.0, self._clock() - at))
