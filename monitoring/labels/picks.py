"""Picks: which candidates fill the slots of a budget, and with which probability each might have been picked.

Every slot draws by weights with Gumbel noise instead of taking the highest scores, which spreads a batch at no cost and
leaves every candidate a chance, so that what is picked can be weighed (Kirsch et al. 2023, "Stochastic batch
acquisition"). Pure: candidates, what is labelled, room and seed in, picks out. Before: `candidates`; after: `slots`.
Probabilities are those of Gumbel-top-k given the noise of the others (Kool et al. 2019); of several draws, that of any.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from monitoring.labels.budget import DISAGREEMENT
from tidegate.label_slots import Slot

POWER = 4.0  # of uncertainty: sharp enough to beat random sampling, flat enough not to pile up on one spot
_TINY = 1e-9


@dataclass(frozen=True, slots=True)
class Candidates:
    """Texts to choose from, as columns of n rows.

    Attributes:
        labels: predicted ones.
        margins: between the two best classes, in [0, 1].
        typicality: how usual each is of the reference; NaN where unknown.
        vectors: embeddings of length 1 or 0, float32 (n, d); d is 0 where the model has none.
        disputed: whether versions disagree on it.
    """

    labels: Sequence[str]
    margins: NDArray[np.float64]
    typicality: NDArray[np.float64]
    vectors: NDArray[np.float32]
    disputed: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.labels)

    def slots(self) -> set[Slot]:
        """Those that some of them could fill."""
        told: dict[Slot, bool] = {
            "margin": len(self) > 0,
            "diverse": bool(self.vectors.any()),
            "witness": bool(np.isfinite(self.typicality).any()),
            "reported": bool(self.disputed.any()),
        }
        return {slot for slot, any_of_it in told.items() if any_of_it}


@dataclass(frozen=True, slots=True)
class Pick:
    """A candidate by its place; the reason it was picked for, its score there, its probability in (0, 1]."""

    place: int
    reason: str
    score: float
    probability: float


class Draws:
    """Draws without replacement, one after the other, from the same candidates."""

    def __init__(self, rows: int, seed: int) -> None:
        self._rng = np.random.default_rng(seed)
        self._missed = np.ones(rows)  # chance that no draw so far would have picked it
        self._free = np.ones(rows, dtype=np.bool_)
        self._picked: list[tuple[int, str, float]] = []

    def draw(self, reason: str, scores: NDArray[np.float64], weights: NDArray[np.float64], most: int) -> list[int]:
        """Draw up to `most` rows by weights (n,); those of weight 0 never. Returns their places."""
        if most <= 0:
            return []
        with np.errstate(divide="ignore"):
            log_weights = np.log(weights)
        noisy = np.where(self._free, log_weights + self._rng.gumbel(size=len(weights)), -np.inf)
        order = np.argsort(-noisy)[: int(np.isfinite(noisy).sum())]
        taken: list[int] = order[:most].tolist()
        limit = noisy[order[most]] if len(order) > most else -np.inf
        with np.errstate(over="ignore"):
            self._missed *= np.where(weights > 0.0, np.exp(-np.exp(log_weights - limit)), 1.0)
        self._free[taken] = False
        self._picked += [(place, reason, float(scores[place])) for place in taken]
        return taken

    def picks(self) -> list[Pick]:
        """All that was drawn, in order."""
        chance = np.clip(1.0 - self._missed, _TINY, 1.0)
        return [Pick(place, reason, score, float(chance[place])) for place, reason, score in self._picked]


def fill(
    candidates: Candidates,
    known: NDArray[np.float32],
    room: Mapping[Slot, int],
    lacking: Collection[str],
    seed: int,
) -> list[Pick]:
    """Fill the slots of a budget.

    Args:
        candidates: distinct texts.
        known: embeddings of what is labelled or waits for it, unit length, float32 (m, d); m may be 0.
        room: items by slot; what one cannot use goes to `margin`.
        lacking: classes with fewer items than their floor; each gets one of the margin slot's, if it has any.
        seed: of the noise.
    """
    draws = Draws(len(candidates), seed)
    unsure = 1.0 - candidates.margins
    picked = draws.draw(DISAGREEMENT, unsure, candidates.disputed.astype(np.float64), room.get("reported", 0))
    picked += draws.draw("witness", *_strange(candidates.typicality), room.get("witness", 0))
    labelled = known if known.shape[1] == candidates.vectors.shape[1] else candidates.vectors[:0]
    for _ in range(room.get("diverse", 0)):
        near = np.concatenate([labelled, candidates.vectors[picked]])
        picked += draws.draw("diverse", *_unlike(unsure, candidates.vectors, near), 1)
    rest, weights = sum(room.values()) - len(picked), _by_margin(unsure)
    for label in sorted(set(lacking) & set(candidates.labels))[:rest]:
        of_class = np.array([each == label for each in candidates.labels])
        rest -= len(draws.draw("margin", unsure, weights * of_class, 1))
    draws.draw("margin", unsure, weights, rest)
    return draws.picks()


def _by_margin(unsure: NDArray[np.float64]) -> NDArray[np.float64]:
    weights: NDArray[np.float64] = np.maximum(unsure, _TINY) ** POWER
    return weights


def _strange(typicality: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Score and weight by rank, the least typical first: what typicality measures has another scale in every model."""
    known = np.isfinite(typicality)
    rank = np.argsort(np.argsort(np.where(known, typicality, np.inf)))
    return np.where(known, -typicality, 0.0), known / (rank + 1.0) ** 2


def _unlike(
    unsure: NDArray[np.float64], vectors: NDArray[np.float32], near: NDArray[np.float32]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Score and weight by distance from the nearest labelled or picked one, among the uncertain (k-means++)."""
    told = vectors.any(axis=1)
    if not len(near):
        return told.astype(np.float64), told * _by_margin(unsure)
    nearest = (vectors @ near.T).max(axis=1).astype(np.float64)
    distance: NDArray[np.float64] = np.clip(1.0 - nearest, 0.0, 2.0)
    return distance, told * distance * _by_margin(unsure)
