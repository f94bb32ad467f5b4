"""Plots of model health: how sure the model is against how often it is right, shares with their intervals, thresholds.

Beside `plots`, which has none of these; drawn as there, with the classes of `page.css` and no script. What a threshold
moves carries the class `at`, which `health.js` shifts along the axis; without it, it stands where the address says.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from demos.dashboard import axes
from demos.dashboard.axes import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, Scale
from tidegate.health import Bin, Share
from tidegate.intervals import wilson

_COUNTS = 44.0  # room above a plot for a line of counts
_TOP = 1.1  # of an axis that ends at 1: its name stands above the last tick
_NAMES, _ROW = 190.0, 17.0
_MARKS = ("M-4 0a4 4 0 1 0 8 0a4 4 0 1 0 -8 0z", "M-4 -4h8v8h-8z", "M0 -5l5 9h-10z")
_CHARS = 23

SHARES = Scale(0.0, 1.0, LEFT, WIDTH - RIGHT)  # the x axis of what a threshold moves


@dataclass(frozen=True, slots=True)
class Measure:
    """One quantity of several things, as the recall of labels; None where there is none."""

    name: str
    shares: Sequence[Share | None]


def reliability(title: str, bins: Sequence[Bin]) -> str:
    """Share of right rows over mean confidence, by bins, with intervals, beside the line where both are equal."""
    y = Scale(0.0, _TOP, HEIGHT - BOTTOM, TOP + _COUNTS)
    parts = [axes.drawn(SHARES, y, "mean top probability", "share right")]
    parts.append(f'<line class="edge" x1="{SHARES.start}" y1="{y.start}" x2="{SHARES.end}" y2="{y.at(1.0)}"/>')
    said = []
    for each in bins:
        if not each.rows:
            continue
        right = each.right / each.rows
        low, high = wilson(right, each.rows)
        told = f"{each.low:.2f} to {each.high:.2f}: {each.rows} rows, {right:.1%} right, {each.confidence:.1%} sure"
        said.append(told)
        x = SHARES.at(each.confidence)
        parts.append(f'<line class="line s0 whole" x1="{x}" x2="{x}" y1="{y.at(low)}" y2="{y.at(high)}"/>')
        parts.append(_mark(0, x, y.at(right), told))
        middle = SHARES.at((each.low + each.high) / 2)
        parts.append(f'<text x="{middle}" y="{TOP + 4}" text-anchor="middle">{each.rows:,}</text>')
    parts.append(f'<text x="2" y="{TOP + 4}">rows</text>')
    return _svg(title, ". ".join(said), HEIGHT, parts)


def sureness(title: str, bins: Sequence[Bin], at: float | None) -> str:
    """Top probabilities of right rows, filled, and of wrong ones, as an outline: each as shares of their own kind."""
    right, wrong = sum(each.right for each in bins) or 1, sum(each.rows - each.right for each in bins) or 1
    shares = [(each.right / right, (each.rows - each.right) / wrong) for each in bins]
    y = Scale(0.0, max(max(pair) for pair in shares) * _TOP, HEIGHT - BOTTOM, TOP + 6)
    parts = [axes.drawn(SHARES, y, "top probability", "share of the right, of the wrong rows")]
    outline = [f"{SHARES.start},{y.start}"]
    for each, (good, bad) in zip(bins, shares, strict=True):
        left, end = SHARES.at(each.low), SHARES.at(each.high)
        told = f"{each.low:.2f} to {each.high:.2f}: {each.right} right, {each.rows - each.right} wrong"
        parts.append(
            f'<rect class="before" x="{left + 0.5}" y="{y.at(good)}" width="{end - left - 1:.1f}" '
            f'height="{y.start - y.at(good):.1f}"><title>{escape(told)}</title></rect>'
        )
        outline += [f"{left},{y.at(bad)}", f"{end},{y.at(bad)}"]
    parts.append(f'<polyline class="fault" points="{" ".join([*outline, f"{SHARES.end},{y.start}"])}"/>')
    if at is not None:
        parts.append(_threshold(at))
    likeliest = max(range(len(bins)), key=lambda place: shares[place][1])
    said = f"Most wrong rows have a top probability of {bins[likeliest].low:.2f} to {bins[likeliest].high:.2f}."
    return _svg(title, said, HEIGHT, parts)


def thresholds(
    title: str, cuts: Sequence[float], coverage: Sequence[float], precision: Sequence[Share | None], at: float
) -> str:
    """Coverage and precision at each threshold, the precision within its interval, and where the threshold is.

    Args:
        title: what is shown.
        cuts: thresholds in [0, 1], ascending; one or more.
        coverage: share of rows that each lets through.
        precision: of those; None where there are none.
        at: the threshold to mark.
    """
    y = Scale(0.0, _TOP, HEIGHT - BOTTOM, TOP + 6)
    parts = [axes.drawn(SHARES, y, "threshold", "share")]
    known = [(SHARES.at(cut), share) for cut, share in zip(cuts, precision, strict=True) if share is not None]
    upper = [f"{x},{y.at(share.high)}" for x, share in known]
    lower = [f"{x},{y.at(share.low)}" for x, share in reversed(known)]
    parts.append(f'<polygon class="band" points="{" ".join([*upper, *lower])}"/>')
    right = " ".join(f"{x},{y.at(share.value)}" for x, share in known)
    answered = " ".join(f"{SHARES.at(cut)},{y.at(share)}" for cut, share in zip(cuts, coverage, strict=True))
    parts += [f'<polyline class="line s{n}" points="{points}"/>' for n, points in enumerate((right, answered))]
    parts.append(_threshold(at))
    first, last = known[0][1], known[-1][1]
    said = f"Precision goes from {first.value:.1%} to {last.value:.1%}, coverage from {coverage[0]:.1%} down."
    return _svg(title, said, HEIGHT, parts, "chart medium") + _legend(("precision of what is answered", "coverage"))


def ranges(
    title: str, names: Sequence[str], measures: Sequence[Measure], x_name: str, *, whole: float | None = None
) -> str:
    """Shares with their intervals, a line each.

    Args:
        title: what they are of.
        names: of the things, one a group of lines.
        measures: one to three quantities of each of them.
        x_name: of the axis.
        whole: what they are held against, as a line from top to foot.
    """
    shares = [share for measure in measures for share in measure.shares if share is not None]
    least = min([each.low for each in shares] + ([] if whole is None else [whole]), default=0.0)
    x = Scale(max(0.0, round(least - 0.05, 1)) if least > 0.1 else 0.0, 1.0, _NAMES, WIDTH - RIGHT)
    step = _ROW * len(measures) + 6
    foot = TOP + step * len(names)
    parts = [_foot(x, foot, x_name)]
    if whole is not None:
        parts.append(f'<line class="edge" x1="{x.at(whole)}" x2="{x.at(whole)}" y1="{TOP - 4}" y2="{foot}"/>')
    for place, name in enumerate(names):
        top = TOP + place * step
        parts.append(
            f'<text x="{_NAMES - 8}" y="{top + step / 2 + 1}" text-anchor="end">{escape(_cut(name))}'
            f"<title>{escape(name)}</title></text>"
        )
        for number, measure in enumerate(measures):
            share = measure.shares[place]
            if share is not None:
                parts += _range(number, x, top + _ROW * (number + 0.5), share, f"{name}, {measure.name}")
    said = "; ".join(f"{name}: {_told(measures, place)}" for place, name in enumerate(names))
    legend = _legend([measure.name for measure in measures]) if len(measures) > 1 else ""
    return _svg(title, said, foot + BOTTOM, parts, "chart medium") + legend


def _foot(x: Scale, foot: float, name: str) -> str:
    """An axis below rows that have names and no scale."""
    parts = [f'<line class="axis" x1="{x.start}" x2="{x.end}" y1="{foot}" y2="{foot}"/>']
    for tick in x.ticks():
        at = x.at(tick)
        parts.append(f'<line class="rule" x1="{at}" x2="{at}" y1="{TOP - 4}" y2="{foot + 4}"/>')
        parts.append(f'<text x="{at}" y="{foot + 17}" text-anchor="middle">{axes.shown(tick)}</text>')
    middle = (x.start + x.end) / 2
    parts.append(f'<text x="{middle}" y="{foot + 36}" text-anchor="middle">{escape(name)}</text>')
    return "".join(parts)


def _told(measures: Sequence[Measure], place: int) -> str:
    pairs = ((measure.name, measure.shares[place]) for measure in measures)
    return ", ".join(f"{name} {share.value:.1%}" for name, share in pairs if share is not None)


def _range(kind: int, x: Scale, y: float, share: Share, name: str) -> list[str]:
    told = f"{name}: {share.value:.1%}, 95 % interval {share.low:.1%} to {share.high:.1%}"
    line = f'<line class="line s{kind} whole" x1="{x.at(share.low)}" x2="{x.at(share.high)}" y1="{y}" y2="{y}"/>'
    return [line, _mark(kind, x.at(share.value), y, told)]


def _threshold(at: float) -> str:
    place = SHARES.at(at)
    ends = f'data-start="{SHARES.start}" data-end="{SHARES.end}"'
    return f'<line class="at" x1="{place}" x2="{place}" y1="{TOP}" y2="{HEIGHT - BOTTOM}" {ends}/>'


def _mark(kind: int, x: float, y: float, told: str) -> str:
    return (
        f'<path class="dot s{kind}" transform="translate({x} {y:.1f})" d="{_MARKS[kind]}">'
        f"<title>{escape(told)}</title></path>"
    )


def _legend(names: Sequence[str]) -> str:
    items = "".join(
        f'<li><svg viewBox="-14 -6 28 12" class="chart" aria-hidden="true">'
        f'<line class="line s{number}" x1="-14" x2="14" y1="0" y2="0"/>'
        f'<path class="dot s{number}" d="{_MARKS[number]}"/></svg>{escape(name)}</li>'
        for number, name in enumerate(names)
    )
    return f'<ul class="legend">{items}</ul>'


def _svg(title: str, said: str, height: float, parts: Sequence[str], css: str = "chart") -> str:
    return (
        f'<svg class="{css}" viewBox="0 0 {WIDTH:g} {height:g}" role="img"><title>{escape(title)}</title>'
        f"<desc>{escape(said)}</desc>{''.join(parts)}</svg>"
    )


def _cut(name: str) -> str:
    return name if len(name) <= _CHARS else name[: _CHARS - 1] + "…"
