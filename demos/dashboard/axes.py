"""The axes of a plot: round ticks, and places in an SVG's own units.

What `plots` draws on. Pure; values are finite. Linear and base-10 logarithmic scales.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 480.0, 270.0
LEFT, RIGHT, TOP, BOTTOM = 56.0, 16.0, 20.0, 44.0
_SAME = 1e-9  # of a value: what differs by less differs by the arithmetic
_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)


@dataclass(frozen=True, slots=True)
class Scale:
    """From values to places between `start` and `end`.

    Attributes:
        low: the least value shown ...
        high: ... and the greatest; above `low`.
        start: where the least is, in units of the SVG.
        end: where the greatest is.
        log: logarithmic; then `low` is above 0.
    """

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def at(self, value: float) -> float:
        """Where a value is; beyond the ends, at the end."""
        low, high, here = (
            (math.log10(v) for v in (self.low, self.high, max(value, self.low)))
            if self.log
            else (self.low, self.high, value)
        )
        share = min(max((here - low) / (high - low), 0.0), 1.0)
        return round(self.start + share * (self.end - self.start), 1)

    def ticks(self, most: int = 6) -> list[float]:
        """Round values within, at most so many and two more."""
        if self.log:
            first, last = math.floor(math.log10(self.low)), math.floor(math.log10(self.high) + 1e-9)
            ticks = [times * 10.0**power for power in range(first, last + 1) for times in (1, 2, 5)]
            return [tick for tick in ticks if self.low * (1 - 1e-9) <= tick <= self.high * (1 + 1e-9)]
        step = _round_step((self.high - self.low) / most)
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [number * step for number in range(first, last + 1)]


def over(
    values: Sequence[float], start: float, end: float, *, log: bool = False, from_zero: bool = False, least: float = 0.0
) -> Scale:
    """A scale that shows all the values.

    Args:
        values: finite; one or more. Where logarithmic, above 0.
        start: place of the least.
        end: place of the greatest.
        log: logarithmic.
        from_zero: begin at 0, as lengths of bars must.
        least: how much to show at least, so that small differences look small; of linear scales.
    """
    low, high = min(values), max(values)
    if log:
        return Scale(_round_below(low / 1.1), _round_above(high * 1.1), start, end, log=True)
    low = min(low, 0.0) if from_zero else low
    span = high - low if high - low > _SAME * max(abs(low), abs(high)) else 0.0
    room = max(span * 0.05, (least - span) / 2) or abs(high) * 0.1 or 1.0
    return Scale(low if from_zero and low == 0 else low - room, high + room, start, end)


def drawn(x: Scale, y: Scale, x_name: str, y_name: str) -> str:
    """Both axes with grid lines, ticks and names."""
    parts = []
    for tick in y.ticks(5):
        at = y.at(tick)
        parts.append(f'<line class="rule" x1="{x.start}" x2="{x.end}" y1="{at}" y2="{at}"/>')
        parts.append(f'<text x="{x.start - 6}" y="{at + 4}" text-anchor="end">{shown(tick)}</text>')
    for tick in x.ticks():
        at = x.at(tick)
        parts.append(f'<line class="rule" x1="{at}" x2="{at}" y1="{y.start}" y2="{y.start + 4}"/>')
        parts.append(f'<text x="{at}" y="{y.start + 17}" text-anchor="middle">{shown(tick)}</text>')
    parts.append(f'<line class="axis" x1="{x.start}" x2="{x.end}" y1="{y.start}" y2="{y.start}"/>')
    middle = (x.start + x.end) / 2
    parts.append(f'<text x="{middle}" y="{y.start + 36}" text-anchor="middle">{escape(x_name)}</text>')
    parts.append(f'<text x="2" y="{y.end - 14}">{escape(y_name)}</text>')
    return "".join(parts)


def shown(value: float) -> str:
    """A tick as people write it: 0.25, 1,500, 2e+06."""
    if value and not 1e-4 <= abs(value) < 1e6:
        return f"{value:.3g}"
    return f"{round(value, 10):,.6g}" if abs(value) < 1_000 else f"{value:,.0f}"


def _round_below(value: float) -> float:
    """The next of 1, 2, 5, 10, 20, ... at or below a value."""
    power = 10.0 ** math.floor(math.log10(value))
    # A logarithm of nearly a whole number is rounded to it, and its power is above the value.
    return max((times * power for times in (1, 2, 5) if times * power <= value), default=power / 2)


def _round_above(value: float) -> float:
    power = 10.0 ** math.floor(math.log10(value))
    return min(times * power for times in (1, 2, 5, 10, 20) if times * power >= value)


def _round_step(step: float) -> float:
    power = 10.0 ** math.floor(math.log10(step))
    return next(power * times for times in _STEPS if power * times >= step * (1 - 1e-9))
