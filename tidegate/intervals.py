"""Intervals of shares: how sure a share is that was counted on so many rows.

Before: whatever counts (labels, behavioural tests, model health); after: whoever decides by it.
Sources: Wilson 1927, "Probable inference, the law of succession, and statistical inference"; Newcombe 1998, "Interval
estimation for the difference between independent proportions", method 10.
"""

from math import sqrt

CONFIDENCE = 1.96  # standard errors of a 95 % interval


def wilson(share: float, rows: float) -> tuple[float, float]:
    """Wilson's 95 % interval, within [0, 1], of a share of `rows` independent rows; all of [0, 1] where there are none.

    Args:
        share: in [0, 1].
        rows: 0 or more; a part of one where weighted rows are worth it.
    """
    if not rows:
        return 0.0, 1.0
    z = CONFIDENCE**2 / rows
    center = (share + z / 2.0) / (1.0 + z)
    half = sqrt(z * (share * (1.0 - share) + z / 4.0)) / (1.0 + z)
    return max(0.0, center - half), min(1.0, center + half)


def difference(first: float, first_rows: float, second: float, second_rows: float) -> tuple[float, float]:
    """Newcombe's 95 % interval, within [-1, 1], of one share less another, each of independent rows.

    Args:
        first: in [0, 1] ...
        first_rows: ... of 0 or more rows.
        second: the share that is taken off ...
        second_rows: ... and its rows.
    """
    low_first, high_first = wilson(first, first_rows)
    low_second, high_second = wilson(second, second_rows)
    gap = first - second
    down = sqrt((first - low_first) ** 2 + (high_second - second) ** 2)
    up = sqrt((high_first - first) ** 2 + (second - low_second) ** 2)
    return max(-1.0, gap - down), min(1.0, gap + up)
