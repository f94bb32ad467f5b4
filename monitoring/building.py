"""Building a reference: from training texts and answered evaluation texts to the files of a bundle.

Runs once, at the end of an export, in the export environment; `tabular` tables are built the same way. Before:
`features`; after: `reference`, which reads what is written here.
Limits: at most 2,000 evaluation rows are bootstrapped; below 50 nothing is calibrated, and every window will be
called insufficient.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from monitoring import accuracy_fit, profiles
from monitoring.accuracy import AccuracyReference
from monitoring.bins import category_bins, numeric_bins
from monitoring.calibration import MIN_DOCUMENTS, calibrate
from monitoring.features import (
    DUPLICATE,
    INPUT,
    LABEL,
    SCRIPT,
    Rows,
    Seen,
    derive,
    input_columns,
    vocabulary_columns,
)
from monitoring.kernel import Kernel
from monitoring.layout import EMBEDDING, Distances, Layout
from monitoring.reference import ARRAYS, CALIBRATION, WHITENING, Arrays, Document, Reference
from monitoring.splits import Split, Splits, write_splits
from monitoring.whitening import crossed, fit
from monitoring.words import write_words
from tidegate.errors import InvalidInput
from tidegate.preprocess import Encoded
from tidegate.records import Record

PROFILE = "reference.bin"
SEED = 20_261
_PART = 100  # copies that are held against the reference at a time

Numbers = dict[str, NDArray[np.float64]]
Classes = dict[str, NDArray[np.object_]]


def build_reference(
    labels: Sequence[str],
    training: Sequence[tuple[str, Encoded]],
    evaluation: Sequence[Record],
    truths: Sequence[str],
    perturbed: Sequence[tuple[Record, str]],
    folder: Path,
    training_labels: Sequence[str] = (),
) -> None:
    """Write `reference.bin`, `drift.json`, `drift.npz`, `splits.npz` and `words.json` into a folder.

    Args:
        labels: the model's classes, in the bundle's order; none of embeddings, whose reference is of inputs alone.
        training: training texts as the bundle encodes them.
        evaluation: the evaluation split as the chosen variant answers it.
        truths: its true labels; none of embeddings.
        perturbed: corrupted copies of evaluation texts as the variant answers them, each with its true label.
        folder: the bundle's staging folder.
        training_labels: true label of each training text; none of embeddings.

    Raises:
        InvalidInput: no training texts or no evaluation records.
    """
    if not training or not evaluation:
        raise InvalidInput(
            f"a reference needs texts: got {len(training)} training texts and {len(evaluation)} evaluation records"
        )
    numbers, script = input_columns([text for text, _ in training], [row for _, row in training], Seen())
    rows = derive(evaluation, Seen())
    copies = derive([record for record, _ in perturbed], Seen()) if perturbed and labels else None
    accuracy = accuracy_fit.fit(labels, rows, truths, copies, [label for _, label in perturbed]) if labels else None
    reference = reference_of(rows, labels, numbers, {SCRIPT: script}, accuracy)
    tried = {} if copies is None or not reference.calibrated else _tried(reference, copies)
    write(reference.document.model_copy(update={"tried": tried}), reference.arrays, folder)
    fitted = rows.frame().drop(columns=[*INPUT, SCRIPT])
    texts = pd.DataFrame({**numbers, SCRIPT: pd.Series(script, dtype="str")})
    profile = profiles.merge(profiles.profile_frame(texts), profiles.profile_frame(fitted))
    (folder / PROFILE).write_bytes(profiles.serialize(profile))
    trained = {**numbers, SCRIPT: script, **vocabulary_columns([row for _, row in training])}
    splits = Splits(
        Split.of(reference.layout, trained, training_labels, labels),
        Split.of(reference.layout, {**rows.numbers, **rows.classes}, truths, labels),
    )
    write_splits(splits, folder)
    write_words((text for text, _ in training), folder)


def reference_of(
    rows: Rows,
    labels: Sequence[str],
    numbers: Numbers,
    classes: Classes,
    accuracy: AccuracyReference | None = None,
) -> Reference:
    """The reference of held-out rows, where some columns are known from more rows than these.

    Args:
        rows: held-out rows, which calibrate; every column that `numbers` and `classes` do not have is theirs.
        labels: the model's classes; none where there are none.
        numbers: columns of the training rows ...
        classes: ... and classes of theirs.
        accuracy: what estimates accuracy, if anything does.
    """
    bins = (
        *(
            numeric_bins(name, numbers.get(name, rows.numbers[name]), watched=name != DUPLICATE)
            for name in rows.numbers
        ),
        *(
            category_bins(name, classes.get(name, rows.classes[name]).tolist(), labels if name == LABEL else ())
            for name in rows.classes
        ),
    )
    kernel = Kernel.fit(rows.embedding, SEED) if rows.embedding.shape[1] and len(rows) > 1 else None
    layout = Layout(bins, len(labels), kernel, accuracy)
    matrix = layout.matrix(rows)
    arrays = _arrays(layout, rows, matrix, labels)
    if kernel:
        arrays[WHITENING] = fit(matrix[:, layout.block(EMBEDDING).place]).astype(np.float32)
    distances = Distances(layout, arrays["sums"], arrays["rows"], arrays["spread"], arrays.get(WHITENING))
    if kernel and len(matrix) >= MIN_DOCUMENTS:
        place = layout.block(EMBEDDING).place
        matrix[:, place] = crossed(matrix[:, place], arrays[WHITENING])
    calibration = calibrate(matrix, layout, distances)
    document = Document(labels=tuple(labels), bins=bins, calibration=calibration, accuracy=accuracy)
    return Reference(document, arrays | (kernel.arrays() if kernel else {}))


def _tried(reference: Reference, copies: Rows) -> dict[str, float]:
    """How far the copies lie from the reference, the farthest of parts that each hold one kind of damage or two."""
    found: dict[str, float] = {}
    for start in range(0, len(copies) - _PART + 1, _PART):
        summary = reference.layout.summarise(reference.mapped(copies.part(start, start + _PART)))
        for name, excess in reference.excess(summary, summary.rows).items():
            found[name] = max(found.get(name, 0.0), excess)
    return found


def write(document: Document, arrays: Arrays, folder: Path) -> None:
    """The two files of a reference."""
    (folder / CALIBRATION).write_text(document.model_dump_json())
    with (folder / ARRAYS).open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)


def _arrays(
    layout: Layout, rows: Rows, matrix: NDArray[np.float32], labels: Sequence[str]
) -> dict[str, NDArray[np.float64]]:
    sums = matrix.sum(axis=0, dtype=np.float64)
    known = np.full(layout.width, float(len(rows)))
    for block in layout.blocks:  # columns of the training rows have their shares from there
        if block.feature in layout.bins:
            bins = layout.bins[block.feature]
            known[block.place] = bins.rows
            sums[block.place] = np.asarray(bins.shares) * bins.rows
    answered = [rows.classes[LABEL] == label for label in labels]
    return {
        "sums": sums,
        "rows": known,
        "evaluation_rows": np.array(float(len(rows))),
        "spread": rows.scores.var(axis=0),
        "by_class": np.array([matrix[mask].sum(axis=0, dtype=np.float64) for mask in answered]).reshape(
            -1, layout.width
        ),
        "class_rows": np.array([float(mask.sum()) for mask in answered]),
    }
