"""Model health: how a bundle's variants answered the evaluation texts, as counts: `health.json` of the bundle.

Written by the export (`exporters.health`) for each accepted variant; read by the dashboard. Counts of rows alone, no
text: of each true and answered label, of rows above a top probability and how many of those were right, and of slices
of the data on which the variant was worse than elsewhere. Every share that is derived here has a 95 % interval.
Limits: bundles exported before it existed, and embeddings, have none.
Sources: expected calibration error, Naeini et al. 2015 and Guo et al. 2017.
"""

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from tidegate.bundle import Bundle, Part, Sha256, read_document
from tidegate.intervals import difference, wilson

FILE = "health.json"
CALIBRATION_BINS = 10  # of equal width, as in Naeini et al. 2015
HUNDREDTHS = tuple(place / 100 for place in range(101))


@dataclass(frozen=True, slots=True)
class Share:
    """A share of rows in [0, 1], or a difference of two, with its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class LabelScores:
    """One label: how many rows have it, how many were answered with it, and what that makes; None where of nothing."""

    label: str
    support: int
    answered: int
    right: int
    precision: Share | None
    recall: Share | None
    f1: Share | None


@dataclass(frozen=True, slots=True)
class Bin:
    """Rows whose top probability lies in [low, high); in the last bin, 1 as well. `confidence` is their mean."""

    low: float
    high: float
    rows: int
    right: int
    confidence: float


@dataclass(frozen=True, slots=True)
class Reached:
    """Rows whose top probability is `at` or more: what a model with that threshold would answer."""

    at: float
    rows: int
    right: int


class Slice(Part):
    """A part of the evaluation data, on which the variant was right more or less often than on the rest."""

    kind: str = Field(description="What the data was divided by.")
    name: str = Field(description="Which part of it.")
    rows: int = Field(ge=1)
    right: int = Field(ge=0)
    adjusted_p: float = Field(ge=0, le=1, description="Fisher's p after Benjamini and Hochberg, over all slices tried.")


class VariantHealth(Part):
    """What one variant answered."""

    confusion: tuple[tuple[int, int, int], ...] = Field(
        description="True label, answered label (places in `labels`, threshold and fallback applied), rows; none of 0."
    )
    cuts: tuple[float, ...] = Field(description="Top probabilities, ascending; all hundredths are among them.")
    reached: tuple[int, ...] = Field(description="Rows whose top probability is a cut or more ...")
    right: tuple[int, ...] = Field(description="... how many of them have the most likely class as label ...")
    confidence: tuple[float, ...] = Field(description="... and the sum of their top probabilities.")
    slices: tuple[Slice, ...] = Field((), description="Those that lost most, by the interval's lower end.")
    slices_tried: int = Field(0, ge=0)

    @model_validator(mode="after")
    def _alike(self) -> Self:
        if not len(self.cuts) == len(self.reached) == len(self.right) == len(self.confidence):
            raise ValueError("cuts, reached, right and confidence are not of one length")
        if not set(HUNDREDTHS) <= set(self.cuts):
            raise ValueError("not all hundredths are among the cuts")
        return self

    @property
    def rows(self) -> int:
        """Evaluation rows."""
        return sum(count for *_, count in self.confusion)

    @property
    def hits(self) -> int:
        """Rows answered right."""
        return sum(count for true, answered, count in self.confusion if true == answered)

    @property
    def accuracy(self) -> Share:
        """Share of rows answered right, threshold and fallback label applied; the evidence's accuracy."""
        return _share(self.hits, self.rows)

    def at(self, threshold: float) -> Reached:
        """What a threshold lets through: counts at the first cut that is not below it."""
        place = min(bisect_left(self.cuts, threshold), len(self.cuts) - 1)
        return Reached(self.cuts[place], self.reached[place], self.right[place])

    def bins(self, count: int) -> list[Bin]:
        """The top probabilities in bins of equal width; `count` divides 100."""
        places = [bisect_left(self.cuts, HUNDREDTHS[number * 100 // count]) for number in range(count + 1)]
        return [self._bin(low, high) for low, high in pairwise(places)]

    def calibration_error(self, count: int = CALIBRATION_BINS) -> float:
        """Expected calibration error: mean gap between confidence and accuracy over bins, weighted by their rows."""
        return sum(abs(each.right - each.confidence * each.rows) for each in self.bins(count)) / self.rows

    def loss(self, part: Slice) -> Share:
        """Accuracy on the rest less that on a slice, above 0 where the slice is worse, with Newcombe's interval."""
        rest, rest_hits = self.rows - part.rows, self.hits - part.right
        elsewhere, here = rest_hits / rest if rest else 0.0, part.right / part.rows
        return Share(elsewhere - here, *difference(elsewhere, rest, here, part.rows))

    def _bin(self, low: int, high: int) -> Bin:
        """Rows between two cuts; the last one's own rows are part of the last bin."""
        last = high == len(self.cuts) - 1
        above = (0, 0, 0.0) if last else (self.reached[high], self.right[high], self.confidence[high])
        rows = self.reached[low] - above[0]
        mean = (self.confidence[low] - above[2]) / rows if rows else 0.0
        return Bin(self.cuts[low], self.cuts[high], rows, self.right[low] - above[1], mean)


class Health(Part):
    """`health.json`."""

    labels: tuple[str, ...] = Field(description="The model's classes, then a fallback label that is none of them.")
    rows: int = Field(ge=1)
    data_sha256: Sha256 = Field(description="Of the evaluation rows: bundles are compared only where it is the same.")
    variants: dict[str, VariantHealth] = Field(description="By name, the accepted ones.")

    @model_validator(mode="after")
    def _within(self) -> Self:
        for name, variant in self.variants.items():
            if variant.rows != self.rows:
                raise ValueError(f"variant {name} counts {variant.rows} rows, not {self.rows}")
            if any(not 0 <= place < len(self.labels) for *pair, _ in variant.confusion for place in pair):
                raise ValueError(f"variant {name} counts a label that there is not")
        return self

    def matrix(self, variant: str) -> list[list[int]]:
        """Rows by true and answered label, (labels, labels)."""
        counts = [[0] * len(self.labels) for _ in self.labels]
        for true, answered, count in self.variants[variant].confusion:
            counts[true][answered] = count
        return counts

    def label_scores(self, variant: str) -> list[LabelScores]:
        """Precision, recall and F1 of each label."""
        return list(self._label_scores(self.matrix(variant)))

    def _label_scores(self, counts: list[list[int]]) -> Iterator[LabelScores]:
        for place, label in enumerate(self.labels):
            support, answered = sum(counts[place]), sum(line[place] for line in counts)
            right = counts[place][place]
            yield LabelScores(
                label,
                support,
                answered,
                right,
                precision=_share(right, answered) if answered else None,
                recall=_share(right, support) if support else None,
                f1=_f1(right, support + answered - right) if support + answered else None,
            )


def write_health(health: Health, folder: Path) -> None:
    """Write it into a bundle's folder."""
    (folder / FILE).write_text(health.model_dump_json(), encoding="utf-8")


def read_health(bundle: Bundle) -> Health | None:
    """The health of a bundle; None for one that was exported without.

    Raises:
        BundleCorrupt: the file does not hold what it should.
    """
    return read_document(bundle, bundle.manifest.health, Health, "account of a model's health")


def _share(count: int, rows: int) -> Share:
    value = count / rows
    return Share(value, *wilson(value, rows))


def _f1(right: int, either: int) -> Share:
    """F1 = 2 J / (1 + J) of J, the share of rows with the label or answered with it that are both; rising with it."""
    jaccard = _share(right, either)
    value, low, high = (2.0 * each / (1.0 + each) for each in (jaccard.value, jaccard.low, jaccard.high))
    return Share(value, low, high)
