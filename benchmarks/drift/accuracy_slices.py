"""Labelled texts in slices of known shift: what an accuracy estimate is tried on. Seeds are fixed.

Damage of kinds that no estimate was fitted on (letters swapped for digits, look-alikes or scanner's errors, vowels,
capitals or order lost, letters spaced out) and of fitted kinds at fixed strengths; parts of a data set by length,
digits, a common word, rare words; other class frequencies; mixtures. And slices of concept drift: the same texts,
whose labels mean something else. Sizes are those of the fresh part, or half of it.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from random import Random

from exporters import perturb
from exporters.texts import Row

Damage = Callable[[str, Random], str]


@dataclass(frozen=True, slots=True)
class Slice:
    """Rows with their true labels, and what has been done to them."""

    name: str
    rows: list[Row]


def _swapped(table: dict[str, str], share: float) -> Damage:
    return lambda text, rng: "".join(table.get(char, char) if rng.random() < share else char for char in text)


def _shuffled(text: str, rng: Random) -> str:
    words = text.split()
    rng.shuffle(words)
    return " ".join(words)


def _fewer_vowels(text: str, rng: Random) -> str:
    return "".join(char for char in text if char not in "aeiou" or rng.random() < 0.5)


def _spaced(text: str, rng: Random) -> str:
    return "".join(char + (" " if rng.random() < 0.1 else "") for char in text)


# None of these is among `exporters.perturb.KINDS`.
UNSEEN: dict[str, Damage] = {
    "digits for letters": _swapped(dict(zip("aeiost", "431057", strict=True)), 0.3),
    "look-alike letters": _swapped(
        dict(zip("aeopcxyi", "\u0430\u0435\u043e\u0440\u0441\u0445\u0443\u0456", strict=True)), 0.2
    ),
    "scanner's errors": _swapped({"l": "1", "o": "0", "m": "rn", "e": "c", "i": "l", "s": "5", "h": "b"}, 0.15),
    "half the vowels": _fewer_vowels,
    "lower case": lambda text, _: text.lower(),
    "words shuffled": _shuffled,
    "letters spaced": _spaced,
}
STRENGTHS = (0.25, 0.5)


def slices(fresh: Sequence[Row], seed: int = 0) -> Iterator[Slice]:
    """Every shifted slice of some fresh rows."""
    yield Slice("as it is", list(fresh))
    damages = UNSEEN | {
        f"{kind.__name__} at {strength}": _at(kind, strength) for kind in perturb.KINDS for strength in STRENGTHS
    }
    for name, damage in damages.items():
        damaged = _apply(fresh, damage, seed)
        yield Slice(name, damaged)
        if name in UNSEEN:
            rng = Random(seed)
            yield Slice(
                f"40 % {name}", [bad if rng.random() < 0.4 else good for good, bad in zip(fresh, damaged, strict=True)]
            )
    yield from _parts(fresh)
    yield from _frequencies(fresh, seed)


def concepts(fresh: Sequence[Row], frequent: float = 0.15) -> Iterator[Slice]:
    """Slices whose labels mean something else: classes exchanged or renamed, everywhere or in a region.

    A class of fewer than `frequent` of the rows is not renamed alone: nearly every answer would stay right.
    """
    labels = sorted({label for _, label in fresh})
    counts = Counter(label for _, label in fresh)
    following = dict(zip(labels, labels[1:] + labels[:1], strict=True))
    for place, one in enumerate(labels):
        for other in labels[place + 1 :]:
            exchanged = {one: other, other: one}
            yield Slice(f"{one} and {other} exchanged", [(t, exchanged.get(label, label)) for t, label in fresh])
        if counts[one] >= frequent * len(fresh):
            yield Slice(f"{one} renamed", [(t, following[one] if label == one else label) for t, label in fresh])
    lengths = sorted(len(text) for text, _ in fresh)
    word = _common_word(fresh)
    regions: dict[str, Callable[[str], bool]] = {
        "long": lambda text: len(text) > lengths[int(0.6 * len(lengths))],
        "short": lambda text: len(text) < lengths[int(0.4 * len(lengths))],
        f"with {word!r}": lambda text: word in text.lower().split(),
    }
    for name, within in regions.items():
        yield Slice(f"labels moved where {name}", [(t, following[label] if within(t) else label) for t, label in fresh])


def _at(kind: Callable[[str, float, Random], str], strength: float) -> Damage:
    return lambda text, rng: kind(text, strength, rng)


def _apply(rows: Sequence[Row], damage: Damage, seed: int) -> list[Row]:
    rng = Random(seed)
    return [(damage(text, rng) or text, label) for text, label in rows]


def _parts(fresh: Sequence[Row]) -> Iterator[Slice]:
    by_length = sorted(fresh, key=lambda row: len(row[0]))
    half = len(fresh) // 2
    yield Slice("short half", by_length[:half])
    yield Slice("long half", by_length[half:])
    word = _common_word(fresh)
    traits: dict[str, Callable[[str], bool]] = {
        "with digits": lambda text: any(map(str.isdigit, text)),
        f"with {word!r}": lambda text: word in text.lower().split(),
    }
    for name, within in traits.items():
        for wanted in (True, False):
            part = [row for row in fresh if within(row[0]) == wanted]
            if len(part) >= len(fresh) // 3:
                yield Slice(name if wanted else f"not {name}", part)


def _frequencies(fresh: Sequence[Row], seed: int) -> Iterator[Slice]:
    """Each class three times as frequent among the others as before: others are left out at random."""
    for wanted in sorted({label for _, label in fresh}):
        rng = Random(seed)
        kept = [row for row in fresh if row[1] == wanted or rng.random() < 1 / 3]
        yield Slice(f"three times the {wanted}", kept)


def _common_word(rows: Sequence[Row]) -> str:
    """The word that comes nearest to being in four of ten texts."""
    counts = Counter(word for text, _ in rows for word in set(text.lower().split()) if word.isalpha())
    return min(sorted(counts), key=lambda word: abs(counts[word] / len(rows) - 0.4))
