"""The health view's weak places: slices of the evaluation data on which the variant is worse, and behavioural tests.

Pure functions from what the bundle holds to a plot and tables.
"""

from demos.dashboard import health_plots as plots
from demos.dashboard.content import Cell, Figure, Mark, Number, Section, Table
from demos.dashboard.health_shares import Subject, counted, interval, pair, percent, share, spread
from tidegate.behaviour_report import Report, SuiteResult, Verdict
from tidegate.health import Share, Slice, VariantHealth

MOST_SLICES = 12  # of the plot
LEVEL = 0.05  # adjusted p up to which a slice is called worse


def lead(subject: Subject) -> str:
    """How often it is right, how far to believe it, and where it is weakest."""
    found = subject.counted
    said = (
        f"Right on {percent(found.accuracy.value)} of {found.rows:,} evaluation texts (95 % interval "
        f"{interval(found.accuracy)}); its confidence is off by {found.calibration_error() * 100:.1f} points on average"
    )
    worse = [part for part in found.slices if _is_worse(found, part)]
    if not worse:
        return f"{said}; no slice of the data is surely worse than the rest."
    return f"{said}; weakest on {_slice_name(worse[0])} ({percent(worse[0].right / worse[0].rows)})."


def slices(found: VariantHealth) -> Section:
    """The slices that lose most, with what luck alone would do."""
    worst = found.slices[:MOST_SLICES]
    shares = [counted(part.right, part.rows) for part in worst]
    names = [_slice_name(part) for part in worst]
    figure = Figure(
        "Accuracy on the worst slices",
        plots.ranges(
            "Accuracy by slice", names, [plots.Measure("accuracy", shares)], "accuracy", whole=found.accuracy.value
        ),
        "Dashed: the accuracy on all rows. Lines are 95 % intervals.",
        wide=True,
    )
    columns = ["slice", "rows", "accuracy", "95 %", "rest less slice", "95 %", "adjusted p", "verdict"]
    table = Table(
        "slices",
        "Slices, worst first by the lower end of what they lose",
        columns,
        [_slice_row(found, part) for part in found.slices],
        f"{found.slices_tried:,} slices of 20 rows or more were tried, and some look bad by luck: p (Fisher's exact "
        "test against the rest) is adjusted for it after Benjamini and Hochberg, and a slice is called worse up to "
        f"{LEVEL:g}. Slices overlap: one may be bad because another is.",
        empty="No slice has 20 rows and leaves 20; export with more evaluation rows.",
    )
    return Section("Where it is weak", [figure, table] if worst else [table])


def _slice_row(found: VariantHealth, part: Slice) -> list[Cell]:
    loss = found.loss(part)
    chance = Number(part.adjusted_p, f"{part.adjusted_p:.2g}")
    worse = Mark("worse", "bad") if _is_worse(found, part) else Mark("better", "good")
    verdict: Cell = worse if part.adjusted_p <= LEVEL else "may be chance"
    gap = Number(loss.value, f"{loss.value * 100:+.1f} points")
    return [
        _slice_name(part),
        part.rows,
        *pair(counted(part.right, part.rows)),
        gap,
        spread(loss.low, loss.high),
        chance,
        verdict,
    ]


def _is_worse(found: VariantHealth, part: Slice) -> bool:
    return part.adjusted_p <= LEVEL and found.loss(part).value > 0


def _slice_name(part: Slice) -> str:
    return part.kind if part.kind == "truncated" else f"{part.kind}: {part.name}"


def behaviour(report: Report | None) -> Section:
    """What the behavioural tests came to."""
    if report is None:
        said = "This version was exported before behavioural tests were part of an export; export it again."
        return Section("Behavioural tests", [], lead=said)
    tests = [(suite, test) for suite in report.suites for test in suite.tests]
    rows = [_test_row(suite, test) for suite, test in sorted(tests, key=lambda pair: pair[1].passed)]
    rows += [
        [suite.suite, None, None, None, None, None, None, f"skipped: {suite.skipped}"]
        for suite in report.suites
        if suite.skipped
    ]
    ran = report.results()
    failed = sum(not test.passed for _, test in ran)
    said = f"{len(ran) - failed} of {len(ran)} tests passed, answered by {report.variant}."
    columns = ["suite", "test", "kind", "cases", "failures", "rate", "at most", "verdict"]
    table = Table("behaviour", "Behavioural tests", columns, rows, empty="No suite holds for these labels.")
    return Section("Behavioural tests", [table], lead=said if ran else "")


def _test_row(suite: SuiteResult, test: Verdict) -> list[Cell]:
    verdict: Cell = f"skipped: {test.skipped}"
    if not test.skipped:
        passed, failed = Mark("passed", "good"), Mark("failed, gates" if test.gate else "failed", "bad")
        verdict = passed if test.passed else failed
    low, high = test.interval
    rate = Number(test.failure_rate, f"{percent(test.failure_rate)} ({interval(Share(test.failure_rate, low, high))})")
    return [suite.suite, test.name, test.kind, test.cases, test.failures, rate, share(test.max_failure_rate), verdict]
