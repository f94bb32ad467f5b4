"""The suites that hold for a model, built-in ones and its own, and what it makes of all of them.

Built in are the files of `tidegate/suites`: a general one for every classifier, and two for sentiment. They inform;
their gated tests gate for a model whose own file says `include: [NAME]`. A suite that needs labels which a model does
not have is skipped, and says so; in a model's own file that is an error.
Before: the reader `behaviour` and the runner `behaviour_run`; after: the export and `tidegate behaviour`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Literal

from tidegate.behaviour import Suite, load_suite, read_suite
from tidegate.behaviour_report import Report, SuiteResult, Verdict
from tidegate.behaviour_run import Ran, Subject, label_of, names_of, run_test, words_of
from tidegate.errors import UsageError

Source = Literal["built-in", "kept", "run", "file"]


@dataclass(frozen=True, slots=True)
class Chosen:
    """A suite, where it comes from, and whether it may gate at all."""

    suite: Suite
    source: Source
    may_gate: bool = True

    def gates(self, name: str) -> bool:
        """Whether failing a test of it refuses a version."""
        test = next((test for test in self.suite.tests if test.name == name), None)
        return self.may_gate and (self.suite.gate if test is None else self.suite.gates(test))


@dataclass(frozen=True, slots=True)
class Outcome:
    """A report, and what was run for it with every case that failed."""

    report: Report
    ran: Sequence[tuple[Chosen, Ran]]

    def refused(self) -> list[tuple[Chosen, Ran]]:
        """The gated tests that failed."""
        return [(chosen, ran) for chosen, ran in self.ran if ran.result.gate and not ran.result.passed]


@cache
def built_in() -> tuple[Suite, ...]:
    """The suites of the package, by name."""
    folder = resources.files("tidegate") / "suites"
    files = sorted((file for file in folder.iterdir() if file.name.endswith(".yaml")), key=lambda file: file.name)
    return tuple(read_suite(file.read_bytes(), file.name, file.name.removesuffix(".yaml")) for file in files)


def choose(kept: Path | None = None, logged: Path | None = None) -> list[Chosen]:
    """The built-in suites, and those of two files where they are there.

    Args:
        kept: the model's own file.
        logged: the file that its run logged.

    Raises:
        UsageError: a file cannot be read, or includes a suite that there is not.
    """
    own: tuple[tuple[Source, Path | None], ...] = (("kept", kept), ("run", logged))
    files = [Chosen(load_suite(file, source), source) for source, file in own if file is not None and file.is_file()]
    included = {name for chosen in files for name in chosen.suite.include}
    known = {suite.name for suite in built_in()}
    if included - known:
        raise UsageError(
            f"no built-in suite {min(included - known)!r} to include; there is: {', '.join(sorted(known))}"
        )
    return [*(Chosen(suite, "built-in", suite.name in included) for suite in built_in()), *files]


def run_suites(chosen: Sequence[Chosen], subject: Subject, variant: str, seed: int = 0) -> Outcome:
    """Ask a model about every test of some suites.

    Raises:
        UsageError: a suite that is not built in names a label that the model does not have.
    """
    results: list[SuiteResult] = []
    every: list[tuple[Chosen, Ran]] = []
    for one in chosen:
        missing = _missing(one, subject)
        ran = [] if missing else [_run(one, name, subject, seed) for name in names_of(one.suite)]
        every += [(one, each) for each in ran]
        results.append(
            SuiteResult(
                suite=one.suite.name, source=one.source, skipped=missing, tests=tuple(each.result for each in ran)
            )
        )
    return Outcome(Report(variant=variant, suites=tuple(results)), every)


def _missing(chosen: Chosen, subject: Subject) -> str:
    """Why a suite does not apply; empty where it does."""
    suite = chosen.suite
    lacking = [word for word in suite.needs or suite.labels if label_of(word, suite, subject.labels) is None]
    if not lacking:
        return ""
    missing = f"the model has no label for {', '.join(lacking)}; it has: {', '.join(subject.labels)}"
    if chosen.source != "built-in":
        raise UsageError(f"{suite.name}: {missing}; name it under `labels`")
    return missing


def _run(chosen: Chosen, name: str, subject: Subject, seed: int) -> Ran:
    suite = chosen.suite
    lacking = [word for word in words_of(suite, name) if label_of(word, suite, subject.labels) is None]
    if chosen.source == "built-in" and lacking:
        test = next(test for test in suite.tests if test.name == name)
        why = f"the model has no label for {lacking[0]}"
        plain = Verdict(name=name, kind=test.kind, capability=test.capability, gate=False, skipped=why)
        return Ran(plain, frozenset())
    return run_test(suite, name, subject, gate=chosen.gates(name), seed=seed)
