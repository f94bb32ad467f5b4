"""Drift: the distance of one window from the reference, feature by feature, against calibrated thresholds.

Before: a window's profile (`windows`) and the bundle's `reference`; after: `alerts`. A window whose every
distance stays below its threshold is `ok`; one with any above is `drift`, which happens to one drift-free
window in a hundred; so an alert asks for two of the last three (`confirmed`). Below 50 rows, or without
calibration, a window is `insufficient`: nothing is claimed about it.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from monitoring import profiles
from monitoring.bins import FeatureBins
from monitoring.calibration import MIN_ROWS
from monitoring.reference import Reference

Status = Literal["ok", "drift", "insufficient"]
CONFIRM_WINDOWS = 3
CONFIRM_DRIFTED = 2


@dataclass(frozen=True, slots=True)
class FeatureScore:
    """One feature of one window.

    Attributes:
        score: distance from the reference, in [0, 1].
        threshold: what the score exceeds only when something has changed, at this number of rows.
        drifted: score > threshold.
        reference: mean in the reference; for the class, share per class.
        window: the same of the window.
    """

    name: str
    score: float
    threshold: float
    drifted: bool
    reference: float | dict[str, float]
    window: float | dict[str, float]


@dataclass(frozen=True, slots=True)
class WindowScore:
    """One window; `features` is empty when insufficient, else sorted by score / threshold, worst first."""

    status: Status
    features: tuple[FeatureScore, ...] = ()

    def document(self) -> list[dict[str, Any]]:
        """The features as JSON takes them."""
        return [asdict(feature) for feature in self.features]


def score(profile: profiles.Profile, reference: Reference) -> WindowScore:
    """Score a window's profile; runs in the writer thread, as everything that touches whylogs."""
    if not reference.calibration.sizes:
        return WindowScore("insufficient")
    rows = profiles.row_count(profile, reference.features[0].name)  # embeddings have no label to count
    if rows < MIN_ROWS:
        return WindowScore("insufficient")
    features = [_score_feature(profile, bins, reference, rows) for bins in reference.features]
    features.sort(key=lambda feature: feature.score / feature.threshold, reverse=True)
    return WindowScore("drift" if any(feature.drifted for feature in features) else "ok", tuple(features))


def confirmed(statuses: Sequence[str]) -> bool:
    """Whether windows, oldest first, call for an alert: two of the last three drifted."""
    return list(statuses[-CONFIRM_WINDOWS:]).count("drift") >= CONFIRM_DRIFTED


def _score_feature(profile: profiles.Profile, bins: FeatureBins, reference: Reference, rows: int) -> FeatureScore:
    shares = _shares(profile, bins)
    distance = float(bins.distance(shares))
    threshold = reference.calibration.threshold(bins.name, rows)
    if bins.categories:
        before, now = _by_category(bins, np.asarray(bins.shares)), _by_category(bins, shares)
        return FeatureScore(bins.name, distance, threshold, distance > threshold, before, now)
    mean = profiles.mean(profile, bins.name)
    return FeatureScore(bins.name, distance, threshold, distance > threshold, bins.mean or 0.0, mean)


def _shares(profile: profiles.Profile, bins: FeatureBins) -> NDArray[np.float64]:
    if bins.categories:
        return bins.from_counts(profiles.category_counts(profile, bins.name))
    return bins.from_cumulative(profiles.cumulative_shares(profile, bins.name, bins.edges))


def _by_category(bins: FeatureBins, shares: NDArray[np.float64]) -> dict[str, float]:
    """Share per class; `other` stands for classes that the reference does not know, when there are any."""
    known = dict(zip(bins.categories, map(float, shares), strict=False))
    return known | ({"other": float(shares[-1])} if shares[-1] > 0 else {})
