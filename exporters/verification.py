"""The verification set: evaluation texts with the source model's answers, carried in the bundle as one JSON file.

`pipeline` draws it from what the gate used; `tune` reads it where the bundle is served, where neither the source
model nor its data is at hand. Any number of its first texts is again a fair sample, so a hurried check takes fewer.
Limits: raw texts, 512 at most; probabilities rounded to 6 digits; bundles exported before it existed have none.
"""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from exporters.texts import Row
from exporters.verify import Yardstick, yardstick
from tidegate.bundle import Bundle, Manifest, read_document

FILE = "verification.json"
# The 99 % gate still tells 1 disagreement in 100 from 1 in 170, and a MiniLM answers them in about 2 s on a core.
MAX_TEXTS = 512
_DIGITS = 6


class Verification(BaseModel):
    """`verification.json`; the three lists are of one length."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    texts: tuple[str, ...] = Field(min_length=1)
    labels: tuple[str, ...] = Field(description="The true label of each text; a dash where there are none.")
    source: tuple[tuple[float, ...], ...] = Field(description="The source model's probabilities or vectors.")
    max_accuracy_drop: float = Field(ge=0, le=1, description="What the export allowed, as a share of rows.")

    @model_validator(mode="after")
    def _alike(self) -> Self:
        if not len(self.texts) == len(self.labels) == len(self.source):
            raise ValueError("texts, labels and source are not of one length")
        return self

    def yardstick(self, manifest: Manifest) -> Yardstick:
        """What variants of the bundle are held against."""
        rows = list(zip(self.texts, self.labels, strict=True))
        post = manifest.postprocessing
        return yardstick(rows, manifest.labels, np.array(self.source), post, self.max_accuracy_drop)


def draw(
    rows: Sequence[Row],
    source: NDArray[np.float64],
    max_accuracy_drop: float,
    *,
    limit: int = MAX_TEXTS,
    seed: int = 0,
) -> Verification:
    """Sample rows so that every beginning of the sample has the labels in nearly the data's proportions.

    Args:
        rows: (text, label) pairs.
        source: the source model's probabilities, (rows, classes).
        max_accuracy_drop: share of rows, in [0, 1].
        limit: most texts to take.
        seed: of the order within a label.
    """
    chosen = _interleaved([label for _, label in rows], seed)[:limit]
    return Verification(
        texts=tuple(rows[index][0] for index in chosen),
        labels=tuple(rows[index][1] for index in chosen),
        source=tuple(tuple(np.round(source[index], _DIGITS).tolist()) for index in chosen),
        max_accuracy_drop=max_accuracy_drop,
    )


def write(verification: Verification, folder: Path) -> str:
    """Write it into a bundle's folder; returns the file's name for the manifest."""
    (folder / FILE).write_text(verification.model_dump_json(), encoding="utf-8")
    return FILE


def read(bundle: Bundle) -> Verification | None:
    """The verification set of a bundle; None for one that was exported without.

    Raises:
        BundleCorrupt: the file does not hold what it should.
    """
    return read_document(bundle, bundle.manifest.verification, Verification, "verification set")


def _interleaved(labels: Sequence[str], seed: int) -> list[int]:
    """Every index once: each label's, shuffled, spread evenly over the whole."""
    groups: dict[str, list[int]] = defaultdict(list)
    for index, label in enumerate(labels):
        groups[label].append(index)
    places: list[tuple[float, int]] = []
    for label in sorted(groups):
        Random(seed).shuffle(groups[label])
        places += [((rank + 0.5) / len(groups[label]), index) for rank, index in enumerate(groups[label])]
    return [index for _, index in sorted(places)]
