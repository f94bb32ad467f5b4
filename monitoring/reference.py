"""The reference: what a model's inputs and predictions look like when nothing has drifted.

Built once at export, in the export environment, and kept in the bundle: `reference.bin` (a whylogs profile,
mergeable and readable by whylogs itself), `drift.json` (bins and calibration) and `drift.npz` (sums and kernel): all
that scoring needs. Features of the text alone come from the training texts; features that depend on what was fitted
to those texts (vocabulary, tokens, embedding, confidences) come from the evaluation split, on which nothing was fitted.
Before: `features`, `layout`; after: `calibration` here, `drift`, `alarm` where the model serves.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, Final, Literal
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError

from monitoring.accuracy import AccuracyReference, Estimate
from monitoring.bins import FeatureBins
from monitoring.calibration import Calibration
from monitoring.features import Rows, Seen, derive
from monitoring.kernel import Kernel
from monitoring.layout import ACCURACY, EMBEDDING, TOKENS, Block, Distances, Floats, Layout
from monitoring.summary import Summary
from tidegate.bundle import Bundle, Part, first_fault
from tidegate.bundle_store import BundleStore
from tidegate.errors import BundleCorrupt
from tidegate.records import Record

CALIBRATION = "drift.json"
ARRAYS = "drift.npz"
WHITENING = "whitening"  # of its arrays; references made before there was one have none, and work as they did
SCHEMA_VERSION: Final = 2
# Of the farthest copies, which are hardly texts any more: beyond it words are others, and nobody knows what they mean.
STRANGE = 0.5

Arrays = dict[str, NDArray[Any]]


class Document(Part):
    """`drift.json`."""

    schema_version: Literal[2] = SCHEMA_VERSION
    labels: tuple[str, ...] = ()
    bins: tuple[FeatureBins, ...] = ()
    calibration: Calibration = Calibration()
    accuracy: AccuracyReference | None = None
    tried: dict[str, float] = Field(
        {}, description="Farthest that corrupted copies lay, a feature, less what is normal: where accuracy was tried."
    )


class Reference:
    """All that is needed to score windows of one model version.

    Attributes:
        document, arrays: what it is made of, as the bundle's files hold it.
        known: whether there is anything in it.
        layout: what the sums of its summaries mean.
        summary: of the reference itself; `rows` is those of the evaluation split.
        rows: reference rows behind each place of the sums, (width,).
        calibration: what is normal.
        by_class: sums over the evaluation rows that were answered with each label, (labels, width) ...
        class_rows: ... and how many those are, (labels,).
    """

    def __init__(self, document: Document, arrays: Arrays) -> None:
        self.document = document
        self.arrays = arrays
        self.calibration = document.calibration
        self.known = bool(document.bins)
        kernel = Kernel.load(arrays)
        self.layout = (
            Layout(document.bins, len(document.labels), kernel, document.accuracy) if self.known else Layout.blank()
        )
        none = np.zeros(0)
        self.rows: Floats = arrays.get("rows", none)
        self.summary = Summary(float(arrays.get("evaluation_rows", np.zeros(()))), arrays.get("sums", none))
        self.by_class: Floats = arrays.get("by_class", np.zeros((0, 0)))
        self.class_rows: Floats = arrays.get("class_rows", none)
        self._spread: Floats = arrays.get("spread", none)
        self._kernel = kernel

    @classmethod
    def blank(cls) -> "Reference":
        """Of a model that nothing is known of: its windows have rows and nothing else."""
        return cls(Document(), {})

    @property
    def calibrated(self) -> bool:
        """Whether windows can be judged."""
        return bool(self.calibration.sizes)

    @cached_property
    def distances(self) -> Distances:
        """From this reference."""
        return Distances(self.layout, self.summary.sums, self.rows, self._spread, self.arrays.get(WHITENING))

    def weighted(self, mix: Floats) -> Distances:
        """Distances from the evaluation rows as if their answers had another mix of labels; shares, (labels,)."""
        rows = self.class_rows.sum()
        means = self.by_class / np.maximum(self.class_rows, 1.0)[:, None]  # (labels, width)
        return self.distances.around(mix @ means * rows, np.full(self.layout.width, rows))

    def summarise(self, records: Sequence[Record], seen: Seen) -> Summary:
        """The sums of some records, one or more."""
        return self.layout.summarise(self.mapped(derive(records, seen)))

    def estimate(self, summary: Summary, worth: float | None = None) -> Estimate | None:
        """Accuracy of a window, without labels; None where the reference does not know how.

        Args:
            summary: of the window.
            worth: independent rows that it is worth, where that is not its count of rows.
        """
        known = self.document.accuracy
        if known is None or not summary.rows:
            return None
        sums = summary.sums[self.layout.block(ACCURACY).place]
        rows = summary.rows if worth is None else worth
        estimate = known.estimate(rows, sums * (rows / summary.rows))
        beyond = self._beyond_tried(summary, rows) if estimate.trusted and self.calibrated else ""
        return replace(estimate, trusted=False, why=beyond) if beyond else estimate

    def excess(self, summary: Summary, rows: float) -> dict[str, float]:
        """How far a window lies from the reference in what texts are about, less what drift-free windows do."""
        distances = self.distances.of(summary.rows, summary.sums) - self.calibration.typical(rows)
        named = dict(zip(self.layout.features, distances.tolist(), strict=True))
        return {name: named[name] for name in (TOKENS, EMBEDDING) if name in named}

    def _beyond_tried(self, summary: Summary, rows: float) -> str:
        """Why nobody can tell: texts unlike all that the estimate was tried on; empty when they are not."""
        for name, excess in self.excess(summary, rows).items():
            if excess > STRANGE * self.document.tried.get(name, np.inf):
                return f"the texts are unlike those that it was tried on ({name} {excess:.3f} beyond what is normal)"
        return ""

    def mapped(self, rows: Rows) -> Rows:
        """The same rows with what the kernel makes of their embeddings, so that it is computed once.

        Rows that have none count as the mean of the reference: they say nothing, so they must not look like drift.
        """
        if self._kernel is None:
            return rows
        if rows.embedding.shape[1] != self._kernel.dimensions:
            return replace(rows, mapped=np.tile(self._usual(), (len(rows), 1)))
        return replace(rows, mapped=self._kernel.features(rows.embedding))

    def _usual(self) -> NDArray[np.float32]:
        """The reference's mean in the kernel's space, (width,)."""
        block = self.layout.block(EMBEDDING)
        return (self.summary.sums[block.place] / self.rows[block.place]).astype(np.float32)

    def typicality(self, rows: Rows) -> Floats:
        """How usual each row's embedding is, (rows,): its mean kernel with the reference, in [-1, 1]; 0 without."""
        features = (rows if rows.mapped is not None else self.mapped(rows)).mapped
        if features is None:
            return np.zeros(len(rows))
        # Not `@`, whose threads cost more than it does.
        typical: Floats = np.einsum("rw,w->r", features, self._usual()).astype(np.float64)
        return typical

    def shown(self, block: Block, summary: Summary) -> float | dict[str, float] | None:
        """A feature's mean, or its share per class, as people read it; None of what has no such thing."""
        rows = self.rows[block.start] if summary is self.summary else summary.rows
        if block.kind == "softmax":
            means = (summary.sums[block.place] / rows).tolist()
            return dict(zip(self.document.labels, means, strict=True))
        bins = self.layout.bins.get(block.feature)
        if bins is None:
            return None
        shares = summary.sums[block.place] / rows
        if bins.categories:
            named = dict(zip(bins.categories, shares.tolist(), strict=False))
            return named | ({"other": float(shares[-1])} if shares[-1] else {})
        return float(shares @ np.asarray(bins.centers))


class References:
    """References of published bundles, each read once: published versions never change."""

    def __init__(self, bundles: BundleStore) -> None:
        self._bundles = bundles
        self._read: dict[tuple[str, int], Reference] = {}

    def get(self, model: str, version: int) -> Reference:
        """The reference of a version.

        Raises:
            BundleNotFound: no such version.
            BundleCorrupt: a file of it is not what was published, or holds no reference.
        """
        key = (model, version)
        if key not in self._read:
            self._read[key] = load_reference(self._bundles.load(model, version))
        return self._read[key]


def load_reference(bundle: Bundle) -> Reference:
    """The reference that a verified bundle carries.

    Raises:
        BundleCorrupt: a file does not fit the schema, or is of an earlier one.
    """
    file = bundle.file(bundle.manifest.drift_calibration)
    try:
        document = Document.model_validate_json(file.read_bytes())
        with np.load(bundle.file(ARRAYS), allow_pickle=False) as arrays:
            return Reference(document, dict(arrays))
    except ValidationError as error:
        reason = first_fault(error)
    except (OSError, EOFError, ValueError, BadZipFile) as error:
        reason = str(error)
    raise BundleCorrupt(f"{file} does not fit schema {SCHEMA_VERSION}: {reason}; export the bundle again")
