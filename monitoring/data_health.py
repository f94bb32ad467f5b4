"""Data health: the values of every feature in training, in evaluation and in a live window, over the same bins.

What a model was made for and what it gets, for people who look at data: the dashboard's views of data and of a feature.
Everything is counted already: the splits in the bundle (`splits`), windows and periods in the state database.
Before: `windows`, `periods`, `splits`; after: `tidegate.records.Monitor`. Limits: of live rows there are bins, no
values, so whoever draws finer than bins interpolates; words are counted from the texts that are still kept.
"""

from collections.abc import Sequence
from dataclasses import asdict
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Engine

from monitoring import alerts, contracts, detectors, examples, trends, words
from monitoring.alarm import limit_of
from monitoring.drift import FeatureScore, score
from monitoring.layout import Block, Floats
from monitoring.periods import SECONDS, Level, Stored
from monitoring.periods import read as read_periods
from monitoring.reference import Reference, load_reference
from monitoring.splits import Splits, read_splits
from monitoring.standing import newest
from monitoring.summary import Summary, together
from monitoring.windows import Key
from tidegate.bundle import Bundle
from tidegate.bundle_store import BundleStore
from tidegate.errors import InvalidInput, ItemNotFound
from tidegate.records import Span

LAST, ALERT = "last", "alert"
SIZES = (50, 100, 200, 500, 1_000, 2_000, 5_000)  # of windows, to show what is normal at each
MOST_POINTS = 100
_OFFERED = 20
_MOST_OPENED = 8  # some megabytes each

Document = dict[str, Any]


def data_report(database: Engine, bundles: BundleStore, budget_days: float, key: Key, window: str = LAST) -> Document:
    """Every feature in training, evaluation and one window, the furthest from the reference first.

    Args:
        database: the state database.
        bundles: where the version's bundle is.
        budget_days: days in which one false alarm may be.
        key: model and version.
        window: number of a window, `last`, or `alert` for those of the newest alert that is not resolved.

    Returns:
        `labels`, `whole` (false of bundles that keep no splits), `windows` to choose from, the `window` that was chosen
        (None where there is none), `features`, `truths` (rows a true label, the last of any other), `contracts` and
        `words`.

    Raises:
        InvalidInput: not such a window.
        ItemNotFound: no window of that number is kept.
        BundleCorrupt: the bundle cannot be read.
    """
    bundle, reference, splits = _opened(bundles, key)
    with database.connect() as connection:
        rows = newest(connection, key, reference, budget_days, _OFFERED)
        subject = _chosen(connection, database, key, window, [row.id for row in rows])
        summary = trends.merged(connection, reference, subject["ids"])
        limit = _limit(connection, key, reference, budget_days, summary.rows)
        texts = examples.kept_texts(connection, subject["ids"])
    scores = {one.name: one for one in score(summary, reference, limit).features}
    found = [_feature(block, reference, splits, summary, scores) for block in _shown(reference)]
    order = list(scores) or [feature["name"] for feature in found]
    return {
        "model": key[0],
        "version": key[1],
        "labels": list(reference.document.labels),
        "whole": splits.whole,
        "windows": [trends.place(row) | {"open": row.open, "status": row.status} for row in reversed(rows)],
        "window": subject | {"rows": int(summary.rows)} if subject["ids"] else None,
        "features": sorted(found, key=lambda feature: order.index(feature["name"])),
        "truths": _truths(splits),
        "contracts": [
            asdict(breach) | {"message": breach.message} for breach in contracts.breaches(summary, reference)
        ],
        "words": _words(bundle, texts),
    }


def feature_report(
    database: Engine, bundles: BundleStore, budget_days: float, key: Key, feature: str, by: Span, most: int
) -> Document:
    """One feature in depth: as in `data_report` with the last window, by class, what is normal, and its trend.

    Args:
        database: the state database.
        bundles: where the version's bundle is.
        budget_days: days in which one false alarm may be.
        key: model and version.
        feature: its name.
        by: what each point of the trend is.
        most: points of the trend, the newest; 100 at most.

    Raises:
        ItemNotFound: the reference has no such feature.
        BundleCorrupt: the bundle cannot be read.
    """
    _, reference, splits = _opened(bundles, key)
    blocks = {block.feature: block for block in _shown(reference)}
    if feature not in blocks:
        raise ItemNotFound(f"no feature {feature[:80]!r} of {key[0]}/{key[1]}; it has: {', '.join(blocks)}")
    block, most = blocks[feature], min(most, MOST_POINTS)
    with database.connect() as connection:
        rate = detectors.read(connection, key, reference.layout.width)[0].rate(budget_days)
        history = _windows(connection, key, reference, budget_days, most)
        points = history if by == "window" else _periods(read_periods(connection, key), by)[-most:]
        fitting = [(at, one) for at, one in points if len(one.sums) == reference.layout.width]
    last = history[-1][1] if history else Summary.empty(reference.layout.width)
    scores = {one.name: one for one in score(last, reference, limit_of(reference, last.rows, rate)).features}
    return {
        "model": key[0],
        "version": key[1],
        "labels": list(reference.document.labels),
        "whole": splits.whole,
        "others": list(blocks),
        "watched": block.watched,
        "feature": _feature(block, reference, splits, last, scores),
        "by_label": {
            "training": splits.training.by_label[:, block.place].tolist(),
            "evaluation": splits.evaluation.by_label[:, block.place].tolist(),
        }
        if splits.whole and block.feature in reference.layout.bins
        else {},
        "normal": _normal(reference, block, rate),
        "trend": [_point(at, one, block, reference, rate) for at, one in fitting],
    }


@lru_cache(maxsize=_MOST_OPENED)  # published versions never change, and verifying one reads all its bytes
def _opened(bundles: BundleStore, key: Key) -> tuple[Bundle, Reference, Splits]:
    bundle = bundles.load(*key)
    reference = load_reference(bundle)
    return bundle, reference, read_splits(bundle, reference)


def _shown(reference: Reference) -> list[Block]:
    return [block for block in reference.layout.blocks if block.kind != "accuracy"]


def _chosen(connection: Connection, database: Engine, key: Key, window: str, newest_ids: Sequence[int]) -> Document:
    """Which windows are meant, and what to call them."""
    if window == LAST:
        return {"name": "the newest window", "ids": newest_ids[-1:]}
    if window == ALERT:
        open_ones = [one for one in alerts.list_alerts(database, key[0]) if one.version == key[1]]
        first = next((one for one in open_ones if one.state != "resolved"), None)
        return {"name": f"alert {first.id}" if first else "no alert", "ids": list(first.window_ids) if first else []}
    if not (window.isascii() and window.isdigit() and len(window) <= 9):
        raise InvalidInput(f"window is a number, {LAST!r} or {ALERT!r}, not {window[:40]!r}")
    if not trends.known(connection, key, int(window)):
        raise ItemNotFound(f"no window {window} of {key[0]}/{key[1]} is kept")
    return {"name": f"window {window}", "ids": [int(window)]}


def _limit(connection: Connection, key: Key, reference: Reference, budget_days: float, rows: float) -> float:
    detector, _ = detectors.read(connection, key, reference.layout.width)
    return limit_of(reference, rows, detector.rate(budget_days))


def _feature(
    block: Block, reference: Reference, splits: Splits, window: Summary, scores: dict[str, FeatureScore]
) -> Document:
    """Counts over bins where the feature has some, and how far the window is from the reference."""
    bins, one = reference.layout.bins.get(block.feature), scores.get(block.feature)
    found: Document = {
        "name": block.feature,
        "kind": block.kind,
        "edges": list(bins.edges) if bins else [],
        "categories": [*bins.categories, "other"] if bins and bins.categories else [],
        "centers": list(bins.centers) if bins else [],
        "training": None,
        "evaluation": None,
        "window": None,
        "mean": {"reference": reference.shown(block, reference.summary), "window": one.window if one else None},
        "score": one.score if one else None,
        "threshold": one.threshold if one else None,
        "surprise": one.surprise if one else None,
        "drifted": bool(one and one.drifted),
    }
    if bins is None:
        return found
    live = window.sums[block.place] if window.rows else None
    parts = {"training": splits.training.counts(block), "evaluation": splits.evaluation.counts(block), "window": live}
    return found | {name: None if counts is None else counts.tolist() for name, counts in parts.items()}


def _truths(splits: Splits) -> Document:
    """Rows a true label in each split; empty where labels are not known."""
    parts = {"training": splits.training.label_rows, "evaluation": splits.evaluation.label_rows}
    return {name: rows.tolist() for name, rows in parts.items() if rows[:-1].any()}


def _words(bundle: Bundle, texts: Sequence[str]) -> Document:
    """The most frequent words of training and of the window's kept texts, and those that moved."""
    table = words.read_words(bundle.path)
    now = words.count_words(texts)
    return {
        "training": _frequent(table) if table else [],
        "window": _frequent(now),
        "texts": now.documents,
        "repeated": now.documents - len(set(texts)),
        "moved": asdict(words.moved_words(table, texts)) if table else {"new": [], "gone": []},
    }


def _frequent(table: words.WordTable) -> list[Document]:
    most = list(table.words.items())[: words.SHOWN]
    return [{"word": word, "share": count / max(table.documents, 1)} for word, count in most]


def _windows(
    connection: Connection, key: Key, reference: Reference, budget_days: float, most: int
) -> list[tuple[Document, Summary]]:
    """The newest windows with their sums, oldest first."""
    rows = newest(connection, key, reference, budget_days, most)
    return [(trends.place(row), trends.merged(connection, reference, [row.id])) for row in rows]


def _periods(stored: Sequence[Stored], by: Level) -> list[tuple[Document, Summary]]:
    """Minutes merged into hours or days; what is coarser already stays as it is."""
    merged: dict[tuple[float, float], Summary] = {}
    for one in stored:
        seconds = max(SECONDS[one.period.level], SECONDS[by])
        at = (one.period.started_at // seconds * seconds, seconds)
        merged[at] = together(merged[at], one.summary) if at in merged else one.summary
    return [
        ({"id": None, "started_at": start, "ended_at": start + seconds, "rows": int(summary.rows)}, summary)
        for (start, seconds), summary in sorted(merged.items(), key=lambda pair: pair[0])
    ]


def _point(at: Document, summary: Summary, block: Block, reference: Reference, rate: float) -> Document:
    """One place of the trend; `score` is None below 50 rows."""
    scored = score(summary, reference, limit_of(reference, summary.rows, rate)).features
    one = next((feature for feature in scored if feature.name == block.feature), None)
    counts: Floats | None = summary.sums[block.place] if block.feature in reference.layout.bins else None
    return at | {
        "score": one.score if one else None,
        "threshold": one.threshold if one else None,
        "drifted": bool(one and one.drifted),
        "counts": None if counts is None else counts.tolist(),
    }


def _normal(reference: Reference, block: Block, rate: float) -> list[Document]:
    """The distance of drift-free windows, and the threshold, at some sizes."""
    if not reference.calibrated:
        return []
    place = reference.layout.blocks.index(block)
    return [
        {
            "rows": rows,
            "typical": float(reference.calibration.typical(rows)[place]),
            "threshold": float(reference.calibration.threshold(limit_of(reference, rows, rate), rows)[place]),
        }
        for rows in SIZES
    ]
