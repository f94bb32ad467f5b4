"""Readings of the metrics registry, and what happened between two of them: the figures of the live view.

A reading keeps the few samples that the view shows, by model. The registry is the one of `GET /metrics`: where several
workers answer, it shows their sum (`serving.metrics.SharedRegistry`), so any of them may be asked.
Before: `ring`, in a thread; after: the plots' points. Limits: quantiles are as sharp as the histogram's buckets, which
double; inside of one they are interpolated, and past the last one known only to be beyond it.
Source: interpolation as in Prometheus' `histogram_quantile`.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from prometheus_client import Metric

Figures = Mapping[tuple[str, str], float]  # (sample, its label) to value
Plots = dict[str, dict[str, float | None]]  # plot to series to value
Row = list[str | float | None]  # in the order of `COLUMNS`

EVERY = ""  # the name of what all models do together
QUANTILES = (0.5, 0.95, 0.99)
COLUMNS = (
    *("model", "requests/s", "p50, ms", "p95, ms", "p99, ms", "p99 lies within, ms", "rows a batch", "padding, %"),
    *("texts queued", "in flight", "refused/s"),
)
# Sample to the label that is kept of it, beside `model`; several samples that are alike in these are added up.
_KEPT = {
    "tidegate_requests_total": "outcome",
    "tidegate_texts_total": "",
    "tidegate_request_seconds_bucket": "le",
    "tidegate_batch_rows_sum": "",
    "tidegate_batch_rows_count": "",
    "tidegate_batch_tokens_sum": "",
    "tidegate_padding_tokens_total": "",
    "tidegate_queued_texts": "",
    "tidegate_requests_in_flight": "",
    "tidegate_monitor_rows_total": "",
    "tidegate_monitor_dropped_total": "",
    "tidegate_process_cpu_seconds_total": "",
    "tidegate_process_resident_memory_bytes": "process",
    "tidegate_gpu_utilisation_ratio": "device",
    "tidegate_gpu_memory_used_bytes": "device",
    "tidegate_workers": "",
}
_REFUSED = ("429", "503", "504")
_NOTHING: Figures = {}


@dataclass(frozen=True, slots=True)
class Reading:
    """What the registry showed.

    Attributes:
        at: Unix time in seconds.
        models: model to its figures; what belongs to none is under `EVERY`.
    """

    at: float
    models: Mapping[str, Figures]

    def of(self, model: str) -> Figures:
        """The figures of one model, or of all together."""
        if model != EVERY:
            return self.models.get(model, _NOTHING)
        added: dict[tuple[str, str], float] = defaultdict(float)
        for figures in self.models.values():
            for name, value in figures.items():
                added[name] += value
        return added


@dataclass(frozen=True, slots=True)
class Quantile:
    """A share of durations lies below `seconds`, which is between `low` and `high`; None: beyond every bucket."""

    seconds: float
    low: float
    high: float | None


@dataclass(frozen=True, slots=True)
class Interval:
    """Two readings of the same figures."""

    before: Figures
    now: Figures
    seconds: float

    def grown(self, sample: str, label: str = "") -> float:
        """By how much a counter grew; 0 where a process that counted was replaced."""
        return max(self.now.get((sample, label), 0.0) - self.before.get((sample, label), 0.0), 0.0)

    def stands(self, sample: str, label: str = "") -> float:
        """What a gauge shows now."""
        return self.now.get((sample, label), 0.0)

    def labels(self, sample: str) -> list[str]:
        """What the kept label of a sample is, in order."""
        return sorted(label for name, label in self.now if name == sample)

    def quantile(self, share: float) -> Quantile | None:
        """The duration that a share of the interval's requests stayed below; None without requests."""
        bounds = sorted((float(label), label) for label in self.labels("tidegate_request_seconds_bucket"))
        below = [(bound, self.grown("tidegate_request_seconds_bucket", label)) for bound, label in bounds]
        return quantile(below, share)


def quantile(below: list[tuple[float, float]], share: float) -> Quantile | None:
    """A quantile of a histogram.

    Args:
        below: (upper bound in seconds, values at or below it), bounds rising, the last one infinite.
        share: in (0, 1).
    """
    if not below or not below[-1][1]:
        return None
    rank, low, under = share * below[-1][1], 0.0, 0.0
    for bound, upto in below:
        if upto >= rank:
            if bound == float("inf"):
                return Quantile(low, low, None)
            part = (rank - under) / (upto - under) if upto > under else 1.0
            return Quantile(low + part * (bound - low), low, bound)
        low, under = bound, upto
    return None


def read(families: Iterable[Metric], at: float) -> Reading:
    """Take what the view shows from everything that a registry collects."""
    models: dict[str, dict[tuple[str, str], float]] = defaultdict(lambda: defaultdict(float))
    for family in families:
        for sample in family.samples:
            label = _KEPT.get(sample.name)
            if label is not None:
                kept = sample.labels.get(label, "") if label else ""
                models[sample.labels.get("model", EVERY)][sample.name, kept] += sample.value
    return Reading(at, models)


def points(before: Reading, now: Reading) -> dict[str, Plots]:
    """The plots' values of an interval: of all models together, and of each that did something or has some waiting."""
    seconds = max(now.at - before.at, 1e-3)
    each = {
        model: Interval(before.of(model), figures, seconds) for model, figures in now.models.items() if model != EVERY
    }
    busy = {model: _of_model(interval) for model, interval in each.items() if _is_busy(interval)}
    every = Interval(before.of(EVERY), now.of(EVERY), seconds)
    rates: dict[str, float | None] = {model: _rate(interval) for model, interval in each.items()}
    return {EVERY: {"requests": rates} | _of_model(every) | _of_server(every)} | {
        model: {"requests": {model: rates[model]}} | plots for model, plots in busy.items()
    }


def rows(before: Reading, now: Reading) -> list[Row]:
    """The newest figures, a row of `COLUMNS` a model, all of them together first."""
    seconds = max(now.at - before.at, 1e-3)
    names = (EVERY, *sorted(model for model in now.models if model != EVERY))
    return [_row(name or "all", Interval(before.of(name), now.of(name), seconds)) for name in names]


def _row(name: str, interval: Interval) -> Row:
    plots = _of_model(interval)
    return [
        name,
        _rate(interval),
        *plots["latency"].values(),
        _range(interval.quantile(QUANTILES[-1])),
        plots["batches"]["rows"],
        plots["padding"]["padding"],
        *plots["waiting"].values(),
        round(sum(value or 0.0 for value in plots["refused"].values()), 3),
    ]


def _range(told: Quantile | None) -> str | None:
    """The bucket that a quantile lies in."""
    if told is None:
        return None
    low = f"{told.low * 1e3:g}"
    return f"more than {low}" if told.high is None else f"{low} to {told.high * 1e3:g}"


def _is_busy(interval: Interval) -> bool:
    return _rate(interval) > 0 or interval.stands("tidegate_requests_in_flight") > 0


def _rate(interval: Interval) -> float:
    answered = sum(
        interval.grown("tidegate_requests_total", each) for each in interval.labels("tidegate_requests_total")
    )
    return round(answered / interval.seconds, 3)


def _of_model(interval: Interval) -> Plots:
    statuses = interval.labels("tidegate_requests_total")
    batches = interval.grown("tidegate_batch_rows_count")
    tokens = interval.grown("tidegate_batch_tokens_sum")
    quantiles = {f"p{share * 100:.0f}": interval.quantile(share) for share in QUANTILES}
    return {
        "statuses": {each: _per_second(interval, "tidegate_requests_total", each) for each in statuses},
        "latency": {name: None if told is None else round(told.seconds * 1e3, 3) for name, told in quantiles.items()},
        "batches": {"rows": round(interval.grown("tidegate_batch_rows_sum") / batches, 2) if batches else None},
        "padding": {
            "padding": round(interval.grown("tidegate_padding_tokens_total") / tokens * 100, 2) if tokens else None
        },
        "waiting": {
            "texts queued": interval.stands("tidegate_queued_texts"),
            "requests in flight": interval.stands("tidegate_requests_in_flight"),
        },
        "refused": {each: _per_second(interval, "tidegate_requests_total", each) for each in _REFUSED},
    }


def _of_server(interval: Interval) -> Plots:
    """What belongs to no model."""
    gpus = interval.labels("tidegate_gpu_utilisation_ratio")
    memory: dict[str, float | None] = {
        label: round(interval.stands(sample, label) / 1e6, 0)
        for sample in ("tidegate_process_resident_memory_bytes", "tidegate_gpu_memory_used_bytes")
        for label in interval.labels(sample)
    }
    plots: Plots = {
        "cores": {"CPU cores": _per_second(interval, "tidegate_process_cpu_seconds_total")},
        "memory": memory,
        "monitoring": {
            "profiled": _per_second(interval, "tidegate_monitor_rows_total"),
            "dropped": _per_second(interval, "tidegate_monitor_dropped_total"),
        },
    }
    if gpus:
        plots["gpus"] = {each: round(interval.stands("tidegate_gpu_utilisation_ratio", each) * 100, 1) for each in gpus}
    return plots


def _per_second(interval: Interval, sample: str, label: str = "") -> float:
    return round(interval.grown(sample, label) / interval.seconds, 3)
