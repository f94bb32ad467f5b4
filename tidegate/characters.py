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
_AT_ONCE = 128  # texts, whose characters and counts stay in the cache of a core
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
        parts = [_counted(texts[start : start + _AT_ONCE]) for start in range(0, len(texts), _AT_ONCE)]
        sums = np.ascontiguousarray(np.concatenate([np.zeros((0, _sums().shape[1] + 2)), *parts]).T)
        self.chars, self.repeated = sums[-2], sums[-1]
        self.digit, self.punctuation, self.upper, self.non_ascii = sums[:4]
        letters = sums[4:-2]  # (scripts but "none", texts)
        self.script = np.where(letters.any(axis=0), letters.argmax(axis=0) + 1, 0)


def _counted(texts: Sequence[str]) -> NDArray[np.float64]:
    """The sums of each text, its characters and those repeated, (texts, sums + 2)."""
    codes = np.frombuffer("".join(texts).encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    lengths = np.array([len(text) for text in texts], dtype=np.int64)
    owner = np.repeat(np.arange(len(texts)) * _KINDS, lengths)  # (characters,): where the counts of each begin
    counts = np.bincount(owner + _kinds(codes), minlength=len(texts) * _KINDS).reshape(len(texts), _KINDS)
    return np.column_stack([counts.astype(np.float64) @ _sums(), lengths, _repeated(codes, np.cumsum(lengths))])


def _repeated(codes: NDArray[np.uint32], ends: NDArray[np.int64]) -> NDArray[np.float64]:
    """Characters of each text that equal the one before them; texts end at `ends`, (texts,)."""
    same = codes[1:] == codes[:-1]
    same[ends[(ends > 0) & (ends < len(codes))] - 1] = False  # the last of one text and the first of the next
    owner = np.searchsorted(ends, np.flatnonzero(same), side="right")
    return np.bincount(owner, minlength=len(ends)).astype(np.float64)


def _kinds(codes: NDArray[np.uint32]) -> NDArray[np.uint8]:
    if not len(codes) or codes.max() < _PLANE:
        return _plane()[codes]
    beyond = codes >= _PLANE
    kinds = _plane()[np.where(beyond, 0, codes)]
    rare, place = np.unique(codes[beyond], return_inverse=True)
    kinds[beyond] = np.array([_kind(int(code)) for code in rare], dtype=np.uint8)[place]
    return kinds


@cache
def _sums() -> NDArray[np.float64]:
    """What counts by kind are multiplied by for those of digits, punctuation, upper case, non-ASCII and each script."""
    kinds = np.arange(_KINDS)
    script, category = kinds // len(CATEGORIES) % len(SCRIPTS), kinds % len(CATEGORIES)
    columns = [category == 1, category == 2, category == 3, kinds >= _KINDS // 2]
    columns += [script == place for place in range(1, len(SCRIPTS))]
    return np.column_stack(columns).astype(np.float64)


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
