"""Policies: which candidates people are asked about, and how likely each of them was to be asked about.

`fill` fills a budget by slots: reported ones first, uniform random, a floor per predicted class, those that pull the
window away from the reference (witness), diverse ones among the uncertain, and margin: the uncertain ones that tell
most about the others. Each draw is random, by weights, without replacement; the chances of all draws of a row add up
to its inclusion probability, over several runs with other seeds. Pure functions of (candidates, reference, budget,
seed). Before: records, `policies_information`; after: the queue, `weighted`. Limits: the probability is an estimate
where draws depend on earlier ones (`RUNS` runs; a little low for what is nearly sure to be chosen), and is at least
the uniform slot's, which is exact.
Sources: Kirsch et al. 2023 (stochastic batches); Scheffer et al. 2001 (margin); Arthur and Vassilvitskii 2007
(k-means++); Horvitz and Thompson 1952; Lowell et al. 2019 (why a random stream stays).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from monitoring.labels.policies_information import Candidates, Information, Labelled, information, uncertainty

REPORTED, UNIFORM, WITNESS, DIVERSE, MARGIN = "reported", "random", "witness", "diverse", "margin"
SHARES: Mapping[str, float] = {UNIFORM: 0.2, MARGIN: 0.4, DIVERSE: 0.2, WITNESS: 0.1, REPORTED: 0.1}
RUNS = 8  # of which the probabilities are the mean; each costs what choosing costs
_SHARPNESS = 16.0  # power of the weights: 0 is random, infinite is top-k; 4 cost a third more labels in benchmarks/loop
_MARGIN = 4.0  # power of the margin beside the information: what tells much is asked about only where it is unsure
_UNCERTAIN = 0.5  # share of the candidates, the least sure, that `diverse` spreads over

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Pick:
    """One chosen candidate.

    Attributes:
        row: its index among the candidates.
        slot: why, one of the slots' names.
        score: `1 - (best - second best probability)`, in [0, 1]: how unsure the model is.
        probability: of being chosen at all, in whichever slot, in (0, 1].
    """

    row: int
    slot: str
    score: float
    probability: float


def fill(
    candidates: Candidates,
    reference: Labelled,
    budget: int,
    seed: int,
    shares: Mapping[str, float] = SHARES,
    floor: int = 1,
    runs: int = RUNS,
) -> list[Pick]:
    """Fill the slots of a budget; slots that find no candidate are margin's.

    Args:
        candidates: what can be asked about; none is chosen twice.
        reference: what is labelled already.
        budget: how many to choose; all where there are fewer.
        seed: the same seed, the same picks.
        shares: slot to its share of the budget; what is left of 1 is margin's.
        floor: picks that each predicted class has at least, out of margin's.
        runs: of which the probabilities are the mean; 0 where only the choice matters: they are then NaN.
    """
    asked = min(budget, len(candidates.ids))
    if not asked:
        return []
    gain = information(candidates, reference)  # costs as much as a run, and is the same for all
    drawing = _draw(candidates, reference, gain.copy(), asked, [seed, 0], shares, floor)
    chance = np.full(len(candidates.ids), np.nan)
    if runs:
        others = [
            _draw(candidates, reference, gain.copy(), asked, [seed, run], shares, floor) for run in range(1, runs + 1)
        ]
        least = max(_slots(asked, shares)[UNIFORM], 1.0 / runs) / len(candidates.ids)
        chance = np.mean([other.chance for other in others], axis=0).clip(least, 1.0)
    score = uncertainty(candidates.scores)
    return [Pick(row, slot, float(score[row]), float(chance[row])) for row, slot in drawing.picks.items()]


def uniform(candidates: Candidates, reference: Labelled, budget: int, seed: int) -> list[Pick]:
    """Every candidate with the same chance, budget / candidates exactly."""
    return fill(candidates, reference, budget, seed, {UNIFORM: 1.0}, floor=0, runs=1)


def margin(candidates: Candidates, reference: Labelled, budget: int, seed: int) -> list[Pick]:
    """The uncertain that tell most about the others; the plain margin where rows have neither terms nor embedding."""
    return fill(candidates, reference, budget, seed, {MARGIN: 1.0}, floor=0)


def diverse(candidates: Candidates, reference: Labelled, budget: int, seed: int) -> list[Pick]:
    """k-means++ among the uncertain half, away from what is labelled; margin where rows have no embedding."""
    return fill(candidates, reference, budget, seed, {DIVERSE: 1.0}, floor=0)


def witness(candidates: Candidates, reference: Labelled, budget: int, seed: int) -> list[Pick]:
    """Those that pull the window away from the reference, by their own witness; margin once none does."""
    return fill(candidates, reference, budget, seed, {WITNESS: 1.0}, floor=0)


class _Drawing:
    """Draws without replacement that add up the chance of every row."""

    def __init__(self, candidates: Candidates, gain: Information, rng: np.random.Generator) -> None:
        self.picks: dict[int, str] = {}
        self.chance: Floats = np.zeros(len(candidates.ids))
        self.open: NDArray[np.bool_] = np.ones(len(candidates.ids), dtype=np.bool_)
        self.gain = gain
        self._rng = rng

    def take(self, slot: str, weights: Floats) -> int | None:
        """Draw one open row by weights, (candidates,); None where no weight is left."""
        left = np.where(self.open, weights, 0.0)
        total = float(left.sum())
        if total <= 0.0:
            return None
        share = left / total
        self.chance += share
        row = int(self._rng.choice(len(share), p=share))
        self._keep(slot, row)
        return row

    def take_evenly(self, count: int) -> None:
        """Draw so many open rows, each with the same chance."""
        left = np.flatnonzero(self.open)
        count = min(count, len(left))
        if count:
            self.chance[left] += count / len(left)
        for row in self._rng.choice(left, count, replace=False).tolist():
            self._keep(UNIFORM, row)

    def report(self, row: int) -> None:
        """Keep what somebody reported: it was sure to be chosen."""
        self.chance[row] += 1.0
        self._keep(REPORTED, row)

    def _keep(self, slot: str, row: int) -> None:
        self.picks[row] = slot
        self.open[row] = False
        self.gain.add(row)


def _draw(
    candidates: Candidates,
    reference: Labelled,
    gain: Information,
    budget: int,
    seed: list[int],
    shares: Mapping[str, float],
    floor: int,
) -> _Drawing:
    """One run through all slots; `gain` is used up."""
    drawing = _Drawing(candidates, gain, np.random.default_rng(seed))
    slots = _slots(budget, shares)
    for row in np.flatnonzero(candidates.reported)[: slots[REPORTED]].tolist():
        drawing.report(row)
    unsure = uncertainty(candidates.scores)
    drawing.take_evenly(slots[UNIFORM])
    _draw_floor(drawing, candidates, unsure, min(floor, slots[MARGIN] // max(1, candidates.scores.shape[1])))
    for _ in range(slots[WITNESS]):
        drawing.take(WITNESS, candidates.witness.clip(0.0))
    if candidates.embedding.shape[1]:
        _draw_diverse(drawing, candidates, reference, unsure, slots[DIVERSE])
    while len(drawing.picks) < budget:
        drawing.take(MARGIN, _sharpened(unsure**_MARGIN * drawing.gain.scores(), drawing.open))
    return drawing


def _draw_floor(drawing: _Drawing, candidates: Candidates, unsure: Floats, floor: int) -> None:
    """So many of each predicted class, the uncertain first."""
    predicted = candidates.scores.argmax(axis=1)
    for label in np.unique(predicted).tolist() if floor else ():
        for _ in range(floor):
            drawing.take(MARGIN, np.where(predicted == label, _sharpened(unsure, predicted == label), 0.0))


def _draw_diverse(drawing: _Drawing, candidates: Candidates, reference: Labelled, unsure: Floats, budget: int) -> None:
    """k-means++: each next one by its squared distance to the nearest that is labelled or chosen."""
    rows = candidates.embedding
    among = unsure >= np.quantile(unsure, 1.0 - _UNCERTAIN)
    near = np.full(len(rows), np.inf)
    for start in range(0, len(reference.embedding), 1_000):  # as many as keep the table of distances small
        near = np.minimum(near, _squared(rows, reference.embedding[start : start + 1_000]).min(axis=1))
    for row in drawing.picks:
        near = np.minimum(near, _squared(rows, rows[row : row + 1])[:, 0])
    for _ in range(budget):
        chosen = drawing.take(DIVERSE, np.where(among, np.where(np.isinf(near), 1.0, near), 0.0))
        if chosen is None:
            return
        near = np.minimum(near, _squared(rows, rows[chosen : chosen + 1])[:, 0])


def _squared(rows: NDArray[np.float32], others: NDArray[np.float32]) -> Floats:
    """Squared distances, (rows, others)."""
    products = rows @ others.T
    squares = (rows**2).sum(axis=1)[:, None] + (others**2).sum(axis=1) - 2.0 * products
    distances: Floats = squares.clip(0.0).astype(np.float64)
    return distances


def _sharpened(scores: Floats, among: NDArray[np.bool_]) -> Floats:
    """Scores to the power of `_SHARPNESS`, the largest 1."""
    scaled: Floats = (scores / scores[among].max()).clip(1e-9) ** _SHARPNESS
    return scaled


def _slots(budget: int, shares: Mapping[str, float]) -> dict[str, int]:
    """Slot to its number of picks: at least one random pick of a random share, all that is left is margin's."""
    slots = {name: int(budget * shares.get(name, 0.0) + 0.5) for name in (UNIFORM, DIVERSE, WITNESS, REPORTED)}
    if shares.get(UNIFORM, 0.0) > 0.0:
        slots[UNIFORM] = max(1, slots[UNIFORM])
    left = budget
    for name in (UNIFORM, DIVERSE, WITNESS, REPORTED):
        slots[name] = min(slots[name], left)
        left -= slots[name]
    return slots | {MARGIN: left}
