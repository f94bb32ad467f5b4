"""Text to model inputs: what runs before a session, in the tokenizer thread, never on the event loop.

A `Preprocessor` turns texts into `Encoded` rows of varying length; `collate` pads a batch of rows into the
feeds of one run. Two kinds: Hugging Face tokenizers (`tidegate.wordpieces`) and TF-IDF (`tidegate.tfidf`).
Both count what monitoring wants to know (length, truncation, unknown words) because they know it for free.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Feeds = dict[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Encoded:
    """One text as the model takes it.

    Attributes:
        arrays: graph input name to a vector of shape (length,); all of one length.
        length: tokens (specials included) or TF-IDF terms after truncation; at least 1.
        words: whitespace-separated words of the text.
        unknown: tokens or terms that the vocabulary does not hold.
        truncated: the text was longer than the model takes.
    """

    arrays: Mapping[str, NDArray[Any]]
    length: int
    words: int
    unknown: int
    truncated: bool


class Preprocessor(Protocol):
    """Turns texts into rows; thread-safe."""

    @property
    def pad_values(self) -> Mapping[str, float]:
        """Graph input name to the value that fills the end of short rows."""
        ...

    def encode(self, texts: Sequence[str]) -> list[Encoded]:
        """One row a text, in order."""
        ...


def collate(rows: Sequence[Encoded], pad_values: Mapping[str, float], multiple: int = 1) -> Feeds:
    """Pad rows to the longest of them: graph input name to an array of shape (len(rows), longest).

    The longest is rounded up to `multiple`.
    """
    longest = -(-max(row.length for row in rows) // multiple) * multiple
    feeds: Feeds = {}
    for name, pad in pad_values.items():
        array = np.full((len(rows), longest), pad, dtype=rows[0].arrays[name].dtype)  # (batch, tokens)
        for index, row in enumerate(rows):
            array[index, : row.length] = row.arrays[name]
        feeds[name] = array
    return feeds
