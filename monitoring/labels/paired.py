"""Paired comparison of two versions on the same labelled texts, and the rule by which a new one may take over. Pure.

A new version is refused on a set of texts when it is worse there by more than a stated margin and the paired test does
not put that down to chance: of two equally good versions the test alone would stop one in five, both rules together
fewer. What is told: both accuracies, the difference with its interval, and the test.
Before: both versions' answers; after: `tidegate retrain`, which deploys or stops.
Sources: McNemar 1947, exact and one-sided; the interval of a paired difference as in Agresti 2013, section 11.1.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb, sqrt

from tidegate.intervals import CONFIDENCE

CHANCE = 0.2
DEFAULT_MARGIN = 1.0  # points; about what the choice of 450 evaluation rows alone moves


@dataclass(frozen=True, slots=True)
class Compared:
    """Two versions on the same rows; shares in [0, 1].

    Attributes:
        won, lost: rows on which the new version alone, and the live one alone, is right.
        difference: new accuracy less live accuracy, with its 95 % interval.
        chance: of as many rows lost among those won or lost, were both equally good.
    """

    rows: int
    live: float
    new: float
    won: int
    lost: int
    difference: float
    low: float
    high: float
    chance: float


def compare(live: Sequence[bool], new: Sequence[bool]) -> Compared:
    """Compare by which rows each version is right on; one or more, in the same order."""
    rows = len(live)
    won = sum(b and not a for a, b in zip(live, new, strict=True))
    lost = sum(a and not b for a, b in zip(live, new, strict=True))
    difference = (won - lost) / rows
    half = CONFIDENCE * sqrt(max(won + lost - (won - lost) ** 2 / rows, 0.0)) / rows
    shares = (sum(live) / rows, sum(new) / rows)
    return Compared(
        rows, *shares, won, lost, difference, difference - half, difference + half, _at_least(lost, won + lost)
    )


def refusal(compared: Compared, margin: float) -> str:
    """Why the new version may not take over; empty when it may. `margin` is in points of accuracy."""
    if compared.difference * 100 >= -margin or compared.chance >= CHANCE:
        return ""
    return (
        f"it is right on {compared.new:.1%} of {compared.rows} texts, the live version on {compared.live:.1%}: "
        f"{-compared.difference * 100:.1f} points worse, {margin:g} are allowed, and chance makes so much in "
        f"{compared.chance:.1%} of cases"
    )


def _at_least(lost: int, decided: int) -> float:
    """Probability of `lost` heads or more in `decided` throws of a fair coin."""
    ways = sum(comb(decided, heads) for heads in range(lost, decided + 1))
    return float(ways / 2**decided)
