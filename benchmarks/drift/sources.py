"""The rows that are watched: real sentences beside the checkout and made-up headlines, and how they are split.

A universe holds a data set's own rows, a changed copy of each for the shifts that change texts, and rows from
elsewhere; a split names which of its own rows train, calibrate and stay fresh, so that every split and every
contestant speaks of the same rows. A third train, some evaluate (reference and calibration), half stays fresh.
Before: the CSV files of `../shared/data` (their licences let them be used, not shipped); after: `models`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from random import Random

import numpy as np
from numpy.typing import NDArray

from benchmarks.drift import foreign, shifts
from examples.headlines import generate
from exporters.texts import Row, read_rows
from tidegate.environments import CHECKOUT
from tidegate.errors import UsageError

Index = NDArray[np.int64]

SHARED = CHECKOUT.parent / "shared" / "data"
_FILES = {"financial": "financial_phrasebank.csv", "movies": "movie_reviews.csv"}
DATA = ("financial", "movies", "headlines")
_OTHER_DOMAIN = {"financial": "movies", "movies": "financial"}
HEADLINES = 3_000 + 40_000  # as many as quickstart trains on, and enough fresh ones for streams of windows of 5,000
_ELSEWHERE_ROWS = 1_500
_TRAINING, _EVALUATION = 0.35, 0.15
_UNSEEN_EVALUATION = 0.4
_HEADLINES_TRAINING, _HEADLINES_EVALUATION = 2_100, 900
_SEED = 20_261


@dataclass(frozen=True, slots=True)
class Universe:
    """All rows of one data set.

    Attributes:
        texts, truths: every row; a row from elsewhere has the truth "".
        own: how many of them, the first, are the data set's own.
        changed: shift to the row of each own row's changed copy, shape (own,).
        elsewhere: shift to rows that come from elsewhere.
        topics: topic of each own row, shape (own,).
    """

    name: str
    texts: tuple[str, ...]
    truths: tuple[str, ...]
    own: int
    changed: dict[str, Index]
    elsewhere: dict[str, Index]
    topics: Index


@dataclass(frozen=True, slots=True)
class Split:
    """Rows of a universe: what trains, what the reference and its calibration are made of, what nobody has seen."""

    seed: int
    training: Index
    evaluation: Index
    fresh: Index


@cache
def universe(name: str) -> Universe:
    """The universe of a data set; the same at every call.

    Raises:
        UsageError: the shared data does not lie beside the checkout.
    """
    rows = _rows(name)
    texts = [text for text, _ in rows]
    truths = [label for _, label in rows]
    changed, elsewhere = {}, {}
    if name not in _OTHER_DOMAIN:  # made-up rows are for drift-free streams alone
        return Universe(name, tuple(texts), tuple(truths), len(rows), {}, {}, np.zeros(len(rows), dtype=np.int64))
    for kind, change in shifts.CHANGES.items():
        changed[kind] = np.arange(len(texts), len(texts) + len(rows))
        rng = Random(_SEED)
        texts += [change(text, rng) for text, _ in rows]
        truths += [label for _, label in rows]
    for kind, others in _elsewhere(name).items():
        elsewhere[kind] = np.arange(len(texts), len(texts) + len(others))
        texts += others
        truths += [""] * len(others)
    topics = shifts.topics([text for text, _ in rows], np.random.default_rng(_SEED))
    return Universe(name, tuple(texts), tuple(truths), len(rows), changed, elsewhere, topics)


def split(of: Universe, seed: int, unseen: Index | None = None) -> Split:
    """A split of the universe's own rows.

    Args:
        of: the universe.
        seed: another seed, another split.
        unseen: rows that a model which exists already was not fitted to; its training rows are all others, and
            two fifths of these evaluate.
    """
    rng = np.random.default_rng([_SEED, seed])
    if unseen is not None:
        order, evaluating = rng.permutation(unseen), round(_UNSEEN_EVALUATION * len(unseen))
        seen = np.setdiff1d(np.arange(of.own), unseen)
        return Split(seed, seen, order[:evaluating], order[evaluating:])
    order = rng.permutation(of.own)
    headlines = of.name == "headlines"
    training = _HEADLINES_TRAINING if headlines else round(_TRAINING * of.own)
    evaluation = _HEADLINES_EVALUATION if headlines else round(_EVALUATION * of.own)
    return Split(seed, order[:training], order[training : training + evaluation], order[training + evaluation :])


def affected(of: Universe, part: Split, shift: shifts.Shift) -> Index:
    """The rows that a shift brings in, of those that nobody has seen."""
    kind, fresh = shift.kind, part.fresh
    if kind in of.changed:
        return of.changed[kind][fresh]
    if kind in of.elsewhere:
        return of.elsewhere[kind]
    if kind == "topic":
        rng = np.random.default_rng([_SEED, part.seed])
        grown = rng.choice(shifts.TOPICS, shifts.GROWN_TOPICS, replace=False)
        return fresh[np.isin(of.topics[fresh], grown)]
    truths = np.array([of.truths[row] for row in fresh])
    names, counts = np.unique(truths, return_counts=True)
    rarest: Index = fresh[truths == names[counts.argmin()]]
    return rarest


def _rows(name: str) -> list[Row]:
    """Different texts with their labels."""
    if name == "headlines":
        return generate(HEADLINES, _SEED)
    file = SHARED / _FILES[name]
    if not file.is_file():
        raise UsageError(
            f"{file} is not there; the drift bench measures on it, so put the shared data beside the checkout"
        )
    return list(dict(reversed(read_rows(file, "text", "label"))).items())[::-1]


def _elsewhere(name: str) -> dict[str, list[str]]:
    rng = Random(_SEED)
    others = [text for text, _ in _rows(_OTHER_DOMAIN[name])]
    return {
        "domain": rng.sample(others, _ELSEWHERE_ROWS),
        "language": foreign.sentences(_ELSEWHERE_ROWS, rng),
        "spam": foreign.advertising(_ELSEWHERE_ROWS, rng),
    }


def recipe_unseen(of: Universe, evaluation: Sequence[str], validation: Sequence[str]) -> Index:
    """Own rows among given texts: what a trained model's recipe held back."""
    held = {*evaluation, *validation}
    return np.array([row for row in range(of.own) if of.texts[row] in held], dtype=np.int64)
