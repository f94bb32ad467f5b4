"""Counts what comes back: latencies in narrow bins, failures by kind, the server's own split.

Between `answers` (right or wrong) and `measured` (what is reported). Memory stays the same however long a run
is: bins are 1 % wide, as in Tene's HdrHistogram, so a quantile is at most 1 % too high and never too low.
"""

import math
from collections import Counter
from collections.abc import Mapping

from loadtests.answers import STAGES
from loadtests.measured import Measured, Point, Quantiles

BIN_WIDTH = 1.01
_SHORTEST_SECONDS = 1e-6
_LOG_WIDTH = math.log(BIN_WIDTH)


class Latencies:
    """A histogram of times with 1 % wide bins."""

    def __init__(self) -> None:
        self.count = 0
        self.largest = 0.0
        self._bins: Counter[int] = Counter()

    def add(self, seconds: float) -> None:
        """Count one time; below a microsecond counts as a microsecond."""
        self.count += 1
        self.largest = max(self.largest, seconds)
        self._bins[math.ceil(math.log(max(seconds, _SHORTEST_SECONDS) / _SHORTEST_SECONDS) / _LOG_WIDTH)] += 1

    def quantile(self, share: float, unanswered: int = 0) -> float:
        """Nearest-rank quantile in seconds: the upper edge of its bin, at most 1 % above the exact value.

        Args:
            share: in (0, 1].
            unanswered: how many more there were that never ended; they count as infinitely long.

        Raises:
            ValueError: nothing was counted.
        """
        total = self.count + unanswered
        if not total:
            raise ValueError("no quantile of nothing; count a time first")
        rank = max(1, math.ceil(share * total - 1e-9))  # 0.99 * 100 is 99, whatever floats make of it
        for bin_, number in sorted(self._bins.items()):
            rank -= number
            if rank <= 0:
                return min(_SHORTEST_SECONDS * BIN_WIDTH**bin_, self.largest)
        return math.inf

    def quantiles(self) -> Quantiles | None:
        """The quantiles that reports show; None when nothing was counted."""
        if not self.count:
            return None
        p50, p90, p95, p99 = (self.quantile(share) for share in (0.5, 0.9, 0.95, 0.99))
        return Quantiles(p50=p50, p90=p90, p95=p95, p99=p99, max=self.largest)


class Tally:
    """Everything counted in one stretch of load.

    Attributes:
        limit_seconds: requests that took longer, or failed, are counted in `late`.
        lag: how late this client was at what it had planned to do.
    """

    def __init__(self, limit_seconds: float = math.inf) -> None:
        self.limit_seconds = limit_seconds
        self.latencies = Latencies()
        self.lag = Latencies()
        self.failures: Counter[str] = Counter()
        self.late = 0
        self._texts = 0
        self._stages = {stage: Latencies() for stage in STAGES}
        self._second = Latencies()

    @property
    def requests(self) -> int:
        """Requests that ended."""
        return self.latencies.count + self.failures.total()

    def add(self, seconds: float, texts: int, stages: Mapping[str, float]) -> None:
        """Count a right answer: its latency, how many texts it answered, and the server's split of it."""
        self.latencies.add(seconds)
        self._second.add(seconds)
        self._texts += texts
        self.late += seconds > self.limit_seconds
        for stage, duration in stages.items():
            self._stages[stage].add(duration)

    def fail(self, kind: str, number: int = 1) -> None:
        """Count requests that got no right answer."""
        self.failures[kind] += number
        self.late += number

    def cut_point(self, elapsed_seconds: float, since_seconds: float) -> Point:
        """What happened since the last point, `since_seconds` ago."""
        second, self._second = self._second, Latencies()
        return Point(
            elapsed_seconds=elapsed_seconds,
            requests_per_second=second.count / since_seconds,
            p50_seconds=second.quantile(0.5) if second.count else None,
            p99_seconds=second.quantile(0.99) if second.count else None,
            failures=self.failures.total(),
        )

    def measured(self, seconds: float) -> Measured:
        """Everything counted, over `seconds` seconds."""
        stages = {name: stage.quantiles() for name, stage in self._stages.items()}
        return Measured(
            seconds=seconds,
            requests=self.requests,
            texts=self._texts,
            requests_per_second=self.latencies.count / seconds,
            texts_per_second=self._texts / seconds,
            latency_seconds=self.latencies.quantiles(),
            server_seconds={name: quantiles for name, quantiles in stages.items() if quantiles},
            failures=dict(self.failures),
            client_lag_seconds=self.lag.quantiles(),
        )
