"""Model health at export: what each accepted variant answered to the evaluation texts, counted for `health.json`.

After the gate (`verify`), whose answers these are: one text a run, threshold and fallback label applied, rows that the
source model cannot tell apart settled as it settles them, so that the accuracy is the evidence's. Before: the bundle
is published, and the dashboard shows it. Limits: as many rows as the gate saw; embeddings have no labels, so no health.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exporters.slices import Group, find_slices, groups_of_names, groups_of_texts
from exporters.texts import Row
from exporters.verify import Yardstick, settled_labels
from tidegate.health import HUNDREDTHS, Health, VariantHealth
from tidegate.preprocess import Encoded

_QUANTILES = 100  # cuts beside the hundredths, where a sure model has most of its rows above 0.99
_DIGITS = 6


def health_of(yard: Yardstick, encoded: Sequence[Encoded], answers: Mapping[str, NDArray[np.float64]]) -> Health:
    """Count what variants answered.

    Args:
        yard: the evaluation rows, of a classifier.
        encoded: the same rows as the model takes them.
        answers: probabilities of each variant with one text a run, (rows, classes).
    """
    texts, truths = [text for text, _ in yard.rows], [label for _, label in yard.rows]
    groups = [*groups_of_texts(texts, encoded), *groups_of_names("true label", truths)]
    return Health(
        labels=yard.labels,
        rows=len(texts),
        data_sha256=data_digest(yard.rows),
        variants={name: _variant(yard, found, groups) for name, found in answers.items()},
    )


def data_digest(rows: Sequence[Row]) -> str:
    """sha256 of labelled rows, whatever their order."""
    return hashlib.sha256(json.dumps(sorted(rows)).encode()).hexdigest()


def _variant(yard: Yardstick, answers: NDArray[np.float64], groups: Sequence[Group]) -> VariantHealth:
    truth = np.array([yard.labels.index(label) for _, label in yard.rows])  # (rows,)
    answered = settled_labels(answers, yard)
    names = groups_of_names("answered label", [yard.labels[place] for place in answered])
    slices, tried = find_slices([*groups, *names], truth == answered)
    pairs = Counter(zip(truth.tolist(), answered.tolist(), strict=True))
    top = answers.max(axis=1)
    order = np.argsort(top, kind="stable")
    ascending, hits = top[order], (answers.argmax(axis=1) == truth)[order]
    cuts = _cuts(ascending, yard.post.threshold)
    first = np.searchsorted(ascending, cuts, side="left")  # (cuts,): the first row that reaches each
    return VariantHealth(
        confusion=tuple((*pair, count) for pair, count in sorted(pairs.items())),
        cuts=tuple(cuts),
        reached=tuple((len(top) - first).tolist()),
        right=tuple(_above(hits.astype(np.int64), first).tolist()),
        confidence=tuple(np.round(_above(ascending, first), _DIGITS).tolist()),
        slices=slices,
        slices_tried=tried,
    )


def _cuts(ascending: NDArray[np.float64], threshold: float | None) -> list[float]:
    """Where a threshold could lie: hundredths, top probabilities of the rows, and the bundle's own; within [0, 1]."""
    places = np.linspace(0, len(ascending) - 1, min(_QUANTILES, len(ascending))).astype(np.int64)
    own = [] if threshold is None else [threshold]
    return sorted({*HUNDREDTHS, *np.clip(ascending[places], 0.0, 1.0).tolist(), *own})


def _above(values: NDArray[Any], first: NDArray[np.int64]) -> NDArray[Any]:
    """Sums of the values from each place on, (places,)."""
    sums = np.concatenate([np.cumsum(values[::-1])[::-1], [0]])
    found: NDArray[Any] = sums[first]
    return found
