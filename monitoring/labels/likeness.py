"""Likeness: which texts are nearly those of another set, by the share of words that they have in common.

Before: `data_sets`, which keeps texts out of training that are nearly ones of the evaluation; pure functions. Two texts
are alike when the Jaccard index of their sets of words is 0.9 or more: a longer sentence with one word changed. Pairs
are found by their rare words alone (prefix filtering), so tens of thousands of texts take seconds.
Source: Chaudhuri, Ganti, Kaushik 2006, "A primitive operator for similarity joins".
"""

import math
import re
from collections import Counter, defaultdict
from collections.abc import Sequence

ALIKE = 0.9
_WORD = re.compile(r"\w+")

Words = frozenset[str]


def alike(texts: Sequence[str], others: Sequence[str], least: float = ALIKE) -> list[int | None]:
    """For each text the place of one of `others` that it is alike, or None.

    Args:
        texts: to look at.
        others: to compare with.
        least: Jaccard index from which two are alike, in (0, 1].
    """
    ours, theirs = [_words(text) for text in texts], [_words(text) for text in others]
    common = Counter(word for words in (*ours, *theirs) for word in words)
    index: dict[str, list[int]] = defaultdict(list)
    for place, words in enumerate(theirs):
        for word in _rare(words, common, least):
            index[word].append(place)
    return [_like(words, theirs, index, common, least) for words in ours]


def _like(
    words: Words, theirs: Sequence[Words], index: dict[str, list[int]], common: Counter[str], least: float
) -> int | None:
    near = {place for word in _rare(words, common, least) for place in index.get(word, ())}
    return min((place for place in near if _jaccard(words, theirs[place]) >= least), default=None)


def _rare(words: Words, common: Counter[str], least: float) -> list[str]:
    """The rarest words of a text, one of which every text that is alike has too."""
    kept = len(words) - math.ceil(least * len(words)) + 1
    return sorted(words, key=lambda word: (common[word], word))[:kept]


def _jaccard(one: Words, other: Words) -> float:
    shared = len(one & other)
    return shared / (len(one) + len(other) - shared)


def _words(text: str) -> Words:
    """The words of a text; its characters where it has none."""
    return frozenset(_WORD.findall(text.casefold())) or frozenset(text.split()) or frozenset((text,))
