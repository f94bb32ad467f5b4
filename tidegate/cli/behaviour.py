"""`tidegate behaviour`: tests of what a model must and must not do, kept beside it, run here and by every export.

The kept file is `behaviour/NAME.yaml` in the home folder, written by hand and by `add`; it is meant to be versioned.
`run` asks a published version; exit code 3 says that a test failed that would refuse an export.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tidegate.aliases import CHAMPION
from tidegate.cli import app, console
from tidegate.cli.options import AsJson, Home, Model, Version
from tidegate.errors import GateRefused, UsageError
from tidegate.settings import Settings

if TYPE_CHECKING:  # pydantic models, which `--help` need not wait for
    from tidegate.behaviour_report import Report, SuiteResult, Verdict
    from tidegate.bundle import Bundle

behaviour = typer.Typer(no_args_is_help=True, help="Tests of what a model must and must not do.")
app.add_typer(behaviour, name="behaviour")


@behaviour.command("run")
def run(
    model: Model,
    version: Version = CHAMPION,
    suite: Annotated[
        Path | None,
        typer.Option(help="This file alone.", show_default="built-in suites and the kept file"),
    ] = None,
    as_json: AsJson = False,
    home: Home = None,
) -> None:
    """Run behavioural tests on a published version; exit code 3 where one failed that gates."""
    from exporters.behaviour import subject_of
    from exporters.verification import read
    from tidegate.behaviour import load_suite
    from tidegate.behaviour_file import kept_file
    from tidegate.behaviour_suites import Chosen, choose, run_suites
    from tidegate.devices import choose as choose_device
    from tidegate.engine import Engine

    settings = Settings.load(home=home)
    bundle = _classifier(settings, model, version)
    files = choose(kept_file(settings.home, model)) if suite is None else [Chosen(load_suite(suite), "file")]
    known = read(bundle)
    engine = Engine.open(bundle, choose_device("cpu", ()), threads=settings.threads)
    subject = subject_of(engine, bundle.manifest.samples if known is None else known.texts)
    report = run_suites(files, subject, engine.variant.name).report
    if as_json:
        console.json(report.model_dump(mode="json"))
    else:
        show_report(f"{model}/{bundle.manifest.version}", report)
    failed = report.failed(gated=True)
    if failed:
        raise GateRefused(f"{len(failed)} behavioural tests failed that gate: {' | '.join(failed)}")


@behaviour.command("show")
def show(model: Model, version: Version = CHAMPION, as_json: AsJson = False, home: Home = None) -> None:
    """What a version's tests came to when it was exported."""
    from tidegate.behaviour_report import read_report

    bundle = _classifier(Settings.load(home=home), model, version)
    report = read_report(bundle)
    if report is None:
        raise UsageError(
            f"{model}/{bundle.manifest.version} was exported without behavioural tests; "
            f"`tidegate behaviour run {model}` runs them now"
        )
    if as_json:
        console.json(report.model_dump(mode="json"))
        return
    show_report(f"{model}/{bundle.manifest.version}", report)


@behaviour.command("add", epilog="Example: tidegate behaviour add sentiment --text 'not bad at all' --label positive")
def add(
    model: Model,
    text: Annotated[str, typer.Option(help="What was answered wrongly.")],
    label: Annotated[str, typer.Option(help="The right label.")],
    note: Annotated[str, typer.Option(help="Why, for whoever reads the file.")] = "",
    home: Home = None,
) -> None:
    """Append an example to the kept file; the same one twice is there once."""
    from tidegate.behaviour_file import append, example_of, kept_file

    settings = Settings.load(home=home)
    manifest = _classifier(settings, model, CHAMPION).manifest
    added = append(settings.home, model, example_of(manifest, text, label, note))
    file = kept_file(settings.home, model)
    console.say(f"added to {file}" if added else f"{file} has it already")


@behaviour.command("init")
def init(model: Model, home: Home = None) -> None:
    """Write a file with commented examples to begin with."""
    from tidegate.behaviour_file import start

    settings = Settings.load(home=home)
    manifest = _classifier(settings, model, CHAMPION).manifest
    console.say(f"wrote {start(settings.home, model, manifest.labels)}")


def show_report(title: str, report: "Report", *, as_message: bool = False) -> None:
    """The table of what tests came to, with a failed case of each that failed."""
    rows = [_cells(suite, test) for suite in report.suites for test in suite.tests]
    columns = ["suite", "test", "capability", "failed", "rate % (95 %)", "at most %", "verdict"]
    console.table(f"{title}: behavioural tests of {report.variant}", columns, rows, as_message=as_message)
    _tell_failures(report)


def show_summary(title: str, report: "Report", *, as_message: bool = False) -> None:
    """The same, one line a suite."""
    rows = []
    for suite in report.suites:
        tests = [test for test in suite.tests if not test.skipped]
        gated = sum(test.gate and not test.passed for test in tests)
        passed = sum(test.passed for test in tests)
        rows.append([suite.suite, *map(str, (len(tests), passed, gated, len(tests) - passed - gated))])
    columns = ["suite", "tests", "passed", "failed that gate", "failed that inform"]
    console.table(f"{title}: behavioural tests of {report.variant}", columns, rows, as_message=as_message)
    _tell_failures(report)


def _tell_failures(report: "Report") -> None:
    """What was left out, and a failed case of each test that failed."""
    lines = [f"{suite.suite} was left out: {suite.skipped}" for suite in report.suites if suite.skipped]
    for suite, test in report.results():
        for case in () if test.passed else test.shown[:1]:
            said = f"{case.text!r}" if case.changed is None else f"{case.text!r} -> {case.changed!r}"
            lines.append(f"{suite.suite}, {test.name} ({test.failures} of {test.cases}): {said}: {case.why}")
    for line in lines:
        console.say(line)


def show_published(bundle: "Bundle", *, as_message: bool = False) -> None:
    """The summary of a bundle; nothing where it was exported without."""
    from tidegate.behaviour_report import read_report

    report = read_report(bundle)
    if report is not None:
        show_summary(f"{bundle.manifest.name}/{bundle.manifest.version}", report, as_message=as_message)


def _cells(suite: "SuiteResult", test: "Verdict") -> list[str]:
    if test.skipped:
        return [suite.suite, test.name, test.capability, "", "", "", f"left out: {test.skipped}"]
    low, high = test.interval
    verdict = "passed" if test.passed else "FAILED" if test.gate else "failed, informs"
    return [
        suite.suite,
        test.name,
        test.capability,
        f"{test.failures} of {test.cases}",
        f"{test.failure_rate * 100:.0f} ({low * 100:.0f}-{high * 100:.0f})",
        f"{test.max_failure_rate * 100:.0f}",
        verdict,
    ]


def _classifier(settings: Settings, model: str, version: str) -> "Bundle":
    from tidegate.bundle_store import BundleStore

    bundle = BundleStore(settings.bundles_dir).load(model, version)
    if not bundle.manifest.labels:
        raise UsageError(f"{model} answers vectors, and behavioural tests are about labels")
    return bundle
