"""Characters and words of texts: how many characters of which kind each holds, in one pass over a batch's code points.

A table of the Basic Multilingual Plane says of each code point its script, its category and whether it is ASCII; one
`bincount` over (text, kind) does the rest, at some 0.5 us a text of 100 characters. Used by `monitoring.features`, and
by `exporters.slices`. Limits: scripts by Unicode block, not by the Script property, which Python does not have;
characters beyond the plane are looked up one by one (Han and emoji, mostly).
Source: Unicode blocks, https://www.unicode.org/Public/UNIDATA/Blocks.txt.
"""

import re
import unicodedata
from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

SCRIPTS = ("none", "latin", "greek", "cyrillic", "hebrew", "arabic", "indic", "thai", "hangul", "kana", "han", "other")
CATEGORIES = ("rest", "digit", "punctuation", "upper")

_WORD = re.compile(r"[^\W\d_]{2,40}")
_PLANE = 0x10000
_KINDS = 2 * len(SCRIPTS) * len(CATEGORIES)  # kind = (non-ASCII, script, category)
# First code point of a run of blocks -> script of the letters in it, up to the next one.
_BLOCKS = (
    (0x0000, "latin"), (0x0370, "greek"), (0x0400, "cyrillic"), (0x0530, "other"), (0x0590, "hebrew"),
    (0x0600, "arabic"), (0x0780, "other"), (0x08A0, "arabic"), (0x0900, "indic"), (0x0E00, "thai"), (0x0E80, "other"),
    (0x1100, "hangul"), (0x1200, "other"), (0x1C80, "cyrillic"), (0x1C90, "other"), (0x1E00, "latin"),
    (0x1F00, "greek"), (0x2000, "other"), (0x2C60, "latin"), (0x2C80, "other"), (0x2DE0, "cyrillic"),
    (0x2E00, "other"), (0x2E80, "han"), (0x3040, "kana"), (0x3100, "han"), (0x3130, "hangul"), (0x3190, "han"),
    (0xA000, "other"), (0xA640, "cyrillic"), (0xA6A0, "other"), (0xA720, "latin"), (0xA800, "other"),
    (0xAC00, "hangul"), (0xD800, "other"), (0xF900, "han"), (0xFB00, "latin"), (0xFB1D, "hebrew"),
    (0xFB50, "arabic"), (0xFE00, "other"), (0xFE70, "arabic"), (0xFF00, "latin"), (0xFF65, "kana"),
    (0xFFA0, "hangul"), (0xFFE0, "other"), (0x10000, "other"), (0x1B000, "kana"), (0x1B170, "other"),
    (0x20000, "han"), (0x323B0, "other"),
)  # fmt: skip
_STARTS = np.array([start for start, _ in _BLOCKS])


def words_of(text: str) -> set[str]:
    """The distinct words of a text, in lower case."""
    return set(_WORD.findall(text.lower()))


class Counts:
    """Characters of some texts by kind.

    Attributes:
        chars: of each text, float64 (texts,), as all of them.
        digit, punctuation, upper, non_ascii: of each kind; punctuation includes symbols (categories P and S).
        repeated: characters equal to the one before them.
        script: of most letters, an index into `SCRIPTS`, (texts,); 0 where there are no letters.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        codes = np.frombuffer("".join(texts).encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
        lengths = np.array([len(text) for text in texts], dtype=np.int64)
        owner = np.repeat(np.arange(len(texts)), lengths)  # (characters,): whose each is
        counts = np.bincount(owner * _KINDS + _kinds(codes), minlength=len(texts) * _KINDS)
        table = counts.reshape(len(texts), 2, len(SCRIPTS), len(CATEGORIES)).astype(np.float64)
        by_category = table.sum(axis=(1, 2))  # (texts, categories)
        self.chars: NDArray[np.float64] = lengths.astype(np.float64)
        self.digit, self.punctuation, self.upper = by_category[:, 1], by_category[:, 2], by_category[:, 3]
        self.non_ascii: NDArray[np.float64] = table[:, 1].sum(axis=(1, 2))
        same = (codes[1:] == codes[:-1]) & (owner[1:] == owner[:-1])
        self.repeated = np.bincount(owner[1:][same], minlength=len(texts)).astype(np.float64)
        letters = table.sum(axis=(1, 3))[:, 1:]  # (texts, scripts); "none" has no letters
        self.script = np.where(letters.any(axis=1), letters.argmax(axis=1) + 1, 0)


def _kinds(codes: NDArray[np.uint32]) -> NDArray[np.int64]:
    beyond = codes >= _PLANE
    kinds = _plane()[np.where(beyond, 0, codes)].astype(np.int64)
    if beyond.any():
        rare, place = np.unique(codes[beyond], return_inverse=True)
        kinds[beyond] = np.array([_kind(int(code)) for code in rare], dtype=np.int64)[place]
    return kinds


@cache
def _plane() -> NDArray[np.uint8]:
    """The kind of each code point below 0x10000; built once, in some 50 ms."""
    return np.array([_kind(code) for code in range(_PLANE)], dtype=np.uint8)


def _kind(code: int) -> int:
    category = unicodedata.category(chr(code))
    script = 0
    if category[0] in "LM":
        block = int(np.searchsorted(_STARTS, code, side="right")) - 1
        script = SCRIPTS.index(_BLOCKS[block][1])
    place = 1 if category[0] == "N" else 2 if category[0] in "PS" else 3 if category == "Lu" else 0
    return ((code > 127) * len(SCRIPTS) + script) * len(CATEGORIES) + place
