"""What a version's behavioural tests came to: `behaviour.json` of its bundle.

Written by the export from what `behaviour_run` judged; read by commands, the model card and `GET /models/{m}`.
Limits: of each test the numbers and a few failed cases, whose texts are evaluation texts or somebody's examples:
whoever gets the bundle can read them.
"""

from pathlib import Path

from pydantic import Field

from tidegate.behaviour import Part
from tidegate.bundle import Bundle, read_document

FILE = "behaviour.json"
MOST_SHOWN = 5


class Failure(Part):
    """A case that failed, for people; texts are cut."""

    text: str
    changed: str | None = None
    why: str


class Verdict(Part):
    """What became of one test; `skipped` says why it was not run."""

    name: str
    kind: str
    capability: str = ""
    gate: bool = Field(description="Whether failing it refuses a version.")
    cases: int = Field(0, ge=0)
    failures: int = Field(0, ge=0)
    interval: tuple[float, float] = Field((0.0, 1.0), description="Wilson's 95 % interval of the failure rate.")
    max_failure_rate: float = Field(0.0, ge=0, le=1)
    passed: bool = True
    skipped: str = ""
    shown: tuple[Failure, ...] = Field((), description=f"{MOST_SHOWN} failed cases at most.")

    @property
    def failure_rate(self) -> float:
        """Share of failed cases, in [0, 1]."""
        return self.failures / self.cases if self.cases else 0.0


class SuiteResult(Part):
    """What became of the tests of a suite; `skipped` says why none was run."""

    suite: str
    source: str = Field(description="built-in, kept or run.")
    skipped: str = ""
    tests: tuple[Verdict, ...] = ()


class Report(Part):
    """`behaviour.json` of a bundle."""

    variant: str = Field(description="Which answered.")
    suites: tuple[SuiteResult, ...]

    def results(self) -> list[tuple[SuiteResult, Verdict]]:
        """Every test that was run, with its suite."""
        return [(suite, test) for suite in self.suites for test in suite.tests if not test.skipped]

    def failed(self, *, gated: bool) -> list[str]:
        """Names of the tests that failed: those that gate, or those that inform."""
        return [
            f"{suite.suite}: {test.name}" for suite, test in self.results() if not test.passed and test.gate == gated
        ]


def write_report(report: Report, folder: Path) -> None:
    """Write it into a bundle's folder."""
    (folder / FILE).write_text(report.model_dump_json(), encoding="utf-8")


def read_report(bundle: Bundle) -> Report | None:
    """The report of a bundle; None for one that was exported without.

    Raises:
        BundleCorrupt: the file does not hold what it should.
    """
    return read_document(bundle, bundle.manifest.behaviour, Report, "report of behavioural tests")
