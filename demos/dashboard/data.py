"""The view `/dashboard/models/{model}/data`: what the model was made for and what it gets, feature by feature.

Training, evaluation and one live window (`?window=ID|last|alert`) over each other; labels and answers; what is missing,
unseen or repeated; words; and the figures behind it. Before: `Monitor.data`; after: `page`.
Limits: tokens are counted in hashed buckets, which cannot be read back, so words stand in for them.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from starlette.concurrency import run_in_threadpool

from demos.dashboard import content, histogram
from demos.dashboard.content import Cell, Figure, Link, Markup, Number, Page, Part, Section, Table
from demos.dashboard.data_figures import SPLITS, cell, flag_figure, grid_of, mark, share_figure, spread_figure, title_of
from demos.dashboard.forms import Select, form
from demos.dashboard.spreads import NAMES
from demos.dashboard.version_pages import OLD, crumbs, unreadable, version_of
from demos.dashboard.visit import Visit
from tidegate.errors import BundleCorrupt, BundleNotFound
from tidegate.moments import moment

Document = Mapping[str, Any]

_RARE = 0.005  # a share that a bar does not show
_FIRST = 6  # features above the fold
_QUALITY = ("empty", "truncated", "duplicate", "unknown_rate", "abstained", "script")


async def data_health(visit: Visit) -> Page:
    """Distributions in training, evaluation and live, the one that moved most first.

    Raises:
        ModelNotFound: the model is not served.
        BundleNotFound: it has no such version.
        InvalidInput, ItemNotFound: no such window.
    """
    model = visit.path["model"]
    version = await version_of(visit)
    window = visit.one("window", "last")
    try:
        report = await run_in_threadpool(visit.gateway.monitor.data, model, version, window)
    except (BundleCorrupt, BundleNotFound) as error:
        return unreadable("Data", model, version, error)
    sections = [
        Section("", [_chooser(report, window, visit.number("version"))]),
        _distributions(report),
        *_labels(report),
        _quality(report),
        *_words(report),
        Section("Figures", [_summary(report)], _known(report)),
    ]
    return Page(f"{model}: data", _lead(report, window), sections, crumbs(model), model=model)


def _lead(report: Document, asked: str) -> str:
    window = report["window"]
    if window is None and asked == "alert":
        return "No alert of this version is open; what the model was trained and verified on is below."
    if window is None or not window["rows"]:
        return "No live row was counted yet; what the model was trained and verified on is below."
    named = f"{window['name']} ({window['rows']:,} rows)"
    if all(feature["score"] is None for feature in report["features"]):
        return f"{named[:1].upper()}{named[1:]} cannot be judged: it takes 50 rows and a calibrated bundle."
    beyond = [title_of(feature["name"]) for feature in report["features"] if feature["drifted"]]
    if not beyond:
        return f"In {named} every feature lies where the model expects it."
    return f"In {named} {len(beyond)} of {len(report['features'])} features are beyond their band: {', '.join(beyond)}."


def _chooser(report: Document, window: str, version: int | None) -> Markup:
    options = {"last": "the newest window", "alert": "the newest open alert"}
    options |= {str(one["id"]): _window_name(one) for one in report["windows"]}
    options.setdefault(window, f"window {window}")
    kept = [] if version is None else [("version", str(version))]
    return form([Select("window", "Live rows of", options, window)], "Show", kept=kept)


def _window_name(window: Document) -> str:
    state = "open" if window["open"] else window["status"]
    return f"window {window['id']}: {moment(window['ended_at'])[:16]}, {window['rows']} rows, {state}"


def _distributions(report: Document) -> Section:
    shown = [one for one in report["features"] if one["name"] != "label" and not histogram.is_flag(one)]
    figures = [figure for feature in shown if (figure := spread_figure(feature)) is not None]
    if not figures:
        return Section("Features", [Markup('<p class="soft">The bundle keeps no distribution of any feature.</p>')])
    parts: list[Part] = [*figures[:_FIRST]]
    if rest := figures[_FIRST:]:
        parts += [Markup("<h3>The others</h3>"), grid_of(rest)]
    lead = "Filled: training. Dashed: evaluation. Solid: live. What moved furthest comes first; ▲ is beyond its band."
    return Section("Features", parts, lead)


def _labels(report: Document) -> list[Section]:
    """True labels of the splits, and answers in evaluation and live."""
    labels = report["labels"]
    if not labels:
        return []
    parts: list[Part] = []
    truths = {split: _shares(rows) for split, rows in report["truths"].items()}
    if truths:
        rows = [(name, [shares[at] for shares in truths.values()]) for at, name in enumerate([*labels, "other"])]
        parts.append(share_figure("True labels", _largest(rows), list(truths)))
    answers = next((feature for feature in report["features"] if feature["name"] == "label"), None)
    figure = spread_figure(answers) if answers else None
    if figure is not None:
        parts.append(Figure("Answers", figure.svg, figure.note))
    if not truths:
        parts.append(Markup(f'<p class="soft">{OLD} its true labels here.</p>'))
    lead = "What people said the training and evaluation texts are, and what the model answers."
    return [Section("Labels and predictions", parts, lead)]


def _largest(rows: Sequence[tuple[str, list[float]]]) -> list[tuple[str, list[float | None]]]:
    ordered = sorted((row for row in rows if any(row[1])), key=lambda row: -max(row[1]))
    return [(name, [*shares]) for name, shares in ordered[:12]]


def _shares(rows: Sequence[float]) -> list[float]:
    return [count / max(sum(rows), 1.0) for count in rows]


def _quality(report: Document) -> Section:
    """What is not there, not known, or there again."""
    features = {feature["name"]: feature for feature in report["features"]}
    names = [name for name in features if name in _QUALITY or name.endswith(" missing")]
    rows = [_quality_row(features[name]) for name in names if _measured(features[name])]
    table = Table(
        "quality",
        "Missing, unseen and repeated",
        ["what", *(NAMES[split] for split in SPLITS)],
        rows,
        "Of scripts the share of rows in one that the reference has not; of unknown words their mean share of a text.",
        "The bundle keeps no such feature.",
    )
    broken = "".join(f"<li>{content.text(message)}</li>" for message in report["contracts"])
    parts: list[Part] = [Markup(f"<ul>{broken}</ul>")] if broken else []
    flags = [one for one in report["features"] if histogram.is_flag(one) and _seen(one)]
    if figure := flag_figure("Share of rows", flags):
        parts.append(figure)
    lead = "Bounds that the window breaks:" if broken else "No bound is broken by the window."
    return Section("Missing, unseen, repeated", [*parts, table], lead if report["window"] else "")


def _seen(flag: Document) -> bool:
    """Whether it is set in enough rows of any split to be drawn."""
    return any((histogram.mean_of(flag, flag[split]) or 0.0) >= _RARE for split in SPLITS)


def _measured(feature: Document) -> bool:
    return any(feature[split] for split in SPLITS)


def _quality_row(feature: Document) -> list[Cell]:
    name = f"{title_of(feature['name'])} unseen" if feature["categories"] else title_of(feature["name"])
    if feature["categories"]:
        found = [content.share(counts[-1] / sum(counts)) if (counts := feature[split]) else None for split in SPLITS]
    else:
        found = [content.share(histogram.mean_of(feature, feature[split])) for split in SPLITS]
    return [name, *found]


def _words(report: Document) -> list[Section]:
    words = report["words"]
    shown = (("training", "usual-words", "in training"), ("window", "live-words", "in the window"))
    tables = [
        Table(
            name,
            f"Most frequent words {where}",
            ["word", "share of texts"],
            [[one["word"], content.share(one["share"])] for one in words[split]],
            empty="No text of the window is kept; the setting keep_records says how many are."
            if split == "window"
            else "This version was exported before words were counted; export it again.",
        )
        for split, name, where in shown
    ]
    moved = [[one["word"], content.share(one["before"]), content.share(one["now"])] for one in _moved(words)]
    tables.append(
        Table(
            "moved-words",
            "Words that are new or gone beyond chance",
            ["word", "texts before", "texts now"],
            moved,
            empty="None among the texts that are kept.",
        )
    )
    lead = (
        f"Words are counted in the training texts at export (5,000 at most), and in the {words['texts']:,} texts "
        f"of the window that are still kept, {words['repeated']:,} of which repeat another. Tokens are counted in 256 "
        "hashed buckets, which cannot be read back."
    )
    return [Section("Words", tables, lead)]


def _moved(words: Document) -> list[Document]:
    return [*words["moved"]["new"], *words["moved"]["gone"]]


def _summary(report: Document) -> Table:
    columns = ["feature", "rows of", "rows", "mean", *(f"{level:.0%}" for level in histogram.QUANTILES)]
    rows = [row for feature in report["features"] for row in _summary_rows(feature, report)]
    return Table(
        "summary",
        "Every feature in every split",
        [*columns, "beyond training's range", "distance", "band to", "verdict"],
        rows,
        "Quantiles are interpolated in the bins that the bundle keeps (20 of the reference's quantiles), so they are "
        "as exact as a bin is narrow; a mean takes the reference's own mean of each bin.",
        "Nothing was counted.",
    )


def _summary_rows(feature: Document, report: Document) -> list[list[Cell]]:
    known = [split for split in SPLITS if feature[split]]
    version = f"?version={report['version']}"
    link = Link(title_of(feature["name"]), f"/dashboard/models/{report['model']}/features/{feature['name']}{version}")
    if not known:
        return [[link, NAMES["window"], *[None] * 8, *_judged(feature)]]
    return [
        [link, *_split_row(feature, split), *(_judged(feature) if split == "window" else [None] * 3)] for split in known
    ]


def _split_row(feature: Document, split: str) -> list[Cell]:
    counts = feature[split]
    flag = histogram.is_flag(feature)
    quantiles = [None] * len(histogram.QUANTILES) if flag else histogram.quantiles_of(feature, counts)
    beyond = None if flag or feature["categories"] else content.share(histogram.beyond_of(counts))
    return [NAMES[split], int(sum(counts)), cell(feature, histogram.mean_of(feature, counts)), *quantiles, beyond]


def _judged(feature: Document) -> list[Cell]:
    if feature["score"] is None:
        return [None, None, None]
    shown = [Number(feature[name], f"{feature[name]:.3f}") for name in ("score", "threshold")]
    return [*shown, mark(feature)]


def _known(report: Document) -> str:
    return "" if report["whole"] else f"{OLD} what is missing here."
