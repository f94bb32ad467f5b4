"""Drift: the distance of one window from the reference, feature by feature, against calibrated thresholds.

Before: a window's summary (`windows`) and the bundle's `reference`; after: `alarm`. A window whose largest surprise
stays below the limit is `ok`; one above is `drift`, and what an alarm makes of it is `alarm`'s business. Below 50
rows, or without calibration, a window is `insufficient`: nothing is claimed about it.
"""

from dataclasses import dataclass
from typing import Any, Literal

from monitoring.calibration import MIN_ROWS
from monitoring.layout import Block
from monitoring.reference import Reference
from monitoring.summary import Summary

Status = Literal["ok", "drift", "insufficient"]


@dataclass(frozen=True, slots=True)
class FeatureScore:
    """One feature of one window.

    Attributes:
        score: distance from the reference, 0 or more; see `layout.Distances`.
        threshold: what the score exceeds only when something has changed, at this number of rows.
        surprise: the score in standard deviations of drift-free windows of this size.
        drifted: surprise > the window's limit; never of a feature that is not watched.
        reference: mean in the reference; for classes, share per class; None where there is nothing to show.
        window: the same of the window.
    """

    name: str
    score: float
    threshold: float
    surprise: float
    drifted: bool
    reference: float | dict[str, float] | None
    window: float | dict[str, float] | None


@dataclass(frozen=True, slots=True)
class WindowScore:
    """One window; `features` is empty when insufficient, else sorted by surprise, worst first.

    Attributes:
        surprise: the largest of the watched features.
        limit: what it was held against.
    """

    status: Status
    features: tuple[FeatureScore, ...] = ()
    surprise: float = 0.0
    limit: float = 0.0

    def document(self) -> list[dict[str, Any]]:
        """The features as JSON takes them."""
        return [{name: getattr(feature, name) for name in FeatureScore.__slots__} for feature in self.features]


def score(summary: Summary, reference: Reference, limit: float, worth: float | None = None) -> WindowScore:
    """Hold a window against the reference.

    Args:
        summary: of the window.
        reference: of its model version.
        limit: surprise beyond which it has drifted; see `Calibration.window_limit`.
        worth: independent rows that it is worth, where that is not its count of rows (a window that forgets).
    """
    rows = summary.rows if worth is None else worth
    if not reference.calibrated or rows < MIN_ROWS:
        return WindowScore("insufficient")
    distances = reference.distances.of(summary.rows, summary.sums)
    surprise = reference.calibration.surprise(distances, rows)
    thresholds = reference.calibration.threshold(limit, rows)
    features = [
        _feature(block, reference, summary, (float(distance), float(threshold), float(one)), limit)
        for block, distance, threshold, one in zip(
            reference.layout.blocks, distances, thresholds, surprise, strict=True
        )
        if block.kind != "accuracy"
    ]
    features.sort(key=lambda feature: feature.surprise, reverse=True)
    largest = float(reference.layout.family(surprise))
    return WindowScore("drift" if largest > limit else "ok", tuple(features), largest, limit)


def _feature(
    block: Block, reference: Reference, summary: Summary, scored: tuple[float, float, float], limit: float
) -> FeatureScore:
    distance, threshold, surprise = scored
    before, now = reference.shown(block, reference.summary), reference.shown(block, summary)
    drifted = block.watched and surprise > limit
    return FeatureScore(block.feature, distance, threshold, surprise, drifted, before, now)
