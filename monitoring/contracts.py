"""Contracts: what a window may hold of things that hardly ever occur, checked beside the statistics.

Empty texts, truncation, scripts that the training texts do not have, categories never seen, missing values, and texts
sent again and again: each is a share with a bound from the reference. A breach needs no confirmation: the bounds lie
where drift-free windows do not come, at any size. Before: a window's `summary`; after: `alarm`, which pages.
Source: Bernstein's inequality for the share of a window and of the reference together.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from monitoring.features import DUPLICATE, EMPTY, LABEL, SCRIPT, TRUNCATED
from monitoring.layout import Block
from monitoring.reference import Reference
from monitoring.summary import Summary

DEVIATIONS = 5.0  # one drift-free window in a million, were shares normal
_USUAL = 0.01  # scripts with a smaller share of the reference are foreign to the model
_REPEATED = 0.5  # people do ask the same things; a window that is mostly repetition is a flood
MISSING = " missing"  # ends the name of the column that says where another one has no value


@dataclass(frozen=True, slots=True)
class Breach:
    """A share beyond its bound; all in [0, 1]."""

    name: str
    share: float
    bound: float
    reference: float

    @property
    def message(self) -> str:
        """For people."""
        return f"{self.name}: {self.share:.1%} of rows, at most {self.bound:.1%} were to be expected"


def breaches(summary: Summary, reference: Reference) -> tuple[Breach, ...]:
    """Every contract that a window breaks; none where the reference has no rows to bound it."""
    if not reference.known or summary.rows < 1:
        return ()
    found = [_check(block, summary, reference) for block in reference.layout.blocks]
    return tuple(breach for breach in found if breach is not None)


def _check(block: Block, summary: Summary, reference: Reference) -> Breach | None:
    places = _unusual(block, reference)
    if places is None:
        return None
    known = float(reference.rows[block.start])
    usual = float(reference.summary.sums[block.place][places].sum())
    share = float(summary.sums[block.place][places].sum() / summary.rows)
    bound = _bound(usual, known, summary.rows)
    if block.feature == DUPLICATE:
        bound = max(bound, _REPEATED)
    return Breach(_name(block), share, bound, usual / known) if share > bound else None


def _name(block: Block) -> str:
    """What a breach is called: that of a column of categories is that they were never seen."""
    return _NAMES.get(block.feature, f"{block.feature} never seen" if block.kind == "class" else block.feature)


def _unusual(block: Block, reference: Reference) -> NDArray[np.bool_] | None:
    """Which places of a block count as broken contract, a mask; None where the block has no contract."""
    bins = reference.layout.bins.get(block.feature)
    if bins is None or block.feature == LABEL:
        return None
    if block.feature in (EMPTY, TRUNCATED, DUPLICATE) or block.feature.endswith(MISSING):
        return np.array([*(edge > 0.5 for edge in bins.edges), True])  # the bins of the value 1
    if block.feature == SCRIPT:
        return np.asarray(bins.shares) < _USUAL
    return np.arange(bins.width) == bins.width - 1 if bins.categories else None


def _bound(seen: float, known: float, rows: float) -> float:
    """Share that a window of `rows` exceeds once in a million, where `seen` of `known` reference rows did so."""
    share = (seen + 0.5) / (known + 1.0)
    noise = 1.0 / rows + 1.0 / known
    bound = share + DEVIATIONS * np.sqrt(share * (1.0 - share) * noise) + DEVIATIONS**2 * noise / 3.0
    return float(min(bound, 1.0))


_NAMES = {
    EMPTY: "empty texts",
    TRUNCATED: "texts longer than the model takes",
    DUPLICATE: "texts sent before",
    SCRIPT: "texts in another script",
}
