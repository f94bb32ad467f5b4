"""Rollouts for Prometheus: which version has which role, and what the versions were counted to do.

A rollout counts for itself, on the request path and without Prometheus; here its counts become counters, by what was
added since the last look. Counters outlive rollouts and add up over workers. Before: `serving.repository` looks once
a second and when an alias moves.
"""

from collections.abc import Mapping
from weakref import WeakKeyDictionary

from serving.metrics import ServingMetrics
from serving.rollout import Rollout
from tidegate.aliases import ALIASES
from tidegate.comparisons import Comparison

# By version, what is counted ("requests", "texts") and outcome.
_Counts = dict[tuple[str, str, str], int]


class RolloutMetrics:
    """Shows the rollouts of one process."""

    def __init__(self, metrics: ServingMetrics) -> None:
        self._metrics = metrics
        self._seen: WeakKeyDictionary[Rollout, _Counts] = WeakKeyDictionary()

    def roles(self, model: str, rollout: Rollout | None) -> None:
        """An alias moved: show who has which role; nobody has one when there is no rollout."""
        for role in ALIASES:
            served = None if rollout is None else getattr(rollout, role)
            self._metrics.version.labels(model, role).set(served.manifest.version if served else 0)
        percent = rollout.percent if rollout is not None and rollout.canary is not None else 0.0
        self._metrics.canary_percent.labels(model).set(percent)

    def show(self, model: str, rollout: Rollout) -> None:
        """Add what a rollout has counted since it was shown last; nothing while only a champion answers."""
        if not rollout.compares:
            return
        seen = self._seen.setdefault(rollout, {})
        for version, counts in rollout.counts.items():
            for (what, outcome), total in _totals(counts).items():
                counter = self._metrics.rollout_requests if what == "requests" else self._metrics.rollout_texts
                key = (str(version), what, outcome)
                counter.labels(model, str(version), outcome).inc(total - seen.get(key, 0))
                seen[key] = total


def _totals(counts: Comparison) -> Mapping[tuple[str, str], int]:
    return {
        ("requests", "answered"): counts.requests - counts.errors,
        ("requests", "failed"): counts.errors,
        ("texts", "agreed"): counts.agreed,
        ("texts", "differed"): counts.paired - counts.agreed,
        ("texts", "unanswered"): counts.unpaired,
        ("texts", "skipped"): counts.skipped,
    }
