"""The health view's confidence: calibration, how sure the model was when it was wrong, and what a threshold would do.

Pure functions from the counts of a bundle to plots and tables. Counts at a threshold are of the likeliest label, before
a fallback label stands in; in hundredths they are exact, between them those of the next threshold that was counted.
"""

from demos.dashboard import health_plots as plots
from demos.dashboard.content import Cell, Figure, Markup, Number, Part, Section, Table, text
from demos.dashboard.health_choice import counts, slider
from demos.dashboard.health_shares import Subject, counted, interval, pair, percent, share
from tidegate.bundle import Manifest
from tidegate.health import CALIBRATION_BINS, VariantHealth

_SURENESS_BINS = 25
_TABLE_CUTS = tuple(place / 20 for place in range(20))


def calibration(subject: Subject, threshold: float | None) -> Section:
    """How far its confidence can be believed; `threshold` is marked, or else the bundle's own."""
    found = subject.counted
    bins, own = found.bins(CALIBRATION_BINS), subject.manifest.postprocessing.threshold
    rows: list[list[Cell]] = [
        [
            f"{each.low:.1f} to {each.high:.1f}",
            each.rows,
            each.right,
            *pair(counted(each.right, each.rows)),
            share(each.confidence),
        ]
        for each in bins
        if each.rows
    ]
    error = found.calibration_error()
    said = (
        f"Expected calibration error: {error * 100:.2f} points, the mean gap between confidence and accuracy over "
        f"{CALIBRATION_BINS} bins of equal width, weighted by their rows (Naeini et al. 2015, Guo et al. 2017)."
    )
    chosen = threshold if threshold is not None else own
    figures = [
        Figure(
            "Confidence against accuracy",
            plots.reliability("Reliability diagram", bins),
            "On the line, a model is as often right as it is sure; below it, it is too sure. Lines are 95 % intervals.",
        ),
        Figure(
            "How sure it was of right and of wrong answers",
            plots.sureness("Top probability of right and wrong rows", found.bins(_SURENESS_BINS), chosen),
            "Filled: rows whose likeliest label is right. Outline: the others. Each adds up to 100 %.",
        ),
    ]
    columns = ["top probability", "rows", "right", "share right", "95 %", "mean confidence"]
    table = Table("calibration", "Calibration by bins that have rows", columns, rows)
    return Section("Confidence", [*figures, table], lead=said)


def thresholds(subject: Subject, threshold: float | None, against: str) -> Section:
    """What a threshold lets through and what it holds back.

    Args:
        subject: what is shown.
        threshold: that was asked about; None for the bundle's own.
        against: what else was asked for, to be asked for again.
    """
    found, post = subject.counted, subject.manifest.postprocessing
    at = threshold if threshold is not None else post.threshold or 0.0
    known = [found.at(cut) for cut in found.cuts]
    precision = [counted(each.right, each.rows) for each in known]
    coverage = [each.rows / found.rows for each in known]
    figure = Figure(
        "Coverage and precision by threshold",
        plots.thresholds("Coverage and precision", found.cuts, coverage, precision, at),
        "Shaded: the 95 % interval of the precision. Of the likeliest label, before a fallback label stands in.",
        wide=True,
    )
    kept = [("version", str(subject.manifest.version)), ("variant", subject.variant), ("against", against)]
    rows = [
        _threshold_row(found, cut) for cut in sorted({*_TABLE_CUTS, at, *([post.threshold] if post.threshold else [])})
    ]
    columns = ["threshold", "answered", "coverage", "right", "precision", "95 %", "abstained", "of these wrong"]
    table = Table("thresholds", "What a threshold would do", columns, rows)
    parts: list[Part] = [slider(at, kept), _told(found, at), figure, table, counts(found)]
    return Section("Threshold", parts, lead=_own_threshold(subject.manifest))


def _own_threshold(manifest: Manifest) -> str:
    post = manifest.postprocessing
    if post.threshold is None:
        return "This version has no threshold: its likeliest label always answers. The slider shows what one would do."
    instead = (
        f"the label {post.fallback_label!r} answers in its place"
        if post.fallback_label is not None
        else "its likeliest label is answered all the same, marked as abstained"
    )
    return (
        f"This version abstains below {post.threshold:g}: {instead}. The slider shows what another threshold would do; "
        "nothing is changed by it, since the threshold is the run's and part of the bundle."
    )


def _told(found: VariantHealth, at: float) -> Markup:
    """The numbers of one threshold, large; `health.js` keeps them in step with the slider."""
    reached = found.at(at)
    wrong = found.rows - found.right[0]
    facts = (
        ("coverage", "Answered", percent(reached.rows / found.rows), f"{reached.rows:,} of {found.rows:,} rows"),
        ("precision", "Right, of those", *_precision(reached.right, reached.rows)),
        ("abstained", "Abstained", percent(1.0 - reached.rows / found.rows), f"{found.rows - reached.rows:,} rows"),
        (
            "caught",
            "Wrong answers held back",
            percent((wrong - reached.rows + reached.right) / wrong) if wrong else "none",
            f"{wrong - reached.rows + reached.right:,} of {wrong:,}",
        ),
    )
    items = "".join(
        f'<div><dt>{name}</dt><dd><strong id="{key}">{text(value)}</strong> '
        f'<span class="soft" id="{key}-of">{text(of)}</span></dd></div>'
        for key, name, value, of in facts
    )
    return Markup(f'<dl class="facts">{items}</dl>')


def _precision(right: int, rows: int) -> tuple[str, str]:
    found = counted(right, rows)
    if found is None:
        return "-", "nothing is answered"
    return percent(found.value), f"95 % interval {interval(found)}"


def _threshold_row(found: VariantHealth, cut: float) -> list[Cell]:
    reached = found.at(cut)
    held = found.rows - reached.rows
    wrong = found.rows - found.right[0] - (reached.rows - reached.right)
    return [
        Number(reached.at, f"{reached.at:.4g}"),
        reached.rows,
        share(reached.rows / found.rows),
        reached.right,
        *pair(counted(reached.right, reached.rows)),
        held,
        wrong,
    ]
