"""What was measured of drift alarms, as `benchmarks-results.json` keeps it.

Written by `replay` and `delay`, read by `tables` and `benchmarks.bars`.
"""

from pydantic import Field

from benchmarks.parts import Conditions, Part


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
