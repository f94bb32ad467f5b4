"""Figures and rows of a feature in training, evaluation and live: what the views of data and of a feature share.

Before: the documents of `monitoring.data_health`; after: those views. A split that is not known is left out.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from demos.dashboard import content, histogram, spreads
from demos.dashboard.content import Cell, Figure, Mark, Markup, Number
from demos.dashboard.spreads import Group

Document = Mapping[str, Any]

SPLITS = ("training", "evaluation", "window")
MOST_CLASSES = 12
_BEYOND = 0.02  # share of a split beyond the axis that deserves a word


def title_of(name: str) -> str:
    """A feature's name as people read it."""
    return name.replace("_", " ")


def spread_figure(feature: Document) -> Figure | None:
    """The splits of a feature over each other; None where it has no bins or nothing was counted."""
    title = title_of(feature["name"])
    if feature["categories"]:
        return _classes(feature, title)
    if histogram.is_flag(feature):
        return flag_figure(title, [feature])
    found = histogram.steps_of(feature)
    if found is None:
        return None
    notes = [_beyond(split, found) for split in found.shares]
    note = " ".join([verdict(feature), *filter(None, notes)])
    return Figure(_caption(feature, title), spreads.steps(f"{title}: distribution", found, title), note)


def no_bins(feature: Document) -> str:
    """Why there is no distribution of a feature to show."""
    kept = "sums alone" if feature["kind"] != "tokens" else "hashed buckets that cannot be read back"
    return f"Of this feature a bundle and its windows keep {kept}, so there is a distance and no distribution to show."


def short(value: float | None) -> Cell:
    """A distance as a cell."""
    return None if value is None else Number(value, f"{value:.3f}")


def grid_of(figures: Sequence[Figure]) -> Markup:
    """Many figures, smaller than those of a page's own grid."""
    drawn = "".join(
        f"<figure><figcaption>{content.text(each.caption)}</figcaption>{each.svg}"
        f'<p class="soft">{content.text(each.note)}</p></figure>'
        for each in figures
    )
    return Markup(f'<div class="grid dense">{drawn}</div>')


def flag_figure(title: str, features: Sequence[Document]) -> Figure | None:
    """Shares of rows in which each of some flags is set; None where nothing was counted."""
    rows = [(title_of(one["name"]), [histogram.mean_of(one, one[split]) for split in SPLITS]) for one in features]
    known = [row for row in rows if any(share is not None for share in row[1])]
    return Figure(title, _groups(title, known), verdict(features[0]) if len(features) == 1 else "") if known else None


def verdict(feature: Document) -> str:
    """How far the window is from the reference, in words."""
    if feature["score"] is None:
        return ""
    place = "beyond its band" if feature["drifted"] else "within its band"
    return f"Distance {feature['score']:.3f}, band to {feature['threshold']:.3f}: {place}."


def mark(feature: Document) -> Cell:
    """The same as a cell."""
    if feature["score"] is None:
        return None
    return Mark("beyond its band", "bad") if feature["drifted"] else Mark("within its band", "good")


def class_shares(feature: Document, split: str) -> list[float] | None:
    """Share of each category; None where the split is not known."""
    counts: Sequence[float] | None = feature[split]
    if not counts or not sum(counts):
        return None
    return [count / sum(counts) for count in counts]


def share_figure(title: str, rows: Sequence[tuple[str, Sequence[float | None]]], splits: Sequence[str]) -> Figure:
    """Shares of named rows in splits."""
    return Figure(title, spreads.groups(title, [Group(name, shares) for name, shares in rows], splits))


def cell(feature: Document, value: float | None) -> Cell:
    """A value of a feature: a share where it is 0 or 1 alone."""
    return content.share(value) if histogram.is_flag(feature) else value


def _classes(feature: Document, title: str) -> Figure | None:
    known = {split: shares for split in SPLITS if (shares := class_shares(feature, split)) is not None}
    if not known:
        return None
    names = feature["categories"]
    largest = [max(shares[place] for shares in known.values()) for place in range(len(names))]
    order = sorted((place for place in range(len(names)) if largest[place] > 0), key=lambda place: -largest[place])
    rows = [(names[place], [known[s][place] if s in known else None for s in SPLITS]) for place in order[:MOST_CLASSES]]
    return _grouped(feature, title, rows)


def _grouped(feature: Document, title: str, rows: Sequence[tuple[str, Sequence[float | None]]]) -> Figure:
    return Figure(_caption(feature, title), _groups(f"{title}: shares", rows), verdict(feature))


def _groups(title: str, rows: Sequence[tuple[str, Sequence[float | None]]]) -> str:
    """Splits that no row knows are left out."""
    shown = [place for place, _ in enumerate(SPLITS) if any(shares[place] is not None for _, shares in rows)]
    groups = [Group(name, [shares[place] for place in shown]) for name, shares in rows]
    return spreads.groups(title, groups, [SPLITS[place] for place in shown])


def _caption(feature: Document, title: str) -> str:
    return f"{title} ▲" if feature["drifted"] else title


def _beyond(split: str, found: histogram.Steps) -> str:
    name, low, high = spreads.NAMES[split], found.below[split], found.above[split]
    if high > _BEYOND:
        return f"{high:.0%} of {name} lies above the axis."
    return f"{low:.0%} of {name} lies below the axis." if low > _BEYOND else ""
