"""Accuracy without labels: how often a window's answers are right, with an interval, or that nobody can tell.

Two estimators: the mean chance of being right (`correctness`; NannyML's CBPE with more to go by), and ATC, the share
of answers surer than a threshold. Each row gives `columns`; a window keeps their sums, which add up over windows,
workers and machines. Where only the frequencies of the classes have changed, `class_shift` corrects for it.
Before: `features`; fitted by `accuracy_fit` at export; after: windows, `finding`, metrics, the report.
Limits: blind to concept drift (labels that mean something else now), as anything without labels is: see `labelled`.
Source: Garg et al. 2022 (ATC, and why no estimate can be trusted everywhere).
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from monitoring.class_shift import ClassShift
from monitoring.correctness import Correctness
from monitoring.evidence import Evidence
from monitoring.features import Rows
from tidegate.bundle import Part
from tidegate.intervals import CONFIDENCE

Floats = NDArray[np.float64]

MIN_ROWS = 50  # below it neither a fit nor a window shows anything
WIDEST = 0.12  # an estimate less sure than this either way helps nobody
BASE_ERROR = 0.01  # of an estimate where no shift is seen
_NOISE = 4.0  # standard errors of a mean: of some thirty numbers none strays further by chance
_NORMAL = 3.0  # standard deviations within which the two estimators lie


class Bounds(Protocol):
    """An accuracy with its 95 % interval, shares in [0, 1], and whether to act upon it."""

    @property
    def accuracy(self) -> float:
        """The share itself."""
        ...

    @property
    def low(self) -> float:
        """Lower end."""
        ...

    @property
    def high(self) -> float:
        """Upper end."""
        ...

    @property
    def trusted(self) -> bool:
        """Whether it says anything."""
        ...


@dataclass(frozen=True, slots=True)
class Estimate:
    """Estimated accuracy of some rows; shares in [0, 1].

    Attributes:
        accuracy: expected share of right answers.
        low, high: 95 % interval: sampling, calibration, and the errors that shifts of this size have caused.
        expected: mean chance of being right, before `class_shift`.
        atc: what the other estimator says.
        reference: accuracy of the evaluation split.
        trusted: false where nobody can tell; `why` says what speaks against it.
        error: standard error of the expected share, the rows' own chance left out: what labels are held against.
    """

    accuracy: float
    low: float
    high: float
    expected: float
    atc: float
    reference: float
    trusted: bool
    why: str
    error: float


class AccuracyReference(Part):
    """What estimating takes; part of the bundle's `drift.json`."""

    rows: int = Field(description="Evaluation rows.")
    accuracy: float = Field(description="Of the evaluation rows.")
    evidence: Evidence
    groups: int = Field(ge=1, le=3, description="How much of the evidence is used; see `Evidence.inputs`.")
    correctness: Correctness
    threshold: float = Field(description="ATC: as many evaluation answers are surer than this as are right.")
    classes: ClassShift
    shift_error: float = Field(description="Standard error of the estimate at the largest shift.")
    tried: tuple[tuple[float, float], ...] = Field((), description="Lowest and highest mean position tried, a number.")
    disagreement: float = Field(description="Standard deviation of ATC about the estimate in trials, less noise.")

    @property
    def width(self) -> int:
        """How many columns a row has."""
        return 2 + len(self.correctness.weights) + len(self.evidence.names) + self.classes.cells

    def columns(self, rows: Rows) -> Floats:
        """What each row adds to a window's sums, shape (rows, width).

        P(right); P(right) P(wrong) times each input; whether it is surer than the threshold; its position; 1 in the
        cell of its answer, 0 in the others.
        """
        position = self.evidence.position(rows)
        inputs = self.evidence.inputs(self.evidence.scores(rows), position, self.groups)
        right = self.correctness.chance(inputs)
        sure = rows.scores.max(axis=1) > self.threshold
        slope = (right * (1.0 - right))[:, None] * inputs
        return np.column_stack([right, slope, sure, position, self.classes.marks(rows.scores)])

    def chances(self, rows: Rows) -> Floats:
        """P(right) of each row, (rows,): what a label is held against."""
        chances: Floats = self.columns(rows)[:, 0]
        return chances

    def estimate(self, rows: float, sums: Floats) -> Estimate:
        """The estimate of `rows` rows whose columns add up to `sums`, shape (width,)."""
        if rows < MIN_ROWS:
            why = f"{rows:.0f} rows are too few; {MIN_ROWS} are needed"
            return Estimate(self.accuracy, 0.0, 1.0, self.accuracy, self.accuracy, self.accuracy, False, why, 0.5)
        ends = np.cumsum([1, len(self.correctness.weights), 1, len(self.evidence.names)])
        right, slope, sure, position, cells = np.split(sums / rows, ends)
        moved = self.classes.effect(cells * rows, position)
        accuracy = float(np.clip(right[0] + moved, 0.0, 1.0))
        error = self._error(slope, self.size(position, rows), moved)
        half = CONFIDENCE * float(np.sqrt(error**2 + slope[0] / rows))
        why = self._strange(position, rows) or self._doubt(half, abs(float(sure[0] - right[0])), rows)
        low, high = max(0.0, accuracy - half), min(1.0, accuracy + half)
        return Estimate(
            accuracy, low, high, float(right[0]), float(sure[0]), self.accuracy, trusted=not why, why=why, error=error
        )

    def size(self, position: Floats, rows: float) -> float:
        """How far a mean position lies from the evaluation split, less what noise does: from 0 to 1.

        At one standard deviation it is a half. Errors grow no further with distance: a text that is quite spoilt can
        hardly be judged worse.
        """
        noise = len(position) * (1.0 / rows + 1.0 / self.rows)
        away = float(np.sqrt(max(0.0, (position**2).sum() - noise)))
        return away / (1.0 + away)

    def _error(self, slope: Floats, size: float, moved: float) -> float:
        """From the fit, from shifts of this size, and a quarter of what class frequencies were corrected for."""
        fitted = slope @ np.asarray(self.correctness.covariance) @ slope
        return float(np.sqrt(fitted + BASE_ERROR**2 + (self.shift_error * size) ** 2 + (moved / 4.0) ** 2))

    def _strange(self, position: Floats, rows: float) -> str:
        """The number that has left what was tried by most; empty when none has."""
        low, high = np.array(self.tried).T
        beyond = np.maximum(low - position, position - high)
        worst = int(beyond.argmax())
        if beyond[worst] <= _NOISE / float(np.sqrt(rows)):
            return ""
        return f"{self.evidence.names[worst]} lies {beyond[worst]:.1f} standard deviations beyond all that was tried"

    def _doubt(self, half: float, gap: float, rows: float) -> str:
        """What else speaks against an estimate; empty when nothing does."""
        if half > WIDEST:
            return f"the interval is {2 * half:.0%} wide"
        normal = _NORMAL * float(np.sqrt(self.disagreement**2 + 0.25 / rows))
        return f"two estimators disagree by {gap:.1%}; up to {normal:.1%} is normal" if gap > normal else ""


@dataclass(frozen=True, slots=True)
class Finding:
    """A drop of accuracy that is worth waking somebody for; `drop` is a share in [0, 1]."""

    text: str
    drop: float


def finding(bounds: Bounds, reference: float, bearable: float, source: str = "estimated") -> Finding | None:
    """A page, where even the upper bound lies below the reference less the bearable drop.

    Args:
        bounds: an `Estimate`, or what labels tell (`labelled.Measured`); nothing is found in one not trusted.
        reference: accuracy of the evaluation split.
        bearable: share in (0, 1) (setting `accuracy_drop`).
        source: how the accuracy is known, for the text: estimated or labelled.
    """
    if not bounds.trusted or bounds.high >= reference - bearable:
        return None
    drop = reference - bounds.accuracy
    text = (
        f"{source} accuracy is {bounds.accuracy:.1%} (95 % interval {bounds.low:.1%} to {bounds.high:.1%}): "
        f"{drop:.1%} below the {reference:.1%} of the evaluation split, and {bearable:.1%} is bearable"
    )
    return Finding(text, drop)
