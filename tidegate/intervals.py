"""Intervals of shares: how sure a share is that was counted on so many rows.

Before: whatever counts (labels, behavioural tests); after: whoever decides by it.
Source: Wilson 1927, "Probable inference, the law of succession, and statistical inference".
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
