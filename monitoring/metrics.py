"""What monitoring tells Prometheus. Labels are bounded: models of the store, features of `features`.

Workers grow the same windows and read the same queue: of several, the figure that was set last counts. Times are
told as points, never as ages: one worker cannot keep the age that another shows up to date.
What the monitor process counts is shown by its gateway: `changes` in the one, `add` in the other. The gateway must not
import what judges windows, and with it pandas: hence the imports for types alone.
"""

import math
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Literal

from prometheus_client import CollectorRegistry, Counter, Gauge

if TYPE_CHECKING:
    from monitoring.accuracy import Bounds
    from monitoring.drift import FeatureScore

Changes = dict[tuple[str, tuple[str, ...]], float]  # metric and values of its labels -> how much more, or what now

_ACCURACY = {
    "estimated_accuracy": "Share of right answers as estimated without labels; NaN: cannot tell.",
    "estimated_accuracy_lower": "Lower end of its 95 % interval.",
    "labelled_accuracy": "Share of right answers among predictions labelled at random; NaN: too few labels.",
    "labelled_accuracy_lower": "Lower end of its 95 % interval.",
}


class MonitoringMetrics:
    """Every metric of this room, in one registry."""

    def __init__(self, registry: CollectorRegistry, clock: Callable[[], float] = time.time) -> None:
        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"tidegate_{name}", text, labels, registry=registry)

        def gauge(name: str, text: str, *labels: str, mode: Literal["mostrecent", "max"] = "mostrecent") -> Gauge:
            return Gauge(f"tidegate_{name}", text, labels, registry=registry, multiprocess_mode=mode)

        self._clock = clock
        self._score = gauge(
            "drift_score", "Distance of the latest scored window from the reference.", "model", "feature"
        )
        self._threshold = gauge(
            "drift_threshold",
            "What the score exceeds only if drifted, at the rate that `false_alarm_days` allows.",
            "model",
            "feature",
        )
        self.alerts = counter("drift_alerts", "Drift alerts opened.", "model")
        self.rows = counter("monitor_rows", "Predictions profiled.", "model")
        self.dropped = counter(
            "monitor_dropped",
            "Predictions that monitoring did not see: its queue was full, its process died, or writing failed.",
        )
        self.alerts_open = gauge(
            "alerts_open",
            "Alerts that are not resolved, acknowledged ones included.",
            "model",
            "kind",
            "severity",
        )
        self.deliveries = gauge(
            "deliveries",
            "Deliveries of alerts: new and pending wait, dead ones were given up, delivered ones are the last 1,000.",
            "state",
        )
        self.webhook_failures = counter("webhook_failures", "Tries to deliver an alert that failed.")
        self._grown = gauge(
            "profile_grown_timestamp_seconds",
            "Unix time when the model's profile last grew; `time()` less this is a dead man's switch.",
            "model",
            mode="max",
        )
        self._accuracy = {name: gauge(name, text, "model") for name, text in _ACCURACY.items()}
        self.depth = gauge(
            "relabel_queue_depth",
            "Items that wait for a label, by the slot that they were selected for; drift: to explain an alert.",
            "model",
            "slot",
        )
        counters = (self.alerts, self.rows, self.dropped, self.webhook_failures)
        gauges = (self._score, self._threshold, self.alerts_open, self.deliveries, self._grown, self.depth)
        self._counters = {_name(each): each for each in counters}
        self._gauges = {_name(each): each for each in (*gauges, *self._accuracy.values())}
        self._told: Changes = {}

    def scored(self, model: str, features: "Iterable[FeatureScore]") -> None:
        """Show a window's scores."""
        for feature in features:
            self._score.labels(model, feature.name).set(feature.score)
            self._threshold.labels(model, feature.name).set(feature.threshold)

    def estimated(self, model: str, estimate: "Bounds") -> None:
        """Show what accuracy is estimated to be; NaN where nobody can tell."""
        self._show_accuracy(model, "estimated_accuracy", estimate)

    def labelled(self, model: str, measured: "Bounds") -> None:
        """Show the accuracy that random labels tell; NaN while they are too few."""
        self._show_accuracy(model, "labelled_accuracy", measured)

    def _values(self) -> Iterator[tuple[str, tuple[str, ...], float]]:
        for name, metric in (self._counters | self._gauges).items():
            for sample in (sample for family in metric.collect() for sample in family.samples):
                if not sample.name.endswith("_created"):
                    yield name, tuple(sample.labels.values()), sample.value

    def _show_accuracy(self, model: str, name: str, bounds: "Bounds") -> None:
        known = bounds.trusted
        self._accuracy[name].labels(model).set(bounds.accuracy if known else float("nan"))
        self._accuracy[f"{name}_lower"].labels(model).set(bounds.low if known else float("nan"))

    def grew(self, model: str, rows: int) -> None:
        """Count rows that reached a profile, and note when."""
        self.rows.labels(model).inc(rows)
        self._grown.labels(model).set(self._clock())

    def changes(self) -> Changes:
        """What is new since the last call: by how much counters grew, and what gauges show that have moved."""
        new = {}
        for name, labels, value in self._values():
            before = self._told.get((name, labels), 0.0 if name in self._counters else None)
            if not _same(value, before):
                self._told[name, labels] = value
                new[name, labels] = value - (before or 0.0) if name in self._counters else value
        return new

    def add(self, changes: Changes) -> int:
        """Show what is new in another process; returns how many predictions it has dealt with, written or not."""
        dealt_with = 0.0
        for (name, labels), value in changes.items():
            if name in self._gauges:
                gauge = self._gauges[name]
                (gauge.labels(*labels) if labels else gauge).set(value)
                continue
            counter = self._counters[name]
            (counter.labels(*labels) if labels else counter).inc(value)
            if counter in (self.rows, self.dropped):
                dealt_with += value
        return int(dealt_with)


def _name(metric: Counter | Gauge) -> str:
    return next(iter(metric.describe())).name


def _same(value: float, before: float | None) -> bool:
    return before is not None and (value == before or (math.isnan(value) and math.isnan(before)))
