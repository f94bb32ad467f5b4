"""Corrupted copies of labelled texts: what typing, encoding and cutting do to them, with their labels kept.

Before: evaluation rows; after: `pipeline` runs the copies through the chosen variant, so that the reference knows what
the model answers, and how often it is right, on texts that are worse than those it was evaluated on.
Limits: one kind of corruption a copy, of random strength; a label is taken to outlive the corruption of its text.
"""

from collections.abc import Callable, Sequence
from random import Random
from string import ascii_lowercase

from exporters.texts import Row, sample_rows

MAX_COPIES = 1_000  # as many as the evaluation split typically has rows; each costs one run of the model

Corruption = Callable[[str, float, Random], str]  # text, strength in (0, 1], randomness -> text


def perturbed(rows: Sequence[Row], seed: int) -> list[Row]:
    """One corrupted copy of each row, of at most `MAX_COPIES` rows; the same ones for the same seed."""
    random = Random(seed)
    return [(_corrupted(text, random), label) for text, label in sample_rows(rows, MAX_COPIES, seed)]


def _corrupted(text: str, random: Random) -> str:
    copy = random.choice(KINDS)(text, 1.0 - random.random(), random)
    return copy if copy.strip() else text


def typos(text: str, strength: float, random: Random) -> str:
    """Up to 30 % of the characters dropped, doubled or replaced."""
    edits: list[Callable[[str], str]] = [lambda _: "", lambda c: c + c, lambda _: random.choice(ascii_lowercase)]
    return "".join(random.choice(edits)(char) if random.random() < 0.3 * strength else char for char in text)


def mojibake(text: str, strength: float, random: Random) -> str:
    """UTF-8 read as Latin-1, after accents came upon some of the vowels."""
    accented = str.maketrans("aeiouAEIOU", "äéîöüÄÉÎÖÜ")
    marked = "".join(char.translate(accented) if random.random() < strength else char for char in text)
    return marked.encode("utf-8", "replace").decode("latin-1")


def truncated(text: str, strength: float, _random: Random) -> str:
    """The beginning: at the greatest strength the first third."""
    return text[: max(1, round(len(text) * (1 - 2 / 3 * strength)))]


def shouted(text: str, strength: float, random: Random) -> str:
    """Words in capitals."""
    return " ".join(word.upper() if random.random() < strength else word for word in text.split(" "))


def gappy(text: str, strength: float, random: Random) -> str:
    """Up to half of the words dropped."""
    return " ".join(word for word in text.split() if random.random() >= 0.5 * strength)


KINDS: tuple[Corruption, ...] = (typos, mojibake, truncated, shouted, gappy)
