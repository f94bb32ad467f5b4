"""Slices: parts of the evaluation data on which a variant is right less often than on the rest.

Slices are made of what is known of each text (length, unknown words, digits, capitals, script, frequent words) and of
its true and answered label; each is held against all other rows by Fisher's exact test. Looking at hundreds of slices
finds bad ones by luck, so p-values are adjusted over all that were tried. Pure functions; before: `health`.
Limits: a slice and its rest have 20 rows or more; slices overlap, and one may be bad because another is.
Sources: Benjamini & Hochberg 1995; Chung et al. 2019, "Slice Finder".
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tidegate.characters import SCRIPTS, Counts, words_of
from tidegate.health import Slice
from tidegate.intervals import difference
from tidegate.preprocess import Encoded
from tidegate.proportions import surprise

LEAST_ROWS = 20
MOST_KEPT = 40
MOST_WORDS = 300  # the most frequent; each is one more that may look bad by luck

Mask = NDArray[np.bool_]  # which rows, (rows,)


@dataclass(frozen=True, slots=True)
class Group:
    """Some rows, and what they have in common."""

    kind: str
    name: str
    mask: Mask


def groups_of_texts(texts: Sequence[str], encoded: Sequence[Encoded]) -> list[Group]:
    """Groups by what the texts are, whatever a model says of them.

    Args:
        texts: one or more.
        encoded: the same as the model takes them.
    """
    count = Counts(texts)
    chars = np.maximum(count.chars, 1.0)
    length = np.array([row.length for row in encoded], dtype=np.float64)
    unknown = np.array([row.unknown for row in encoded], dtype=np.float64)
    scripts = [SCRIPTS[int(place)] for place in count.script]
    return [
        *_quarters("length", length, "{:.0f} tokens"),
        *_quarters("unknown rate", 100.0 * unknown / np.maximum(length + unknown, 1.0), "{:.1f} %"),
        *_quarters("digits", 100.0 * count.digit / chars, "{:.1f} % of characters"),
        *_quarters("capitals", 100.0 * count.upper / chars, "{:.1f} % of characters"),
        Group("truncated", "longer than the model takes", np.array([row.truncated for row in encoded], dtype=np.bool_)),
        *groups_of_names("script", scripts),
        *_words(texts),
    ]


def groups_of_names(kind: str, names: Sequence[str]) -> list[Group]:
    """A group for each name that occurs."""
    given = np.array(names, dtype=object)
    return [Group(kind, name, given == name) for name in sorted(set(names))]


def find_slices(groups: Sequence[Group], right: Mask) -> tuple[tuple[Slice, ...], int]:
    """The slices that lose most accuracy by the lower end of its interval, worst first, and how many were tried.

    Args:
        groups: of all rows, overlapping or not.
        right: whether each row was answered right.
    """
    tried = [group for group in groups if LEAST_ROWS <= int(group.mask.sum()) <= len(right) - LEAST_ROWS]
    counts = [(int(group.mask.sum()), int(right[group.mask].sum())) for group in tried]
    rows, hits = len(right), int(right.sum())
    chances = [10.0 ** -surprise(hits - good, rows - own, good, own) for own, good in counts]
    found = [
        Slice(kind=group.kind, name=group.name, rows=own, right=good, adjusted_p=p)
        for group, (own, good), p in zip(tried, counts, adjusted(chances), strict=True)
    ]
    found.sort(key=lambda each: -_least_loss(each, rows, hits))
    return tuple(found[:MOST_KEPT]), len(tried)


def adjusted(chances: Sequence[float]) -> list[float]:
    """P-values after Benjamini and Hochberg: calling those up to q found leaves a share q of false ones, on average."""
    order = sorted(range(len(chances)), key=lambda place: -chances[place])
    found, least = [1.0] * len(chances), 1.0
    for above, place in enumerate(order):
        least = min(least, chances[place] * len(chances) / (len(chances) - above))
        found[place] = least
    return found


def _least_loss(part: Slice, rows: int, hits: int) -> float:
    rest = rows - part.rows
    return difference((hits - part.right) / rest, rest, part.right / part.rows, part.rows)[0]


def _quarters(kind: str, values: NDArray[np.float64], shown: str) -> Iterator[Group]:
    """Four parts of about one size; fewer where many values are one."""
    ends = [*np.unique(np.quantile(values, (0.25, 0.5, 0.75))).tolist(), float(values.max())]
    low = -np.inf
    for end in ends:
        mask = (values > low) & (values <= end)
        if mask.any():
            least, most = shown.format(values[mask].min()), shown.format(values[mask].max())
            yield Group(kind, least if least == most else f"{least.split()[0]} to {most}", mask)
        low = end


def _words(texts: Sequence[str]) -> Iterator[Group]:
    """Texts that say a word, for the words that enough of them say."""
    said = [words_of(text) for text in texts]
    counts = Counter(word for words in said for word in words)
    for word, count in sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))[:MOST_WORDS]:
        if count >= LEAST_ROWS:
            yield Group("word", word, np.array([word in words for words in said], dtype=np.bool_))
