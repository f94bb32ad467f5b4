"""A feature over time, for its view: the distance against its band, and what the values did.

By windows or merged periods (`?by=window|minute|hour|day`), the newest of them (`?windows=20|100`).
Before: the document of `Monitor.feature`; after: `feature`.
"""

from collections.abc import Mapping, Sequence
from typing import Any, cast, get_args

from demos.dashboard import histogram
from demos.dashboard.content import Cell, Figure, Markup, Part, Table
from demos.dashboard.data_figures import cell, mark, short, title_of
from demos.dashboard.forms import Select, form
from demos.dashboard.plots import Series, lines
from demos.dashboard.visit import Visit
from tidegate.errors import InvalidInput
from tidegate.moments import moment
from tidegate.records import Span

Document = Mapping[str, Any]

_SPANS = get_args(Span)
_COUNTS = (20, 100)
_DISTANCES = (("distance", "score"), ("edge of the band", "threshold"))


def asked(visit: Visit) -> tuple[Span, int]:
    """What a point is of, and how many.

    Raises:
        InvalidInput: not a trend that there is.
    """
    by, most = visit.one("by", "window"), visit.number("windows") or _COUNTS[0]
    if by not in _SPANS or most not in _COUNTS:
        raise InvalidInput(
            f"a trend is by one of {', '.join(_SPANS)} over {_COUNTS[0]} or {_COUNTS[1]} of them, "
            f"not by {by[:40]!r} over {most}"
        )
    return cast(Span, by), most


def trend(report: Document, by: str, most: int, version: int | None) -> list[Part]:
    """Distance and values point by point, as figures and a table.

    Args:
        report: what `Monitor.feature` answers.
        by: what a point is of: window, minute, hour or day.
        most: how many points were asked for.
        version: that was asked for; None for the champion.
    """
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
            short(point["score"]),
            short(point["threshold"]),
            mark(point),
            cell(feature, histogram.mean_of(feature, point["counts"])),
        ]
        for point in reversed(points)
    ]
    columns = ["began", "rows", "distance", "band to", "verdict", "mean"]
    empty = f"No {by} was counted yet; predictions make them."
    return Table("trend", f"By {by}, newest first", columns, rows, "Below 50 rows nothing is judged.", empty)
