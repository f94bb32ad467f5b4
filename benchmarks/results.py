"""What was measured, as `benchmarks-results.json` keeps it: raw repeats, so that any figure can be drawn again.

Each part has its own conditions, because parts are measured one command at a time and a later command replaces
only its own part. Written by the measurements, read by `bars` (met or not) and `report` (tables).
"""

from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tidegate.errors import UsageError


class Part(BaseModel):
    """A piece of the document: frozen, and nothing in it that is not declared."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Conditions(Part):
    """When, where and how a part was measured."""

    date: datetime
    machine: str = Field(description="`tidegate.devices.hardware()`.")
    command: str
    versions: dict[str, str] = Field(description="Package to version, of both sides.")
    model: str = Field(description="Bundle, version and how it runs.")
    texts: int = Field(description="How many different texts went round.")


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


class FalseAlarms(Part):
    """Drift-free windows of one size and case, replayed at one budget.

    `ratio` is measured alarms over allowed ones: 1 keeps the budget; `low` and `high` are its 95 % interval.
    """

    case: str
    size: int
    budget: float = Field(description="Windows in which one false alarm is allowed.")
    splits: int
    windows: int
    alarms: int = Field(description="Those that begin: what lasts is one.")
    alarming: float = Field(description="Share of the windows with an alarm, begun there or before.")
    ratio: float
    low: float
    high: float


class Verdicts(Part):
    """What a rival, as it is shipped, says of drift-free windows of one size and case."""

    case: str
    rival: str
    size: int
    windows: int
    alarms: int


class Replay(Part):
    """False alarms, ours against the budget and the rivals as shipped."""

    conditions: Conditions
    ours: tuple[FalseAlarms, ...]
    rivals: tuple[Verdicts, ...]


class Wait(Part):
    """Rows until the alarm of one contestant at one window size after one shift: quartiles over streams."""

    contestant: str
    size: int
    shift: str
    median: float
    low: float
    high: float
    never: float = Field(description="Share of streams without an alarm; they count as the limit.")
    streams: int


class Contest(Part):
    """Rows until the alarm of everybody on one case, at ours' measured false-alarm rate per row."""

    conditions: Conditions
    case: str
    alarms_per_row: dict[int, float] = Field(description="Our window size to its measured false alarms per row.")
    best_sizes: dict[str, int] = Field(description="Contestant to the window size that it is compared at.")
    limit: int
    budget_rows: int = Field(description="Rows in which one false alarm is allowed.")
    waits: tuple[Wait, ...]

    def of(self, contestant: str) -> dict[str, Wait]:
        """Shift to the wait at the size that is compared."""
        size = self.best_sizes[contestant]
        return {wait.shift: wait for wait in self.waits if wait.contestant == contestant and wait.size == size}


class Added(Part):
    """The same server with monitoring and without, in turn; one figure a repeat."""

    conditions: Conditions
    callers: int
    on: tuple[float, ...] = Field(description="Texts a second at saturation, monitored.")
    off: tuple[float, ...]
    rate: float = Field(description="Requests a second of the open loop: half of what saturates.")
    on_p99: tuple[float, ...] = Field(description="Seconds.")
    off_p99: tuple[float, ...]


class LabelsNeeded(Part):
    """What the policy needed until it was as good as random sampling at half the pool, of one data set and model."""

    budget: int = Field(description="Random sampling's labels: half the pool.")
    shares: tuple[float, ...] = Field(description="Needed, of the budget; one a seed and repeat, 1.2 for never.")
    control: tuple[float, ...] = Field(description="The same of single random runs.")
    against_plain: tuple[float, ...] = Field(description="As `shares`, but of random sampling by the plain recipe.")
    chosen: tuple[float, ...] = Field(description="Mean accuracy after each round.")
    random: tuple[float, ...]
    plain: tuple[float, ...] = Field(description="Of random sampling by the plain recipe: rows as they are.")

    @property
    def worst(self) -> float:
        """Points by which the policy's mean curve lies below random's, at its worst round; negative is below."""
        return 100.0 * min(ours - even for ours, even in zip(self.chosen, self.random, strict=True))


class Coverage(Part):
    """Simulated estimates of accuracy from chosen labels; shares in [0, 1]."""

    simulations: int
    covered: float = Field(description="Share of intervals that hold the truth.")
    width: float
    bias: float
    unweighted_bias: float = Field(description="Of the chosen labels as they come.")
    random_covered: float = Field(description="Of the random slot's labels alone, with Wilson's interval.")
    random_width: float


class Loop(Part):
    """What the loop was measured to do; by DATA/MODEL."""

    conditions: Conditions
    needed: dict[str, LabelsNeeded] = Field(default_factory=dict)
    coverage: dict[str, Coverage] = Field(default_factory=dict)


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
