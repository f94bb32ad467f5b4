"""Words: in how many documents each occurs, and which are new or gone since the reference.

`words.json` of a bundle is a small table of the training texts' words (5,000 at most, each in two documents or more);
a window's are counted from its kept records, only when somebody asks why it drifted. Shares of documents are compared
by `proportions`, and the words shown are those that Bonferroni's correction leaves.
Before: `reference` writes the table; after: `attribution`. Limits: words are runs of letters, so languages that put
no spaces between them yield clauses instead; a word missing from a full table counts as common as its rarest.
"""

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field, ValidationError

from tidegate.bundle import Part, first_fault
from tidegate.characters import words_of
from tidegate.errors import BundleCorrupt
from tidegate.proportions import surprise

FILE = "words.json"
MOST_WORDS = 5_000
LEAST_DOCUMENTS = 2
SHOWN = 10
LEVEL = 0.01  # of all words together


class WordTable(Part):
    """`words.json`: document frequencies of the training texts, most frequent first."""

    documents: int = Field(0, ge=0)
    words: dict[str, int] = Field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Word:
    """A word whose share of documents moved; shares in [0, 1], `surprise` is -log10 of its p-value."""

    word: str
    before: float
    now: float
    surprise: float


@dataclass(frozen=True, slots=True)
class MovedWords:
    """Words that became more or less frequent, most surprising first."""

    new: tuple[Word, ...] = ()
    gone: tuple[Word, ...] = ()


def count_words(texts: Iterable[str]) -> WordTable:
    """In how many texts each word occurs; a text counts once however often it says it."""
    found: Counter[str] = Counter()
    documents = 0
    for text in texts:
        documents += 1
        found.update(words_of(text))
    kept = [(word, count) for word, count in found.most_common(MOST_WORDS) if count >= LEAST_DOCUMENTS]
    return WordTable(documents=documents, words=dict(kept))


def write_words(texts: Iterable[str], folder: Path) -> str:
    """Write the table of training texts into a bundle's folder; returns the file's name."""
    (folder / FILE).write_text(count_words(texts).model_dump_json(), encoding="utf-8")
    return FILE


def read_words(folder: Path) -> WordTable | None:
    """The table of a bundle; None for one that was exported without.

    Raises:
        BundleCorrupt: the file does not hold what it should.
    """
    file = folder / FILE
    if not file.is_file():
        return None
    try:
        return WordTable.model_validate_json(file.read_bytes())
    except ValidationError as error:
        raise BundleCorrupt(f"{file} is no table of words: {first_fault(error)}; export the bundle again") from None


def moved_words(reference: WordTable, texts: Iterable[str]) -> MovedWords:
    """Words whose share of documents differs between the reference and some texts beyond chance."""
    now = count_words(texts)
    if not now.documents or not reference.documents:
        return MovedWords()
    # A table that was cut says nothing of rarer words than its rarest.
    unknown = min(reference.words.values()) if len(reference.words) == MOST_WORDS else LEAST_DOCUMENTS - 1
    tested = reference.words.keys() | now.words.keys()
    moved = [
        _compare(word, reference.words.get(word, unknown), reference.documents, now.words.get(word, 0), now.documents)
        for word in tested
    ]
    needed = -math.log10(LEVEL / max(len(tested), 1))
    found = sorted((word for word in moved if word.surprise > needed), key=lambda word: (-word.surprise, word.word))
    return MovedWords(
        new=tuple(word for word in found if word.now > word.before)[:SHOWN],
        gone=tuple(word for word in found if word.now < word.before)[:SHOWN],
    )


def _compare(word: str, before: int, of_before: int, now: int, of_now: int) -> Word:
    return Word(word, before / of_before, now / of_now, surprise(before, of_before, now, of_now))
