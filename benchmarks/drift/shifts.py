"""The shifts: what share of the rows changes, and how. Fixed before anything was measured.

Each is what a year of serving brings: an upstream system that breaks an encoding or cuts a field, a new source of
texts, people in a hurry, a promotion that floods the input. Only the share of affected rows is moderate by choice;
the rest stays as fresh rows are. Topic mix and class prior change no text: they bring more of some rows.
Before: `sources`; after: `delay`.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

Change = Callable[[str, Random], str]

TOPICS, GROWN_TOPICS = 8, 2
_TYPO_WORDS = 0.1  # one word in ten: what a phone's keyboard without correction leaves
_KEPT_WORDS = 0.5
_HASHED, _PROJECTED, _ROUNDS = 4_096, 64, 15


@dataclass(frozen=True, slots=True)
class Shift:
    """One shift.

    Attributes:
        kind: how rows change; shifts of one kind differ in their share only.
        share: of rows that are affected, in (0, 1].
        title: as in tables.
    """

    name: str
    kind: str
    share: float
    title: str


SHIFTS = (
    Shift("topic", "topic", 0.3, "topic mix: 30 % more from 2 of 8 topics"),
    Shift("domain_10", "domain", 0.1, "other domain, 10 %"),
    Shift("domain_30", "domain", 0.3, "other domain, 30 %"),
    Shift("domain_100", "domain", 1.0, "other domain, 100 %"),
    Shift("language", "language", 0.2, "20 % German, Spanish, French"),
    Shift("mojibake", "mojibake", 0.3, "30 % with broken encoding"),
    Shift("typos", "typos", 0.5, "half of the rows: a typo in 10 % of the words"),
    Shift("truncation", "truncation", 0.3, "30 % cut to half"),
    Shift("prior", "prior", 0.2, "20 % more of the rarest class"),
    Shift("spam", "spam", 0.1, "10 % advertising"),
)

# What editors and phones put in place of ASCII; each is then read in the wrong encoding.
_TYPOGRAPHIC = {"'": "\u2019", "``": "\u201c", '"': "\u201d", " - ": " \u2013 ", "EUR": "\u20ac", "...": "\u2026"}


def break_encoding(text: str, rng: Random) -> str:
    """UTF-8 read as Windows-1252, after typographic characters and no-break spaces came in: `it's` -> `itâ€™s`."""
    for plain, typographic in _TYPOGRAPHIC.items():
        text = text.replace(plain, typographic)
    text = re.sub(" ", lambda space: "\u00a0" if rng.random() < 0.05 else space[0], text)
    return text.encode("utf-8").decode("cp1252", errors="replace")


def misspell(text: str, rng: Random) -> str:
    """One slip in some of the longer words: two letters swapped, one lost, or one doubled."""
    return " ".join(
        _slip(word, rng) if len(word) > 3 and rng.random() < _TYPO_WORDS else word for word in text.split(" ")
    )


def cut(text: str, rng: Random) -> str:
    """The first half of the words, as a field that became too short leaves them; the last word is broken off."""
    words = text.split(" ")
    kept = " ".join(words[: max(1, round(_KEPT_WORDS * len(words)))])
    return kept[: len(kept) - rng.randrange(min(3, len(kept)))] if len(kept) > 1 else kept


CHANGES: dict[str, Change] = {"mojibake": break_encoding, "typos": misspell, "truncation": cut}


def topics(texts: Sequence[str], rng: np.random.Generator) -> NDArray[np.int64]:
    """Topic of each text, shape (texts,), in [0, TOPICS): k-means of projected bags of words, on the sphere.

    No contestant sees the world this way: words are hashed, and neither their embedding nor ours is used.
    """
    bags = np.stack([_bag(text) for text in texts])  # (texts, _HASHED)
    seen = (bags > 0).sum(axis=0)
    bags *= np.log(len(texts) / np.maximum(seen, 1.0)) * (seen > 1)
    points = bags @ rng.standard_normal((_HASHED, _PROJECTED)).astype(np.float32)  # (texts, _PROJECTED)
    points /= np.maximum(np.linalg.norm(points, axis=1, keepdims=True), 1e-9)
    centres = points[rng.choice(len(points), TOPICS, replace=False)]
    for _ in range(_ROUNDS):
        nearest = (points @ centres.T).argmax(axis=1)
        centres = np.stack([points[nearest == one].sum(axis=0) + 1e-9 for one in range(TOPICS)])
        centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    topic: NDArray[np.int64] = (points @ centres.T).argmax(axis=1)
    return topic


def _bag(text: str) -> NDArray[np.float32]:
    bag = np.zeros(_HASHED, dtype=np.float32)
    for word in re.findall(r"[a-z]{3,}", text.lower()):
        bag[crc32(word.encode()) % _HASHED] = 1.0
    return bag


def _slip(word: str, rng: Random) -> str:
    place = rng.randrange(1, len(word) - 1)
    kind = rng.randrange(3)
    if kind == 0:
        return word[:place] + word[place + 1] + word[place] + word[place + 2 :]
    return word[:place] + word[place + 1 :] if kind == 1 else word[:place] + word[place] + word[place:]
