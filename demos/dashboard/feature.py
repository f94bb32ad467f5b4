"""The view `/dashboard/models/{model}/features/{feature}`: one feature in depth.

Its splits over each other, its trend (`feature_trend`), its classes (`feature_classes`), what is normal at which size,
and what it means. Before: `Monitor.feature`; after: `page`.
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from starlette.concurrency import run_in_threadpool

from demos.dashboard import content, histogram
from demos.dashboard.content import Cell, Link, Markup, Page, Part, Section, Table
from demos.dashboard.data_figures import (
    MOST_CLASSES,
    SPLITS,
    cell,
    class_shares,
    no_bins,
    short,
    spread_figure,
    title_of,
    verdict,
)
from demos.dashboard.feature_classes import by_class
from demos.dashboard.feature_trend import asked, trend
from demos.dashboard.spreads import NAMES
from demos.dashboard.version_pages import crumbs, unreadable, version_of
from demos.dashboard.visit import Visit
from monitoring.meanings import meaning_of
from tidegate.errors import BundleCorrupt, BundleNotFound

Document = Mapping[str, Any]


async def feature_health(visit: Visit) -> Page:
    """One feature of a model version.

    Raises:
        ModelNotFound, BundleNotFound, ItemNotFound: no such model, version or feature.
        InvalidInput: not a trend that there is.
    """
    model, name = visit.path["model"], visit.path["feature"]
    version = await version_of(visit)
    by, most = asked(visit)
    try:
        report = await run_in_threadpool(visit.gateway.monitor.feature, model, version, name, by, most)
    except (BundleCorrupt, BundleNotFound) as error:
        return unreadable("Feature", model, version, error)
    sections = [
        Section("Now", _now(report)),
        Section("Over time", trend(report, by, most, visit.number("version"))),
        Section("By class", by_class(report)),
        Section("What it means", [_meaning(report)]),
        Section("What is normal", [_normal(report)]),
        Section("Other features", [_others(report)]),
    ]
    back = Link("Data", f"/dashboard/models/{model}/data?version={version}")
    return Page(f"{model}: {title_of(name)}", _lead(report), sections, crumbs(model, back), model=model)


def _lead(report: Document) -> str:
    says = meaning_of(report["feature"]["name"]).says
    found = verdict(report["feature"])
    return f"{says} {found or 'The newest window cannot be judged: it takes 50 rows and a calibrated bundle.'}"


def _now(report: Document) -> list[Part]:
    feature = report["feature"]
    figure = spread_figure(feature)
    parts: list[Part] = [figure] if figure else [Markup(f'<p class="soft">{no_bins(feature)}</p>')]
    rows: list[list[Cell]] = [_split_row(feature, split) for split in SPLITS if feature[split]]
    levels = ["mean", *(f"{level:.0%}" for level in histogram.QUANTILES)]
    columns = ["rows of", "rows", *(feature["categories"][:MOST_CLASSES] or levels)]
    return [*parts, Table("splits", "Training, evaluation and the newest window", columns, rows)] if rows else parts


def _split_row(feature: Document, split: str) -> list[Cell]:
    counts = feature[split]
    if shares := class_shares(feature, split) if feature["categories"] else None:
        return [NAMES[split], int(sum(counts)), *(content.share(share) for share in shares[:MOST_CLASSES])]
    quantiles = (
        [None] * len(histogram.QUANTILES) if histogram.is_flag(feature) else histogram.quantiles_of(feature, counts)
    )
    return [NAMES[split], int(sum(counts)), cell(feature, histogram.mean_of(feature, counts)), *quantiles]


def _meaning(report: Document) -> Markup:
    meaning = meaning_of(report["feature"]["name"])
    watched = "" if report["watched"] else " It raises no drift alarm."
    return Markup(f"<p>{content.text(meaning.says)} {content.text(meaning.computed)}{watched}</p>")


def _normal(report: Document) -> Table:
    rows: list[list[Cell]] = [[one["rows"], short(one["typical"]), short(one["threshold"])] for one in report["normal"]]
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
