"""What was measured, as `benchmarks-results.json` keeps it: raw repeats, so that any figure can be drawn again.

Each part has its own conditions, because parts are measured one command at a time and a later command replaces
only its own part. Written by the measurements, read by `bars` (met or not) and `report` (tables).
"""

from pathlib import Path
from statistics import median
from typing import Literal

from pydantic import Field, ValidationError

from benchmarks.drift.results import Contest, Replay
from benchmarks.loop.results import Loop
from benchmarks.parts import Conditions, Part
from tidegate.errors import UsageError


class Load(Part):
    """One run of wrk against one server."""

    requests_per_second: float
    texts_per_second: float
    p50_seconds: float
    p99_seconds: float
    requests: int
    fault: str = Field("", description="Why the run does not count; empty when it does.")


class Agreement(Part):
    """Labels of one server, each text asked alone, in lists, and beside 63 other callers."""

    texts: int
    agreement: float = Field(description="Share of texts whose label, asked alone, is the source model's.")
    depend_on_list: int = Field(description="Labels that change when the text is in a list.")
    depend_on_company: int = Field(description="Labels that change under 64 concurrent callers.")


class Side(Part):
    """One server of a pair."""

    cold_seconds: float = Field(description="From start to ready.")
    memory_mib: float = Field(description="Proportional set size after the load.")
    agreement: Agreement


class Scenario(Part):
    """How many callers, and how many texts each sends in one request."""

    callers: int
    texts: int

    @property
    def title(self) -> str:
        """As in tables."""
        return f"{self.callers} x {self.texts}"


class Turns(Part):
    """One scenario, both servers in turn: ours[i] and theirs[i] were measured one after the other."""

    scenario: Scenario
    ours: tuple[Load, ...]
    theirs: tuple[Load, ...]

    @property
    def fault(self) -> str:
        """The first reason why a run of it does not count."""
        return next((load.fault for load in (*self.ours, *self.theirs) if load.fault), "")


class Pair(Part):
    """Tidegate and one peer, in one run."""

    peer: str
    title: str
    bar: str
    conditions: Conditions
    ours: Side
    theirs: Side
    turns: tuple[Turns, ...]


class Engine(Part):
    """Tidegate's engine and batcher against the best raw loop; texts a second, one figure a repeat."""

    conditions: Conditions
    ours: tuple[float, ...]
    raw: tuple[float, ...]
    raw_batch: int = Field(description="Batch size of the best raw loop.")
    grid: dict[int, float] = Field(description="Batch size of a raw loop to its median.")


class Skew(Part):
    """Our batcher against first come, first served, over skewed lengths; texts a second, one figure a repeat."""

    conditions: Conditions
    under_20: float = Field(description="Share of texts under 20 tokens.")
    over_300: float = Field(description="Share of texts over 300 tokens.")
    ours: tuple[float, ...]
    fifo: tuple[float, ...]
    single: tuple[float, ...] = Field(description="First come, first served, one text a run.")
    padding: float = Field(description="Padding's share of all tokens that ours ran, from the metrics.")
    fifo_padding: float


class Overhead(Part):
    """One caller of an idle server; seconds, one figure a repeat."""

    conditions: Conditions
    http_p50: tuple[float, ...]
    bare_p50: tuple[float, ...]
    idle_cpu: float = Field(description="Share of one core that the idle server used.")
    idle_seconds: float


class Overload(Part):
    """Three times the peak, with deadlines of twice the peak's p99; texts a second and seconds."""

    conditions: Conditions
    seconds: float = Field(description="How long it lasted.")
    peak: float
    peak_p99: float
    goodput: float = Field(description="Texts a second that were answered in time.")
    accepted_p99: float
    refusal_p50: float
    retry_error: float = Field(description="Median over the refusals of |Retry-After - truth| / truth.")
    memory_growth: float = Field(description="Share of the memory as the overload began.")
    hung: int = Field(description="Requests without any answer.")
    statuses: dict[int, int]


class Added(Part):
    """The same server with monitoring and without, in turn; one figure a repeat."""

    conditions: Conditions
    callers: int
    on: tuple[float, ...] = Field(description="Texts a second at saturation, monitored.")
    off: tuple[float, ...]
    rate: float = Field(description="Requests a second of the open loop: half of what saturates.")
    on_p99: tuple[float, ...] = Field(description="Seconds.")
    off_p99: tuple[float, ...]


class Results(Part):
    """The whole document."""

    schema_version: Literal[1] = 1
    pairs: dict[str, Pair] = Field(default_factory=dict)
    engine: Engine | None = None
    skew: Skew | None = None
    overhead: Overhead | None = None
    overload: Overload | None = None
    replay: Replay | None = None
    contests: dict[str, Contest] = Field(default_factory=dict)
    monitoring: Added | None = None
    loop: Loop | None = None


def read_results(file: Path) -> Results:
    """The document, or an empty one where there is none yet.

    Raises:
        UsageError: the file is something else.
    """
    if not file.is_file():
        return Results()
    try:
        return Results.model_validate_json(file.read_bytes())
    except ValidationError as error:
        raise UsageError(f"{file} holds no results of this version; move it away or choose another --out") from error


def write_results(file: Path, results: Results) -> None:
    """Replace the document in whole."""
    draft = file.with_name(f"{file.name}.draft")
    draft.write_text(results.model_dump_json(indent=2) + "\n", encoding="utf-8")
    draft.replace(file)


def middle(values: tuple[float, ...]) -> float:
    """The median."""
    return median(values)
