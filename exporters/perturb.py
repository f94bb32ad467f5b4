"""Corrupted copies of labelled texts: what production does to texts, done to evaluation rows on purpose.

Labels stay true, so the deployed variant's answers to the copies show how its confidence relates to being right
where texts are damaged: the accuracy estimate (`monitoring.accuracy`) is fitted on them beside the rows as they are.
Each kind is damage that pipelines cause: typing errors, a wrong decoding, a cut field, a lost or doubled column.
Before: the evaluation split; after: the chosen variant answers, then the reference is built. Limits: kinds that
alter what a text says (translation, negation) are left out, since its label would no longer hold.
Source: Hendrycks & Dietterich 2019 (fit and test on different corruptions); Ribeiro et al. 2020, CheckList.
"""

import string
from collections.abc import Callable, Sequence
from random import Random

from exporters.texts import Row

MAX_COPIES = 2_800  # 400 of each kind, so that the strong half of one still has 200

Damage = Callable[[str, float, Random], str]  # text, strength from 0 to 1, randomness -> text

# Where typing fingers slip to; a US keyboard's neighbours.
_NEIGHBOURS = {
    "a": "qs", "b": "vn", "c": "xv", "d": "sf", "e": "wr", "f": "dg", "g": "fh", "h": "gj", "i": "uo", "j": "hk",
    "k": "jl", "l": "kp", "m": "n", "n": "bm", "o": "ip", "p": "ol", "q": "wa", "r": "et", "s": "ad", "t": "ry",
    "u": "yi", "v": "cb", "w": "qe", "x": "zc", "y": "tu", "z": "xa",
}  # fmt: skip
_ACCENTED = dict(zip("aeiouycnsz", "áéíóúýçñšž", strict=True))


def perturbed(rows: Sequence[Row], seed: int) -> list[Row]:
    """Corrupted copies of rows, with their labels: kind after kind, each from hardly visible to hardly readable.

    That order is what `monitoring.accuracy_fit` relies on: it leaves out one kind at a time to see how far the
    estimate errs on damage it was not fitted on. Every kind gets the same number of copies, of rows drawn anew. The
    same rows and seed give the same copies; none is empty.
    """
    rng = Random(seed)
    count = min(len(rows), MAX_COPIES // len(KINDS))
    return [
        (_damaged(kind, text, place / count, rng), label)
        for kind in KINDS
        for place, (text, label) in enumerate(rng.sample(list(rows), count))
    ]


def _damaged(kind: Damage, text: str, strength: float, rng: Random) -> str:
    copy = kind(text, strength, rng)
    return copy if copy.strip() else text


def typos(text: str, strength: float, rng: Random) -> str:
    """Slipped, lost, doubled and swapped letters: up to one letter in four."""
    share, chars, result = 0.02 + 0.23 * strength, list(text), []
    for place, char in enumerate(chars):
        if not char.isalpha() or rng.random() >= share:
            result.append(char)
            continue
        slip = rng.choice(_NEIGHBOURS.get(char.lower(), string.ascii_lowercase))
        following = chars[place + 1] if place + 1 < len(chars) else ""
        result.append(rng.choice((slip, "", char + char, following + char)))
    return "".join(result)


def mojibake(text: str, strength: float, rng: Random) -> str:
    """Accented letters in UTF-8 that were read as Windows-1252; English texts get their accents first."""
    share = 0.02 + 0.4 * strength
    accented = "".join(_ACCENTED.get(char, char) if rng.random() < share else char for char in text)
    return accented.encode("utf-8", "replace").decode("cp1252", "replace")


def cut(text: str, strength: float, rng: Random) -> str:
    """The start or the end of the text: a fifth of its words at least."""
    words = text.split() or [text]
    kept = max(1, round(len(words) * (0.9 - 0.7 * strength)))
    return " ".join(words[:kept] if rng.random() < 0.7 else words[-kept:])


def lost_words(text: str, strength: float, rng: Random) -> str:
    """Words dropped, up to two in three."""
    words = text.split() or [text]
    return " ".join(word for word in words if rng.random() >= 0.05 + 0.6 * strength) or words[0]


def shouted(text: str, strength: float, rng: Random) -> str:
    """Words in capitals, few or all."""
    return " ".join(word.upper() if rng.random() < 0.3 + strength else word for word in text.split())


def joined(text: str, strength: float, rng: Random) -> str:
    """White space lost between words, as line breaks are."""
    words = text.split()
    return "".join(word + ("" if rng.random() < 0.05 + 0.5 * strength else " ") for word in words).rstrip()


def littered(text: str, strength: float, rng: Random) -> str:
    """Markup, numbers and marks between the words."""
    litter = ("<br/>", "&amp;", "&nbsp;", "|", "##", "...", "http://t.co/x1", "\\n", "@user", "12345", "-->", ";;")
    words = [part for word in text.split() for part in _with(word, rng.choice(litter), strength, rng)]
    return " ".join(words)


def _with(word: str, litter: str, strength: float, rng: Random) -> tuple[str, ...]:
    return (word, litter) if rng.random() < 0.05 + 0.5 * strength else (word,)


KINDS: tuple[Damage, ...] = (typos, mojibake, cut, lost_words, shouted, joined, littered)
