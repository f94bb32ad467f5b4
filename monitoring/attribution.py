"""Attribution: what of a drifted window differs from the reference, and whether another mix of classes explains it.

Pure functions over summaries: everything here is known from the sums that windows are judged by. If only the mix of
classes moved (prior shift), the reference's own rows, weighted to the window's mix, look like the window; what is left
of the distance then is a change of the inputs within classes (covariate shift).
Before: `drift`; after: `report`. Limits: the mix is that of *predicted* classes, so a shift that turns many answers
into one class looks in part like a prior shift; a class with few reference rows cannot be weighted up.
Source: Lipton et al. 2018, "Detecting and Correcting for Label Shift with Black Box Predictors".
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np

from monitoring.features import LABEL
from monitoring.layout import Block, Floats
from monitoring.reference import Reference
from monitoring.summary import Summary
from tidegate.proportions import surprise

Verdict = Literal["prior", "covariate", "both", "unclear"]

LEVEL = 0.01  # of all classes together
_MOSTLY, _PARTLY = 0.8, 0.3  # shares of the distance that the mix of classes explains
_LEAST_ROWS = 20  # of a class in the reference, to weight it up


@dataclass(frozen=True, slots=True)
class Share:
    """A class's share of predictions, before and now, in [0, 1]; `moved` beyond chance."""

    name: str
    before: float
    now: float
    moved: bool


@dataclass(frozen=True, slots=True)
class Shift:
    """Of which kind a drift is; `explained` is the share that the mix of classes accounts for, None if unknown."""

    verdict: Verdict
    explained: float | None
    why: str


@dataclass(frozen=True, slots=True)
class Distribution:
    """One feature's shares per bin; `bins` are names for people, `edges` stand between the bins of a number."""

    name: str
    bins: tuple[str, ...]
    edges: tuple[float, ...]
    reference: tuple[float, ...]
    window: tuple[float, ...]


def class_shares(reference: Reference, window: Summary) -> list[Share]:
    """Each class's share of predictions before and now, the one that moved furthest first; none of embeddings."""
    block = _label_block(reference)
    if block is None or not window.rows:
        return []
    names = [*reference.layout.bins[LABEL].categories, "other"]
    before, now = reference.summary.sums[block.place], window.sums[block.place]
    of_before, of_now = round(before.sum()), round(now.sum())
    needed = -math.log10(LEVEL / len(names))
    shares = [
        Share(name, was / of_before, is_now / of_now, surprise(round(was), of_before, round(is_now), of_now) > needed)
        for name, was, is_now in zip(names, before.tolist(), now.tolist(), strict=True)
        if was or is_now
    ]
    return sorted(shares, key=lambda share: -abs(share.now - share.before))


def kind_of_shift(reference: Reference, window: Summary, drifted: Sequence[str]) -> Shift:
    """Whether another mix of classes explains the distance of a window.

    Args:
        reference: with its sums by class.
        window: one window, or some merged.
        drifted: features beyond their threshold.
    """
    block = _label_block(reference)
    if not drifted:
        return Shift("unclear", None, "No feature is beyond its band.")
    if block is None:
        return Shift("covariate", None, "The model answers vectors, so there is no mix of classes.")
    if not any(share.moved for share in class_shares(reference, window)):
        return Shift("covariate", 0.0, "No class's share moved beyond chance.")
    others = [index for index, each in enumerate(reference.layout.features) if each in {*drifted} - {LABEL}]
    if not others:
        return Shift("prior", 1.0, "Nothing but the shares of the classes is beyond its band.")
    shares = window.sums[block.place] / max(window.rows, 1.0)  # (categories,); the labels come first
    mix = shares[: len(reference.class_rows)]
    if mix.sum() < _MOSTLY:
        return Shift("covariate", None, f"{1.0 - mix.sum():.0%} of the answers name no class: the model abstains.")
    mix = np.where(reference.class_rows < _LEAST_ROWS, 0.0, mix)
    if mix.sum() < _MOSTLY:
        return Shift(
            "unclear", None, f"Too many answers are of classes with under {_LEAST_ROWS} rows in the reference."
        )
    explained = _explained(reference, window, mix / mix.sum(), others)
    why = f"The mix of classes explains {explained:.0%} of the distance of the other features."
    if explained >= _MOSTLY:
        return Shift("prior", explained, why)
    return Shift("both" if explained >= _PARTLY else "covariate", explained, why)


def distributions(reference: Reference, window: Summary) -> list[Distribution]:
    """Reference and window as shares per bin, of each feature that has bins."""
    found = []
    for block in reference.layout.blocks:
        if block.kind not in ("number", "class"):
            continue
        bins = reference.layout.bins[block.feature]
        shares = window.sums[block.place] / max(window.rows, 1.0)
        names = (*bins.categories, "other") if bins.categories else _between(bins.edges)
        found.append(Distribution(block.feature, names, bins.edges, bins.shares, tuple(shares.tolist())))
    return found


def _explained(reference: Reference, window: Summary, mix: Floats, features: Sequence[int]) -> float:
    """Share of the features' distance beyond what is normal that goes away when the reference has the window's mix."""
    usual = reference.class_rows / reference.class_rows.sum()
    normal = reference.calibration.threshold(0.0, window.rows)  # (features,): half of drift-free windows lie beyond
    before, after = (
        np.maximum(reference.weighted(weights).of(window.rows, window.sums) - normal, 0.0) for weights in (usual, mix)
    )
    chosen = [index for index in features if before[index] > 0]
    if not chosen:
        return 1.0
    return float(1.0 - np.minimum(after[chosen] / before[chosen], 1.0).mean())


def _label_block(reference: Reference) -> Block | None:
    return next((block for block in reference.layout.blocks if block.feature == LABEL), None)


def _between(edges: Sequence[float]) -> tuple[str, ...]:
    """Names of the bins of a number."""
    cuts = [f"{round(edge, 5) + 0.0:.3g}" for edge in edges]  # both ends stand a hair outside the reference
    inner = [low if low == high else f"{low} to {high}" for low, high in pairwise(cuts)]
    return (f"below {cuts[0]}", *inner, f"above {cuts[-1]}") if cuts else ("any",)
