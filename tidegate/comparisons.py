"""Comparisons: how two versions of a model did over one rollout, counted; added up over processes and restarts.

Serving counts on the event loop and hands the counts to `ComparisonStore` in a thread; `GET /models/{m}/traffic` and
auto-promotion read the sum. One row for each process, version and rollout, overwritten in place. No texts.
"""

import time
import uuid
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from sqlalchemy import Engine, delete, func, insert, select, update

from tidegate.store import comparisons, feedback, reachable, records

KEEP_SECONDS = 90 * 86_400.0
# Upper ends of the latency buckets in seconds; from 0.5 ms up by a quarter each, the last is open.
LATENCY_BUCKETS: Sequence[float] = tuple(0.0005 * 1.25**step for step in range(50))


@dataclass(slots=True)
class Comparison:
    """Counts of one version over one rollout.

    Attributes:
        requests: that callers made of it.
        errors: of those, the ones that the server failed (status 500 or more).
        latency: requests by duration, one count a bucket of `LATENCY_BUCKETS`, and one for longer.
        paired: texts that it and the champion both answered.
        agreed: of those, the ones with the same answer.
        shift: sum over the pairs of its score minus the champion's.
        distance: sum over the pairs of the absolute difference.
        unpaired: texts that one of the two was asked and could not answer.
        skipped: texts that were not compared because the mirror's queue was full.
    """

    requests: int = 0
    errors: int = 0
    latency: list[int] = field(default_factory=lambda: [0] * (len(LATENCY_BUCKETS) + 1))
    paired: int = 0
    agreed: int = 0
    shift: float = 0.0
    distance: float = 0.0
    unpaired: int = 0
    skipped: int = 0

    def observe(self, seconds: float, *, failed: bool) -> None:
        """Count one request."""
        self.requests += 1
        self.errors += failed
        if not failed:
            self.latency[bisect_left(LATENCY_BUCKETS, seconds)] += 1

    def pair(self, *, agreed: bool, shift: float) -> None:
        """Count one text that both answered; `shift` is the challenger's score minus the champion's."""
        self.paired += 1
        self.agreed += agreed
        self.shift += shift
        self.distance += abs(shift)

    def add(self, other: "Comparison") -> None:
        """Add the counts of another process."""
        for each in fields(self):
            mine, theirs = getattr(self, each.name), getattr(other, each.name)
            total = [a + b for a, b in zip(mine, theirs, strict=True)] if each.name == "latency" else mine + theirs
            setattr(self, each.name, total)

    def quantile(self, share: float) -> float | None:
        """Seconds within which this share of the requests was answered, to a quarter; None where there were none."""
        total, seen = sum(self.latency), 0
        for end, count in zip((*LATENCY_BUCKETS, float("inf")), self.latency, strict=True):
            seen += count
            if total and seen >= share * total:
                return min(end, LATENCY_BUCKETS[-1])
        return None

    def document(self) -> dict[str, Any]:
        """As `GET /models/{m}/traffic` shows it."""
        return {
            "requests": self.requests,
            "errors": self.errors,
            "latency_p50_seconds": self.quantile(0.5),
            "latency_p99_seconds": self.quantile(0.99),
            "compared": self.paired,
            "agreement": self.agreed / self.paired if self.paired else None,
            "confidence_shift": self.shift / self.paired if self.paired else None,
            "score_distance": self.distance / self.paired if self.paired else None,
            "not_answered": self.unpaired,
            "not_compared": self.skipped,
        }


@dataclass(frozen=True, slots=True)
class Accuracy:
    """How often a version was right, of the predictions that callers gave feedback on."""

    right: int
    total: int


class ComparisonStore:
    """The counts in the state database; every call blocks."""

    def __init__(self, database: Engine) -> None:
        self._database = database
        self._process = uuid.uuid4().hex

    def write(self, model: str, since: float, counts: Mapping[int, Comparison]) -> None:
        """Put this process's counts of a rollout, by version, in place of those it wrote before."""
        now = time.time()
        with reachable("the counts of a rollout are not kept"), self._database.begin() as connection:
            for version, comparison in counts.items():
                key = {"process": self._process, "model": model, "version": version, "since": since}
                values = {"counts": asdict(comparison), "updated_at": now}
                where = [comparisons.c[name] == value for name, value in key.items()]
                if not connection.execute(update(comparisons).where(*where).values(**values)).rowcount:
                    connection.execute(insert(comparisons).values(**key, **values))
            connection.execute(delete(comparisons).where(comparisons.c.updated_at < now - KEEP_SECONDS))

    def read(self, model: str, since: float) -> dict[int, Comparison]:
        """The counts of a rollout by version, of all processes."""
        query = select(comparisons.c.version, comparisons.c.counts).where(
            comparisons.c.model == model, comparisons.c.since == since
        )
        found: dict[int, Comparison] = {}
        with reachable("the counts of a rollout are not known"), self._database.connect() as connection:
            for version, counts in connection.execute(query):
                found.setdefault(version, Comparison()).add(Comparison(**counts))
        return found

    def accuracy(self, model: str, since: float) -> dict[int, Accuracy]:
        """By version, how many of the predictions made since then that have feedback were right."""
        right = func.sum((feedback.c.label == records.c.label).cast(comparisons.c.version.type))
        query = (
            select(records.c.version, right, func.count())
            .join(feedback, feedback.c.prediction_id == records.c.id)
            .where(records.c.model == model, records.c.created_at >= since)
            .group_by(records.c.version)
        )
        with reachable("accuracy is not known"), self._database.connect() as connection:
            return {version: Accuracy(int(hits), int(total)) for version, hits, total in connection.execute(query)}
