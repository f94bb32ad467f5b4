"""Which words an answer rests on: the text is asked again without each of them, and what changes is their share.

Pure: `split` cuts a text into words, or into runs of words where there are many, `without` leaves one out, `weigh`
turns scores into effects. Before: `demos.client.Client.weigh_words` asks, last in line; after: `demos.highlights`.
Limits: one part is left out at a time, so two words that say the same hide each other; a language that writes no
spaces between words, other than Chinese and Japanese, is one word.
Source: occlusion, Zeiler and Fergus 2014, "Visualizing and Understanding Convolutional Networks", section 4.2;
of words: Li, Monroe and Jurafsky 2016, "Understanding Neural Networks through Representation Erasure".
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

MOST_PARTS = 48  # extra runs of one explanation; more words than this are left out several at a time
MOST_CHARS = 5_000  # of a text that is explained: every run reads nearly all of it

_EDGE = 1e-6  # nearer to certainty, float32 scores are noise

# Chinese characters and Japanese syllables stand for themselves; elsewhere, what stands between spaces is a word.
_OWN = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_WORD = re.compile(rf"[{_OWN}]|[^\s{_OWN}]+")


@dataclass(frozen=True, slots=True)
class Part:
    """A word, or a run of words: where it starts and stops in its text."""

    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class Piece:
    """A part with its effect.

    Attributes:
        gap: what stands before it in the text.
        text: the part itself.
        effect: log-odds of the answer minus its log-odds without the part; 1 is odds of e to 1. In log-odds, since a
            share of 99.9 % hardly moves by any one word.
        score: of the answer without the part, in [0, 1].
    """

    gap: str
    text: str
    effect: float
    score: float


@dataclass(frozen=True, slots=True)
class Explanation:
    """The pieces of a text in its order, and the label and score that they speak for or against."""

    label: str
    score: float
    pieces: Sequence[Piece]


def split(text: str, most: int = MOST_PARTS) -> list[Part]:
    """The words of a text, or, where there are more than `most`, runs of as many words each."""
    words = [match.span() for match in _WORD.finditer(text)]
    size = -(-len(words) // most) or 1
    runs = [words[first : first + size] for first in range(0, len(words), size)]
    return [Part(run[0][0], run[-1][1]) for run in runs]


def without(text: str, part: Part) -> str:
    """The text with a part left out."""
    return text[: part.start] + text[part.stop :]


def log_odds(score: float) -> float:
    """Of a probability, which is kept off 0 and 1 by `_EDGE`."""
    inside = min(max(score, _EDGE), 1 - _EDGE)
    return math.log(inside / (1 - inside))


def weigh(text: str, parts: Sequence[Part], score: float, scores: Sequence[float]) -> list[Piece]:
    """The pieces of a text.

    Args:
        text: what was explained.
        parts: of `split`.
        score: of the whole text, of the label that is explained.
        scores: of the same label, without each part.
    """
    starts = [0, *(part.stop for part in parts)]
    return [
        Piece(text[start : part.start], text[part.start : part.stop], log_odds(score) - log_odds(other), other)
        for start, part, other in zip(starts, parts, scores, strict=False)
    ]
