"""What a load test measures, as it crosses the pipe from the Locust child and stands in the report.

Made by `tally` and `search`, read back by `locust_child`, kept by `report`. Every time is in seconds. Where a
step's latency is null, too many requests failed for that quantile to exist.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict

Verdict = Literal["kept", "broken", "client behind"]
Limit = Literal["server", "client", "search"]


class Part(BaseModel):
    """Base of every part: frozen, and unknown keys are an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Quantiles(Part):
    """Quantiles of a time in seconds, at most 1 % too high; the maximum is exact."""

    p50: float
    p90: float
    p95: float
    p99: float
    max: float


class Measured(Part):
    """One stretch of load, as the callers saw it.

    Attributes:
        seconds: how long it lasted.
        requests: requests that ended, failed ones included.
        texts: texts that got a right answer.
        latency_seconds: of right answers; null when there was none.
        server_seconds: the server's own split of a request, by stage.
        failures: count by kind.
        client_lag_seconds: how late this client itself was; null when it was not watched.
    """

    seconds: float
    requests: int
    texts: int
    requests_per_second: float
    texts_per_second: float
    latency_seconds: Quantiles | None
    server_seconds: dict[str, Quantiles]
    failures: dict[str, int]
    client_lag_seconds: Quantiles | None

    @property
    def failed(self) -> int:
        """Requests that got no right answer."""
        return sum(self.failures.values())


class Point(Part):
    """One second of a run; p50 and p99 are null in a second without a right answer."""

    elapsed_seconds: float
    requests_per_second: float
    p50_seconds: float | None
    p99_seconds: float | None
    failures: int


class Step(Part):
    """One rate that a search tried.

    Attributes:
        rate: arrivals per second.
        window_seconds: how long they were to keep coming; a hopeless step is cut short.
        elapsed_seconds: how long it took until the last answer.
        latency_seconds: at the objective's quantile, counted from the scheduled arrival; a failure counts as
            never answered.
    """

    rate: float
    window_seconds: float
    elapsed_seconds: float
    latency_seconds: float | None
    verdict: Verdict
    measured: Measured


class Outcome(Part):
    """What a search found.

    Attributes:
        objective: as it was written, `p99=100ms`.
        rate: highest arrival rate that kept it, per second; null when none did.
        confirmed: it kept it once more, over a longer window with fresh arrivals.
        limited_by: who sets the limit: the server; this client, which fell behind its own schedule; or the
            search itself, which ended at its highest rate or at its time limit.
    """

    objective: str
    rate: float | None
    confirmed: bool
    limited_by: Limit
    steps: tuple[Step, ...]


class Result(Part):
    """What the Locust child hands over at its end."""

    measured: Measured | None
    points: tuple[Point, ...] = ()
    outcome: Outcome | None = None


class Progress(Part):
    """One line of progress: the last second, and what a search is doing."""

    point: Point
    note: str = ""


class Message(Part):
    """One line on the pipe: progress, or the result, after which no other comes."""

    progress: Progress | None = None
    result: Result | None = None
