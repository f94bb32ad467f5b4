"""The health view's labels: the confusion matrix, precision, recall and F1, and two variants side by side.

Pure functions from the counts of a bundle to plots and tables. Limits: a matrix shows the twenty labels that are
confused most, since more cannot be read; the tables have all of them.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from demos.dashboard import health_plots as plots
from demos.dashboard.content import Cell, Figure, Part, Section, Table
from demos.dashboard.health_shares import Subject, interval, pair, percent, points, share, spread
from demos.dashboard.plots import matrix
from tidegate.health import LabelScores, Share, VariantHealth
from tidegate.intervals import difference

MOST_LABELS = 20  # of a matrix


def labels(subject: Subject, live: Mapping[str, Any]) -> Section:
    """How each label fares.

    Args:
        subject: what is shown.
        live: what monitoring knows of accuracy now, as the drift report has it; may be empty.
    """
    scores = subject.health.label_scores(subject.variant)
    shown = sorted(scores, key=lambda each: each.f1.value if each.f1 else 2.0)[:MOST_LABELS]
    measures = [plots.Measure(name, [getattr(each, name) for each in shown]) for name in ("precision", "recall")]
    note = f"The {MOST_LABELS} of {len(scores)} labels with the lowest F1." if len(scores) > MOST_LABELS else ""
    parts: list[Part] = [
        confusion(subject),
        Figure(
            "Precision and recall by label, lowest F1 first",
            plots.ranges("Precision and recall by label", [each.label for each in shown], measures, "share"),
            note,
        ),
        _scores_table(scores),
        _confused_table(subject),
        _accuracies(subject.counted, live),
    ]
    return Section("Labels", parts)


def confusion(subject: Subject) -> Figure:
    """The matrix of true and answered labels, or of those that are confused most."""
    names, found = subject.health.labels, subject.health.matrix(subject.variant)
    places = _most_confused(found)
    note = "Rows are true labels, columns answers; threshold and fallback label applied."
    if len(places) < len(names):
        left = sum(map(sum, found)) - sum(found[row][column] for row in places for column in places)
        note += f" The {len(places)} most confused of {len(names)} labels; {left:,} rows lie outside."
    kept = [names[place] for place in places]
    cut = [[found[row][column] for column in places] for row in places]
    return Figure(f"Confusion, {subject.name}", matrix("True and answered labels", kept, kept, cut), note)


def _most_confused(found: Sequence[Sequence[int]]) -> list[int]:
    """Places of the labels with most wrong rows, given or missed, in the labels' own order."""
    every = range(len(found))
    wrong = [sum(found[place]) + sum(line[place] for line in found) - 2 * found[place][place] for place in every]
    used = [place for place in every if sum(found[place]) + sum(line[place] for line in found)]
    return sorted(sorted(used, key=lambda place: -wrong[place])[:MOST_LABELS])


def _scores_table(scores: Sequence[LabelScores]) -> Table:
    columns = ["label", "support", "answered", "precision", "95 %", "recall", "95 %", "F1", "95 %"]
    rows = [
        [each.label, each.support, each.answered, *pair(each.precision), *pair(each.recall), *pair(each.f1)]
        for each in scores
    ]
    note = "Intervals are Wilson's; that of F1 is carried over from the share of rows with either label that have both."
    return Table("labels", "Precision, recall and F1 by label", columns, rows, note)


def _confused_table(subject: Subject) -> Table:
    names = subject.health.labels
    wrong = [(count, true, answered) for true, answered, count in subject.counted.confusion if true != answered]
    support = [sum(line) for line in subject.health.matrix(subject.variant)]
    rows: list[list[Cell]] = [
        [names[true], names[answered], count, share(count / support[true])]
        for count, true, answered in sorted(wrong, key=lambda each: -each[0])
    ]
    columns = ["true label", "answered", "rows", "of the label"]
    return Table("confused", "Wrong answers, most frequent first", columns, rows, empty="No wrong answer.")


def _accuracies(found: VariantHealth, live: Mapping[str, Any]) -> Table:
    rows: list[list[Cell]] = [["evaluation data, at export", found.rows, *pair(found.accuracy)]]
    labelled = live.get("labelled") or {}
    if labelled.get("rows"):
        measured = Share(labelled["accuracy"], labelled["low"], labelled["high"])
        rows.append(["live, from labels of the random stream, 7 days", labelled["rows"], *pair(measured)])
    if live.get("trusted"):
        measured = Share(live["accuracy"], live["low"], live["high"])
        rows.append(["live, estimated without labels", None, *pair(measured)])
    elif live:
        rows.append(["live, estimated without labels", None, "cannot tell", None])
    note = "" if len(rows) > 1 else "Live accuracy appears once this version has predictions and a first window closed."
    return Table("accuracy", "Accuracy, then and now", ["from", "rows", "accuracy", "95 %"], rows, note)


def side_by_side(subject: Subject, other: Subject) -> Section:
    """Two variants that answered the same evaluation rows; or why they cannot be compared."""
    heading = f"Side by side with {other.name}"
    if subject.health.data_sha256 != other.health.data_sha256:
        said = (
            f"Not comparable: {subject.name} was measured on {subject.health.rows:,} rows of other data than "
            f"{other.name} ({other.health.rows:,} rows). Export both with the same --data."
        )
        return Section(heading, [], lead=said)
    mine, theirs = subject.counted.accuracy, other.counted.accuracy
    said = (
        f"On the same {subject.health.rows:,} rows, {subject.name} is right on {percent(mine.value)} "
        f"({interval(mine)}), {other.name} on {percent(theirs.value)} ({interval(theirs)})."
    )
    return Section(heading, [confusion(subject), confusion(other), _differences(subject, other)], lead=said)


def _differences(subject: Subject, other: Subject) -> Table:
    theirs = {each.label: each for each in other.health.label_scores(other.variant)}
    both = [
        (each, theirs[each.label])
        for each in subject.health.label_scores(subject.variant)
        if each.label in theirs and each.support
    ]
    rows = [_difference(mine, their) for mine, their in both]
    columns = ["label", "support", "recall", "recall there", "difference", "95 %", "F1", "F1 there", "difference"]
    note = (
        "Differences in points. Their intervals are Newcombe's for independent rows; these are the same rows, so they "
        "are somewhat too wide."
    )
    return Table("differences", f"{subject.name} less {other.name}, by label", columns, rows, note)


def _difference(mine: LabelScores, their: LabelScores) -> list[Cell]:
    here, there = mine.right / mine.support, their.right / their.support
    low, high = difference(here, mine.support, there, their.support)
    f1 = (mine.f1.value if mine.f1 else 0.0, their.f1.value if their.f1 else 0.0)
    return [
        mine.label,
        mine.support,
        share(here),
        share(there),
        points(here - there),
        spread(low, high),
        share(f1[0]),
        share(f1[1]),
        points(f1[0] - f1[1]),
    ]
