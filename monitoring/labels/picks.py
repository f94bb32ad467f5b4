"""Picks: the candidates that fill the slots of a budget, by `policies`, with what a day's budget asks beside them.

Classes below their floor each get one of the margin slot's items first. Versions' disagreements are drawn evenly before
they are handed over as reported ones, so that their probability is known, too. The witness is the rank of how untypical
a text is of the reference, since what typicality measures has another scale in every model.
Before: `candidates`; after: `slots`, `selection`. Pure: candidates, what is known, room and seed in, picks out.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from monitoring.labels import policies
from monitoring.labels.budget import DISAGREEMENT
from monitoring.labels.policies import REPORTED, Pick
from monitoring.labels.policies_information import Candidates, Labelled
from tidegate.label_slots import Slot

_WITNESS_POWER = 2.0  # of one over the rank: the ten strangest of a thousand have nine tenths of the chances


@dataclass(frozen=True, slots=True)
class Pool:
    """What there is to choose from.

    Attributes:
        candidates: distinct texts; reported are those that versions disagree on.
        labels: predicted ones, one a candidate; callers: who asked for each.
        known: embeddings of what the queue has, float32 (m, d); m may be 0.
        share: of the predictions that could have become candidates which did, in (0, 1].
    """

    candidates: Candidates
    labels: Sequence[str]
    callers: Sequence[str]
    known: NDArray[np.float32]
    share: float

    def slots(self) -> set[Slot]:
        """Those that some candidates could fill."""
        told: dict[Slot, bool] = {
            "margin": bool(self.labels),
            "diverse": bool(self.candidates.embedding.any()),
            "witness": bool((self.candidates.witness > 0.0).any()),
            "reported": bool(self.candidates.reported.any()),
        }
        return {slot for slot, filled in told.items() if filled}


def fill(pool: Pool, room: Mapping[Slot, int], lacking: Collection[str], seed: int) -> list[Pick]:
    """Fill the slots of a budget; `slot` of each pick is the reason that its item gets.

    Args:
        pool: what to choose from.
        room: items by slot; what one cannot use goes to `margin`.
        lacking: classes with fewer items than their floor.
        seed: of all that is drawn.
    """
    floor = _of_classes(pool, sorted(set(lacking) & set(pool.labels))[: room.get("margin", 0)], seed)
    rest = np.setdiff1d(np.arange(len(pool.labels)), [pick.row for pick in floor])
    most = min(sum(room.values()) - len(floor), len(rest))
    if most <= 0:
        return floor
    even, reported = _evenly(pool.candidates.reported[rest], room.get("reported", 0), seed)
    among = replace(_part(pool.candidates, rest), reported=reported)
    total = sum(room.values()) - len(floor)
    shares: dict[str, float] = {slot: items / total for slot, items in room.items() if slot != "margin"}
    chosen = policies.fill(among, _labelled(pool), most, seed, shares, floor=0)
    return floor + [_named(replace(pick, row=int(rest[pick.row])), even) for pick in chosen]


def witness_of(typicality: NDArray[np.float64]) -> NDArray[np.float64]:
    """How far each row pulls the window away from the reference, by rank; 0 where typicality is NaN: unknown."""
    known = np.isfinite(typicality)
    rank = np.argsort(np.argsort(np.where(known, typicality, np.inf)))
    weights: NDArray[np.float64] = known / (rank + 1.0) ** _WITNESS_POWER
    return weights


def _of_classes(pool: Pool, labels: Sequence[str], seed: int) -> list[Pick]:
    """One of each class, the uncertain first."""
    picked: list[Pick] = []
    for label in labels:
        rows = np.array([place for place, each in enumerate(pool.labels) if each == label])
        chosen = policies.margin(_part(pool.candidates, rows), _labelled(pool), 1, seed)
        picked += [replace(pick, row=int(rows[pick.row])) for pick in chosen]
    return picked


def _part(candidates: Candidates, rows: NDArray[np.int64]) -> Candidates:
    return Candidates(
        tuple(candidates.ids[row] for row in rows),
        candidates.scores[rows],
        candidates.embedding[rows],
        candidates.witness[rows],
        np.zeros(len(rows), dtype=np.bool_),
    )


def _evenly(reported: NDArray[np.bool_], most: int, seed: int) -> tuple[float, NDArray[np.bool_]]:
    """So many of the reported rows, and the chance that each had."""
    rows = np.flatnonzero(reported)
    if len(rows) <= most:
        return 1.0, reported
    drawn = np.zeros(len(reported), dtype=np.bool_)
    drawn[np.random.default_rng(seed).permutation(rows)[:most]] = True
    return most / len(rows), drawn


def _labelled(pool: Pool) -> Labelled:
    same_space = pool.known.shape[1] == pool.candidates.embedding.shape[1]
    return Labelled(pool.known if same_space else pool.candidates.embedding[:0])


def _named(pick: Pick, even: float) -> Pick:
    if pick.slot != REPORTED:
        return pick
    return replace(pick, slot=DISAGREEMENT, probability=pick.probability * even)
