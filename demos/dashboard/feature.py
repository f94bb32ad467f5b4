"""The view `/dashboard/models/{model}/features/{feature}`: one feature in depth.

Its splits over each other, its classes, its trend over windows or merged periods (`?by=window|minute|hour|day`,
`?windows=20|100`) against its band, what is normal at which size, and what it means.
Before: `Monitor.feature`; after: `page`.
"""

from collections.abc import Mapping, Sequence
from typing import Any, cast, get_args
from urllib.parse import quote

from starlette.concurrency import run_in_threadpool

from demos.dashboard import content, histogram, spreads
from demos.dashboard.content import Cell, Figure, Link, Markup, Number, Page, Part, Section, Table
from demos.dashboard.data import OLD, crumbs, unreadable, version_of
from demos.dashboard.data_figures import (
    MOST_CLASSES,
    SPLITS,
    cell,
    class_shares,
    mark,
    spread_figure,
    title_of,
    verdict,
)
from demos.dashboard.forms import Select, form
from demos.dashboard.plots import Series, lines
from demos.dashboard.spreads import NAMES, Group, Spread
from demos.dashboard.visit import Visit
from monitoring.meanings import meaning_of
from tidegate.errors import BundleCorrupt, BundleNotFound, InvalidInput
from tidegate.moments import moment
from tidegate.records import Span

Document = Mapping[str, Any]

_SPANS = get_args(Span)
_COUNTS = (20, 100)
_DISTANCES = (("distance", "score"), ("edge of the band", "threshold"))


async def feature_health(visit: Visit) -> Page:
    """One feature of a model version.

    Raises:
        ModelNotFound, BundleNotFound, ItemNotFound: no such model, version or feature.
        InvalidInput: not a trend that there is.
    """
    model, name = visit.path["model"], visit.path["feature"]
    version = await version_of(visit)
    by, most = _asked(visit)
    try:
        report = await run_in_threadpool(visit.gateway.monitor.feature, model, version, name, by, most)
    except (BundleCorrupt, BundleNotFound) as error:
        return unreadable("Feature", model, version, error)
    sections = [
        Section("Now", _now(report)),
        Section("Over time", _trend(report, by, most, visit.number("version"))),
        Section("By class", _by_class(report)),
        Section("What it means", [_meaning(report)]),
        Section("What is normal", [_normal(report)]),
        Section("Other features", [_others(report)]),
    ]
    back = Link("Data", f"/dashboard/models/{model}/data?version={version}")
    return Page(f"{model}: {title_of(name)}", _lead(report), sections, crumbs(model, back), model=model)


def _asked(visit: Visit) -> tuple[Span, int]:
    by, most = visit.one("by", "window"), visit.number("windows") or _COUNTS[0]
    if by not in _SPANS or most not in _COUNTS:
        raise InvalidInput(
            f"a trend is by one of {', '.join(_SPANS)} over {_COUNTS[0]} or {_COUNTS[1]} of them, "
            f"not by {by[:40]!r} over {most}"
        )
    return cast(Span, by), most


def _lead(report: Document) -> str:
    says = meaning_of(report["feature"]["name"]).says
    found = verdict(report["feature"])
    return f"{says} {found or 'The newest window cannot be judged: it takes 50 rows and a calibrated bundle.'}"


def _now(report: Document) -> list[Part]:
    feature = report["feature"]
    figure = spread_figure(feature)
    parts: list[Part] = [figure] if figure else [Markup(f'<p class="soft">{_no_bins(feature)}</p>')]
    rows: list[list[Cell]] = [_split_row(feature, split) for split in SPLITS if feature[split]]
    levels = ["mean", *(f"{level:.0%}" for level in histogram.QUANTILES)]
    columns = ["rows of", "rows", *(feature["categories"][:MOST_CLASSES] or levels)]
    return [*parts, Table("splits", "Training, evaluation and the newest window", columns, rows)] if rows else parts


def _no_bins(feature: Document) -> str:
    kept = "sums alone" if feature["kind"] != "tokens" else "hashed buckets that cannot be read back"
    return f"Of this feature a bundle and its windows keep {kept}, so there is a distance and no distribution to show."


def _split_row(feature: Document, split: str) -> list[Cell]:
    counts = feature[split]
    if shares := class_shares(feature, split) if feature["categories"] else None:
        return [NAMES[split], int(sum(counts)), *(content.share(share) for share in shares[:MOST_CLASSES])]
    quantiles = (
        [None] * len(histogram.QUANTILES) if histogram.is_flag(feature) else histogram.quantiles_of(feature, counts)
    )
    return [NAMES[split], int(sum(counts)), cell(feature, histogram.mean_of(feature, counts)), *quantiles]


def _trend(report: Document, by: str, most: int, version: int | None) -> list[Part]:
    points = report["trend"]
    parts: list[Part] = [_chooser(by, most, version)]
    judged = [point for point in points if point["score"] is not None]
    if len(judged) > 1:
        xs = [float(number - len(judged) + 1) for number in range(len(judged))]
        series = [Series(name, xs, [p[key] for p in judged]) for name, key in _DISTANCES]
        title, beyond = "Distance from the reference", sum(point["drifted"] for point in judged)
        note = f"Drift-free rows of that number stay below the band's edge; {beyond} of {len(judged)} lie beyond it."
        parts.append(Figure(title, lines(title, series, f"{by}s, 0 is the newest", "distance", from_zero=True), note))
    parts += _values(report["feature"], points, by)
    return [*parts, _trend_table(report["feature"], points, by)]


def _chooser(by: str, most: int, version: int | None) -> Markup:
    spans = {span: span for span in _SPANS}
    counts = {str(count): str(count) for count in _COUNTS}
    kept = [] if version is None else [("version", str(version))]
    asked = [Select("by", "A point for each", spans, by), Select("windows", "The newest", counts, str(most))]
    return form(asked, "Show", kept=kept)


def _values(feature: Document, points: Sequence[Document], by: str) -> list[Figure]:
    """The middle half of a number, or the share of each class, point by point."""
    counted = [point["counts"] for point in points if point["counts"] and sum(point["counts"])]
    if len(counted) < 2 or (not feature["edges"] and not feature["categories"]):
        return []
    xs = [float(number - len(counted) + 1) for number in range(len(counted))]
    named = f"{by}s, 0 is the newest"
    if feature["categories"]:
        title = "Share of each class"
        totals = [sum(counts) for counts in counted]
        shares = {
            name: [counts[place] / total for counts, total in zip(counted, totals, strict=True)]
            for place, name in enumerate(feature["categories"])
        }
        series = [Series(name, xs, ys) for name, ys in sorted(shares.items(), key=lambda one: -max(one[1])) if any(ys)]
    elif histogram.is_flag(feature):
        title = "Share of rows"
        series = [Series("share", xs, [histogram.mean_of(feature, counts) or 0.0 for counts in counted])]
    else:
        title = "Quartiles"
        found = [histogram.quantiles_of(feature, counts) for counts in counted]
        levels = ((3, "75 %"), (2, "median"), (1, "25 %"))
        series = [Series(name, xs, [row[place] or 0.0 for row in found]) for place, name in levels]
    return [Figure(title, lines(title, series, named, title_of(feature["name"])))]


def _trend_table(feature: Document, points: Sequence[Document], by: str) -> Table:
    rows: list[list[Cell]] = [
        [
            moment(point["started_at"]),
            point["rows"],
            _short(point["score"]),
            _short(point["threshold"]),
            mark(point),
            cell(feature, histogram.mean_of(feature, point["counts"])),
        ]
        for point in reversed(points)
    ]
    columns = ["began", "rows", "distance", "band to", "verdict", "mean"]
    empty = f"No {by} was counted yet; predictions make them."
    return Table("trend", f"By {by}, newest first", columns, rows, "Below 50 rows nothing is judged.", empty)


def _short(value: float | None) -> Cell:
    return None if value is None else Number(value, f"{value:.3f}")


def _by_class(report: Document) -> list[Part]:
    """The feature within each true label: boxes of a number, shares of a flag or of classes."""
    feature, labels, by_label = report["feature"], report["labels"], report["by_label"]
    if not labels:
        return [Markup('<p class="soft">The model answers vectors: there are no classes to tell apart.</p>')]
    if not by_label:
        known = bool(feature["edges"] or feature["categories"])
        why = f"{OLD} it by class." if known and not report["whole"] else _no_bins(feature)
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


def _meaning(report: Document) -> Markup:
    meaning = meaning_of(report["feature"]["name"])
    watched = "" if report["watched"] else " It raises no drift alarm."
    return Markup(f"<p>{content.text(meaning.says)} {content.text(meaning.computed)}{watched}</p>")


def _normal(report: Document) -> Table:
    rows: list[list[Cell]] = [
        [one["rows"], _short(one["typical"]), _short(one["threshold"])] for one in report["normal"]
    ]
    note = (
        "Measured at export by drawing drift-free windows of that many rows from the evaluation split; a window beyond "
        "the threshold is part of what raises an alarm. It moves with the alarm budget (false_alarm_days)."
    )
    empty = "The bundle carries no calibration: it was exported with fewer than 50 evaluation rows."
    columns = ["rows of a window", "typical distance", "threshold"]
    return Table("normal", "How far drift-free windows lie from the reference", columns, rows, note, empty)


def _others(report: Document) -> Markup:
    links = "".join(
        f'<li><a href="./{quote(name)}?version={report["version"]}">{content.text(title_of(name))}</a></li>'
        for name in report["others"]
        if name != report["feature"]["name"]
    )
    return Markup(f'<ul class="plain row">{links}</ul>')
