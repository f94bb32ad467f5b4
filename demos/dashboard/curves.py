"""Metrics over training, as plots: those of training and evaluation on the same axes, runs over each other.

Before: the curves of `exporters.run_documents`; after: `plots`. The x axis is the step, or the seconds since the run's
first value; smoothing is an exponential mean, free of its start's bias (as Adam's, Kingma and Ba 2015), which is also
what TensorBoard draws. What is no finite number is left out.
"""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from demos.dashboard.content import Cell, Figure, Number, Table
from demos.dashboard.forms import Choices, Select
from demos.dashboard.plots import MOST_SERIES, Series, lines
from demos.dashboard.visit import Visit
from tidegate.errors import InvalidInput
from tidegate.run_comparison import better, is_of_a_class

_AXES = {"step": "step", "seconds": "seconds since its first value"}
_SMOOTHING = {"0": "none", "0.6": "some", "0.9": "much"}
_PART = r"(?:train|training|eval|evaluation|valid|validation|val|dev|test)"
_PREFIX = re.compile(rf"{_PART}[ _./-]+(?=\w)", re.IGNORECASE)
_SUFFIX = re.compile(rf"[ _./-]+{_PART}$", re.IGNORECASE)
_OF_TIME = re.compile(r"runtime|seconds|per_second|latency")
_FIRST_ROWS = 10


@dataclass(frozen=True, slots=True)
class Look:
    """How curves are drawn: `x` is `step` or `seconds`, `smoothing` the weight of what came before, in [0, 1)."""

    x: str
    smoothing: float

    @property
    def x_name(self) -> str:
        """Name of the x axis."""
        return _AXES[self.x]


def look(visit: Visit) -> Look:
    """What `?x=` and `?smooth=` ask for.

    Raises:
        InvalidInput: neither step nor seconds, or no weight in [0, 1).
    """
    x, smooth = visit.one("x", "step"), visit.one("smooth", "0")
    if x not in _AXES:
        raise InvalidInput(f"x is {' or '.join(_AXES)}, not {x[:40]!r}")
    if not re.fullmatch(r"0(\.\d{1,4})?", smooth):
        raise InvalidInput(f"smooth is a number from 0 to below 1, not {smooth[:40]!r}")
    return Look(x, float(smooth))


def controls(visit: Visit) -> list[Select]:
    """The form's fields for `look`."""
    return [
        Select("x", "X axis", Choices(_AXES), visit.one("x", "step")),
        Select("smooth", "Smoothing", Choices(_SMOOTHING), visit.one("smooth", "0")),
    ]


def base(metric: str) -> str:
    """A metric's name without the split that it was measured on: `eval_loss` and `train/loss` are both `loss`."""
    return _SUFFIX.sub("", _PREFIX.sub("", metric, count=1)) or metric


def grouped(metrics: Iterable[str]) -> dict[str, list[str]]:
    """Metrics by `base`, in the order of `interest`."""
    groups: dict[str, list[str]] = {}
    for metric in sorted(metrics):
        groups.setdefault(base(metric), []).append(metric)
    return dict(sorted(groups.items(), key=lambda group: interest(group[0])))


def interest(metric: str) -> tuple[bool, bool, bool, bool, str]:
    """A key to sort metrics by: how well it does, then classes alone, what it took, what tells nothing, the machine."""
    of_time = _OF_TIME.search(metric) is not None
    return metric.startswith("system/"), better(metric) is None, of_time, is_of_a_class(metric), metric


def of_one_run(curves: Mapping[str, Any], how: Look) -> list[Figure]:
    """A plot for each group of a run's metrics."""
    return [
        _figure(name, [(metric, curves[metric]) for metric in metrics], how)
        for name, metrics in grouped(curves).items()
    ]


def of_runs(metric: str, names: Sequence[str], curves: Sequence[Mapping[str, Any] | None], how: Look) -> Figure:
    """A plot of one metric; every run keeps its colour and mark, also where others have no curve."""
    return _figure(metric, [(name, curve or {}) for name, curve in zip(names, curves, strict=True)], how)


def _figure(title: str, curves: Sequence[tuple[str, Mapping[str, Any]]], how: Look) -> Figure:
    series = [_series(name, curve, how) for name, curve in curves]
    left_out = sum(len(curve.get("values", ())) - len(one.xs) for (_, curve), one in zip(curves, series, strict=True))
    notes = [
        f"{left_out} values that are no finite numbers are not drawn." if left_out else "",
        f"Smoothed, {how.smoothing:g} of what came before." if how.smoothing else "",
        f"{len(series) - MOST_SERIES} more are in the table." if len(series) > MOST_SERIES else "",
    ]
    svg = lines(f"{title} by {how.x}", series, how.x_name, title)
    return Figure(title, svg, " ".join(filter(None, notes)))


def _series(name: str, curve: Mapping[str, Any], how: Look) -> Series:
    steps, seconds, values = (curve.get(key, ()) for key in ("steps", "seconds", "values"))
    start = min(seconds, default=0.0)
    xs = steps if how.x == "step" else [at - start for at in seconds]
    kept = sorted((x, y) for x, y in zip(xs, values, strict=True) if math.isfinite(y) and math.isfinite(x))
    return Series(name, [x for x, _ in kept], smoothed([y for _, y in kept], how.smoothing))


def smoothed(values: Sequence[float], weight: float) -> list[float]:
    """The exponential mean of each value and those before it, divided by the sum of its weights.

    Args:
        values: in their order.
        weight: of what came before, in [0, 1); 0 leaves the values as they are.
    """
    if not weight:
        return list(values)
    mean, total, smooth = 0.0, 0.0, []
    for value in values:
        mean, total = weight * mean + (1 - weight) * value, weight * total + (1 - weight)
        smooth.append(mean / total)
    return smooth


def table(runs: Sequence[tuple[str, Mapping[str, Any]]]) -> Table:
    """Every value of every curve, as it was logged.

    Args:
        runs: name and curves of each; the name of a single run is left out.
    """
    rows: list[list[Cell]] = [
        [metric, *([name] if len(runs) > 1 else []), int(step), Number(at, f"{at - curve['seconds'][0]:.1f}"), value]
        for name, curves in runs
        for metric, curve in sorted(curves.items())
        for step, at, value in zip(curve["steps"], curve["seconds"], curve["values"], strict=True)
    ]
    columns = ["metric", *(["run"] if len(runs) > 1 else []), "step", "seconds", "value"]
    note = "Seconds count from a metric's first value; in the CSV they are Unix time. Long curves are thinned."
    return Table("curves", "Values of the curves", columns, rows, note, first=_FIRST_ROWS)
