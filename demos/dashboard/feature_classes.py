"""A feature within each true label, for its view: of the training and evaluation texts, whose labels are known.

Before: the document of `Monitor.feature`; after: `feature`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from demos.dashboard import histogram, spreads
from demos.dashboard.content import Cell, Figure, Markup, Part, Table
from demos.dashboard.data_figures import MOST_CLASSES, cell, no_bins, title_of
from demos.dashboard.spreads import NAMES, Group, Spread
from demos.dashboard.version_pages import OLD

Document = Mapping[str, Any]


def by_class(report: Document) -> list[Part]:
    """Boxes of a number, shares of a flag or of classes, and the figures."""
    feature, labels, by_label = report["feature"], report["labels"], report["by_label"]
    if not labels:
        return [Markup('<p class="soft">The model answers vectors: there are no classes to tell apart.</p>')]
    if not by_label:
        known = bool(feature["edges"] or feature["categories"])
        why = f"{OLD} it by class." if known and not report["whole"] else no_bins(feature)
        return [Markup(f'<p class="soft">{why}</p>')]
    figures = [
        figure for split, lines_ in by_label.items() if (figure := _class_figure(feature, labels, split, lines_))
    ]
    note = (
        '<p class="soft">By the true labels of the training and evaluation texts; of live texts nobody knows them.</p>'
    )
    return [*figures, Markup(note), _class_table(feature, labels, by_label)]


def _class_figure(
    feature: Document, labels: Sequence[str], split: str, table: Sequence[Sequence[float]]
) -> Figure | None:
    rows = [(name, counts) for name, counts in zip(labels, table, strict=False) if sum(counts)][:MOST_CLASSES]
    if not rows:
        return None
    title = f"{NAMES[split]}, by true label"
    if feature["categories"]:
        names = feature["categories"]
        groups = [Group(f"{name}: {_most(names, counts)}", [max(counts) / sum(counts)]) for name, counts in rows]
        return Figure(title, spreads.groups(title, groups, [split]), "The most frequent value of each class.")
    if histogram.is_flag(feature):
        flags = [Group(name, [histogram.mean_of(feature, counts)]) for name, counts in rows]
        return Figure(title, spreads.groups(title, flags, [split]))
    drawn = [
        Spread(name, [value or 0.0 for value in histogram.quantiles_of(feature, counts)], number)
        for number, (name, counts) in enumerate(rows)
    ]
    note = "Line: 5 to 95 % of the rows; box: the middle half; bar: the median."
    return Figure(title, spreads.boxes(title, drawn, title_of(feature["name"])), note)


def _most(names: Sequence[str], counts: Sequence[float]) -> str:
    return names[max(range(len(names)), key=lambda place: counts[place])]


def _class_table(feature: Document, labels: Sequence[str], by_label: Mapping[str, Sequence[Sequence[float]]]) -> Table:
    rows: list[list[Cell]] = []
    for split, table in by_label.items():
        for name, counts in zip([*labels, "other"], table, strict=True):
            if sum(counts):
                mean = cell(feature, histogram.mean_of(feature, counts))
                common = _most(feature["categories"], counts) if feature["categories"] else None
                rows.append(
                    [name, NAMES[split], int(sum(counts)), mean, histogram.quantiles_of(feature, counts)[2], common]
                )
    columns = ["true label", "rows of", "rows", "mean", "median", "most frequent"]
    return Table("classes", "By true label", columns, rows, empty=f"{OLD} it by class.")
