"""A service level objective, `p99=100ms`, and the verdict on one step of load.

`search` asks for verdicts, `locustfile` makes the steps. The verdict tells a server that is too slow from a
client that could not keep to its own schedule: the second says nothing about the server.
"""

import math
import re
from dataclasses import dataclass

from loadtests.durations import parse_seconds
from loadtests.measured import Step, Verdict
from loadtests.tally import Tally
from tidegate.errors import UsageError

QUANTILES = {"p50": 0.50, "p90": 0.90, "p95": 0.95, "p99": 0.99}
SHORTEST_SECONDS, LONGEST_SECONDS = 1e-3, 1.0
SHORTEST_WINDOW_SECONDS = 5.0
WINDOW_OBJECTIVES = 10
MOST_FAILURES = 0.01  # whatever the quantile: p50 alone would let half of the requests fail
_OBJECTIVE = re.compile(r"(p\d+)\s*=\s*(.+)")


@dataclass(frozen=True, slots=True)
class Slo:
    """`quantile` of all requests get their right answer within `seconds`."""

    text: str
    quantile: float
    seconds: float

    @property
    def window_seconds(self) -> float:
        """How long a step must last to be judged by it.

        At `excess` times more than its capacity a server's backlog grows by `excess` seconds a second, and the
        objective holds until the backlog is as long as it: with a confirmation of 2 windows, each 10 objectives
        long, an overload of more than 1 / (20 * quantile), 5 % for p99, does not pass.
        """
        return max(SHORTEST_WINDOW_SECONDS, WINDOW_OBJECTIVES * self.seconds)


def parse_slo(text: str) -> Slo:
    """`p99=100ms` to an objective; p50, p90, p95 and p99 in ms or s.

    Raises:
        UsageError: anything else.
    """
    match = _OBJECTIVE.fullmatch(text.strip())
    if not match or match[1] not in QUANTILES:
        raise UsageError(f"--slo {text!r} is no objective; write p50, p90, p95 or p99 and a time, such as p99=100ms")
    seconds = parse_seconds(match[2], "--slo", SHORTEST_SECONDS, LONGEST_SECONDS)
    return Slo(text.strip(), QUANTILES[match[1]], seconds)


def most_late(slo: Slo, requests: int) -> int:
    """How many of `requests` may be late or failed while the objective is kept."""
    return requests - max(1, math.ceil(slo.quantile * requests - 1e-9))


def judge(slo: Slo, rate: float, window_seconds: float, elapsed_seconds: float, tally: Tally) -> Step:
    """The verdict on one step.

    Args:
        slo: the objective.
        rate: arrivals per second that were scheduled.
        window_seconds: how long they were to keep coming.
        elapsed_seconds: until the last answer.
        tally: what was counted, latencies from the scheduled arrival, lag of the client at each arrival.
    """
    failed = tally.failures.total()
    latency = tally.latencies.quantile(slo.quantile, unanswered=failed) if tally.requests else math.inf
    return Step(
        rate=rate,
        window_seconds=window_seconds,
        elapsed_seconds=elapsed_seconds,
        latency_seconds=latency if math.isfinite(latency) else None,
        verdict=_verdict(slo, latency, failed / max(1, tally.requests), tally),
        measured=tally.measured(elapsed_seconds),
    )


def _verdict(slo: Slo, latency: float, failed_share: float, tally: Tally) -> Verdict:
    """A breach is the client's where its lag is no trifle and could explain the breach.

    A client that is `lag` late at sending is about as late at seeing the connection and at reading the answer,
    since one loop does all three: hence three times.
    """
    if latency <= slo.seconds and failed_share <= MOST_FAILURES:
        return "kept"
    lag = tally.lag.quantile(0.99) if tally.lag.count else 0.0
    breach = latency - slo.seconds
    return "client behind" if lag >= 0.1 * slo.seconds and 3 * lag >= breach else "broken"
