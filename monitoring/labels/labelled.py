"""Labelled accuracy: what the labels of randomly drawn predictions say, alone and together with the estimate.

Alone: an unbiased share with Wilson's interval. Together: prediction-powered inference, the mean estimate of all rows
corrected by its mean error on the labelled ones, which is unbiased, too, and narrower where the estimate is good. And
a test of the estimate: where labels contradict it, the labels' meaning has changed and no estimate can tell.
Only draws of `random_stream` count; what callers report and what alerts select is biased by why it was chosen.
Before: `random_stream`, `relabel`; after: metrics, alerts, the report.
Sources: Wilson 1927; Angelopoulos et al. 2023, "Prediction-powered inference"; Hajek 1971 for unequal shares.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, select

from monitoring.accuracy import Estimate
from monitoring.labels.items import FINAL
from tidegate.intervals import CONFIDENCE, wilson
from tidegate.store import random_draws, relabel_items

MIN_LABELS = 10  # below it an interval covers half of what is possible
_LEAST_VARIANCE = 0.05  # of one answer: an error on a sure one must not decide alone


@dataclass(frozen=True, slots=True)
class Check:
    """A prediction drawn at random, whose true label is known.

    Attributes:
        right: whether the answer was the label.
        chance: of being right, as estimated without the label; None where nothing estimated it.
        share: with which it was drawn, in (0, 1].
    """

    right: bool
    chance: float | None
    share: float


@dataclass(frozen=True, slots=True)
class Measured:
    """Accuracy by labels with its 95 % interval; shares in [0, 1]. Not trusted below 10 labels."""

    rows: int
    accuracy: float
    low: float
    high: float

    @property
    def trusted(self) -> bool:
        """Whether there are labels enough."""
        return self.rows >= MIN_LABELS


def read(connection: Connection, model: str, version: int, since: float, until: float) -> list[Check]:
    """The labelled draws of a model version, drawn from `since` to before `until` (Unix seconds)."""
    query = (
        select(random_draws, relabel_items.c.label)
        .join(relabel_items, relabel_items.c.id == random_draws.c.item_id)
        .where(
            random_draws.c.model == model,
            random_draws.c.version == version,
            random_draws.c.drawn_at >= since,
            random_draws.c.drawn_at < until,
            relabel_items.c.state.in_(FINAL),
        )
        .order_by(random_draws.c.drawn_at, random_draws.c.prediction_id)
    )
    return [
        Check(row.predicted == row.label, row.chance, row.selection_probability) for row in connection.execute(query)
    ]


def measure(checks: Sequence[Check]) -> Measured:
    """Accuracy by labels alone; each counts by one over the share it was drawn with.

    Unequal weights make the labels worth fewer: `(sum of weights)^2 / sum of squared weights` (Kish).
    """
    if not checks:
        return Measured(0, 0.0, 0.0, 1.0)
    weight = _weights(checks)
    right = np.array([check.right for check in checks], dtype=np.float64)
    share, worth = float(weight @ right), float(1.0 / (weight**2).sum())
    low, high = wilson(share, worth)
    return Measured(len(checks), share, low, high)


def powered(estimate: Estimate, checks: Sequence[Check]) -> Measured:
    """Accuracy by labels and estimate together, of the rows that the estimate is of and that the draws came from.

    Draws that nothing was estimated of are left out.
    """
    known = [check for check in checks if check.chance is not None]
    if len(known) < MIN_LABELS:
        return Measured(len(known), estimate.expected, 0.0, 1.0)
    weight = _weights(known)
    right, chance = _columns(known)
    error = right - chance
    bias = float(weight @ error)
    floor = float(weight @ (chance * (1.0 - chance)))  # few labels may agree by luck
    variance = max(float(weight @ (error - bias) ** 2), floor) * float((weight**2).sum())
    half = CONFIDENCE * float(np.sqrt(variance * len(known) / (len(known) - 1)))
    share = float(np.clip(estimate.expected + bias, 0.0, 1.0))
    return Measured(len(known), share, max(0.0, share - half), min(1.0, share + half))


def reconciled(estimate: Estimate, checks: Sequence[Check]) -> Estimate:
    """The estimate, no longer trusted where labels contradict it at the 5 % level.

    Held against each other is the sum of standardised errors, to which what the estimate may err by is added; of 50
    labels it sees nine in ten changes of what labels mean, where a tenth of the answers or more become wrong.
    """
    known = [check for check in checks if check.chance is not None]
    if len(known) < MIN_LABELS:
        return estimate
    right, chance = _columns(known)
    variance = chance * (1.0 - chance)
    weight = 1.0 / np.sqrt(variance.clip(_LEAST_VARIANCE))
    spread = float(np.sqrt((weight**2 * variance).sum() + (weight.sum() * estimate.error) ** 2))
    gap = float((weight * (right - chance)).sum())
    if abs(gap) <= CONFIDENCE * spread:
        return estimate
    why = (
        f"{len(known)} random labels say {right.mean():.1%} where {chance.mean():.1%} was estimated: "
        "what the labels mean may have changed"
    )
    return replace(estimate, trusted=False, why=why)


def _weights(checks: Sequence[Check]) -> NDArray[np.float64]:
    """One over the share, scaled to add up to 1."""
    weight = np.array([1.0 / check.share for check in checks])
    scaled: NDArray[np.float64] = weight / weight.sum()
    return scaled


def _columns(checks: Sequence[Check]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Right or not, and the chance of it."""
    right = np.array([check.right for check in checks], dtype=np.float64)
    return right, np.array([check.chance for check in checks], dtype=np.float64)
