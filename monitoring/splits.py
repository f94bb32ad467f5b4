"""Splits: what the rows that a model was fitted to and those that it was verified on held, class by class.

Exact counts over the reference's bins, for people who look at the data: the reference itself keeps of each feature
only the split that windows are judged by. `splits.npz` of a bundle, a few kilobytes, written at export; nothing that
scores windows reads it. Before: `building`; after: `data_health`. Limits: answers to training texts are not kept, as
the model is surer of what it was fitted to; bundles from before there was this file tell what their reference tells.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from monitoring.features import INPUT, SCRIPT
from monitoring.layout import Block, Floats, Layout
from monitoring.reference import Reference
from tidegate.bundle import Bundle
from tidegate.errors import BundleCorrupt

FILE = "splits.npz"


@dataclass(frozen=True, slots=True)
class Split:
    """Some rows, counted over the bins of a layout.

    Attributes:
        by_label: rows a bin of each number and class, (labels + 1, bins): one line a true label, in the order of the
            reference's, and a last one for rows of any other label or none. A feature that is not known has zeros.
        label_rows: rows of each line, (labels + 1,).
    """

    by_label: Floats
    label_rows: Floats

    @classmethod
    def of(
        cls, layout: Layout, columns: Mapping[str, NDArray[Any]], truths: Sequence[str], labels: Sequence[str]
    ) -> Self:
        """Count rows.

        Args:
            layout: whose bins.
            columns: values by feature, (rows,) each; features without a column stay unknown.
            truths: true label of each row; none where there are none.
            labels: the model's.
        """
        rows = len(next(iter(columns.values())))
        known = {label: place for place, label in enumerate(labels)}
        line = np.array([known.get(truth, len(labels)) for truth in truths] or [len(labels)] * rows, dtype=np.int64)
        table = np.zeros((len(labels) + 1, bins_of(layout)))
        for block in layout.blocks:
            if block.feature in columns and block.feature in layout.bins:
                places = layout.bins[block.feature].assign(columns[block.feature])
                np.add.at(table, (line, block.start + places), 1.0)
        return cls(table, np.bincount(line, minlength=len(labels) + 1).astype(np.float64))

    @property
    def rows(self) -> float:
        """How many."""
        return float(self.label_rows.sum())

    def counts(self, block: Block) -> Floats | None:
        """Rows a bin of a feature, (bins,); None where it is not known."""
        found: Floats = self.by_label[:, block.place].sum(axis=0)
        return found if block.stop <= self.by_label.shape[1] and found.any() else None


@dataclass(frozen=True, slots=True)
class Splits:
    """Training and evaluation; `whole` is false where only the reference could be asked, which knows no true labels."""

    training: Split
    evaluation: Split
    whole: bool = True


def bins_of(layout: Layout) -> int:
    """Places of all numbers and classes: the first ones of a summary's vector."""
    return max((block.stop for block in layout.blocks if block.feature in layout.bins), default=0)


def write_splits(splits: Splits, folder: Path) -> None:
    """Write the file into a bundle's folder."""
    parts = {"training": splits.training, "evaluation": splits.evaluation}
    arrays = {name: part.by_label.astype(np.int64) for name, part in parts.items()}
    arrays |= {f"{name}_rows": part.label_rows.astype(np.int64) for name, part in parts.items()}
    with (folder / FILE).open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)


def read_splits(bundle: Bundle, reference: Reference) -> Splits:
    """The splits of a verified bundle; of an older one what its reference tells.

    Raises:
        BundleCorrupt: the file does not hold what it should.
    """
    if FILE not in bundle.manifest.files:
        return _told_by(reference)
    file = bundle.file(FILE)
    try:
        with np.load(file, allow_pickle=False) as arrays:
            training, evaluation = (
                Split(arrays[name].astype(np.float64), arrays[f"{name}_rows"].astype(np.float64))
                for name in ("training", "evaluation")
            )
    except (OSError, EOFError, KeyError, ValueError, BadZipFile) as error:
        raise BundleCorrupt(f"{file} holds no splits: {error}; export the bundle again") from None
    shape = (len(reference.document.labels) + 1, bins_of(reference.layout))
    if training.by_label.shape != shape or evaluation.by_label.shape != shape:
        raise BundleCorrupt(f"{file} does not fit the bundle's reference, which has {shape}; export the bundle again")
    return Splits(training, evaluation)


def _told_by(reference: Reference) -> Splits:
    """Features of the text alone come from training, the others from evaluation; labels are not known.

    Evaluation rows of the former are known too where every one was answered with a label: by these they were summed.
    """
    labels, bins = len(reference.document.labels), bins_of(reference.layout)
    training, evaluation = np.zeros((labels + 1, bins)), np.zeros((labels + 1, bins))
    answered = labels and reference.class_rows.sum() == reference.summary.rows
    trained = 0.0
    for block in reference.layout.blocks:
        if block.feature not in reference.layout.bins:
            continue
        sums = reference.summary.sums[block.place]
        if block.feature in (*INPUT, SCRIPT):
            training[-1, block.place], trained = sums, float(reference.rows[block.start])
            if answered:
                evaluation[-1, block.place] = reference.by_class[:, block.place].sum(axis=0)
        else:
            evaluation[-1, block.place] = sums
    return Splits(
        Split(np.rint(training), _last(labels, trained)),
        Split(np.rint(evaluation), _last(labels, reference.summary.rows)),
        whole=False,
    )


def _last(labels: int, rows: float) -> Floats:
    return np.array([0.0] * labels + [rows])
