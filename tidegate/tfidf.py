"""TF-IDF text features exactly as scikit-learn's `TfidfVectorizer` makes them, from data instead of a pickle.

The vocabulary and idf are plain JSON; texts become (indices, values) rows, and a small ONNX graph gathers the
coefficients, sums and squashes. An ONNX string graph was tried and rejected: skl2onnx needs a locale, refuses
`char_wb`, and differs by up to 0.024 in probability on word bigrams.

Source: scikit-learn `feature_extraction/text.py` (`CountVectorizer._analyze`, `TfidfTransformer.transform`).
"""

import json
import math
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from tidegate.preprocess import Encoded

Columns = Callable[[str], Iterable[int | None]]  # columns of a decoded text's terms, None for unknown ones

# Words whose columns are kept: 20,000 of 32 characters at most are some 40 MB at worst, and nearly all of a domain.
_KEPT_WORDS, _KEPT_CHARS = 20_000, 32
_WHITESPACE_RUN = re.compile(r"\s\s+")


class Vectorizer(BaseModel):
    """`vectorizer.json`: the fitted parameters of a `TfidfVectorizer`, under scikit-learn's own names."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    analyzer: Literal["word", "char", "char_wb"]
    ngram_range: tuple[int, int]
    lowercase: bool
    strip_accents: Literal["ascii", "unicode"] | None = None
    token_pattern: str | None = Field(None, description="Regular expression of a word; None for character analyzers.")
    stop_words: frozenset[str] = frozenset()
    binary: bool = False
    sublinear_tf: bool = False
    norm: Literal["l1", "l2"] | None = "l2"
    vocabulary: tuple[str, ...] = Field(description="Terms in column order.")
    idf: tuple[float, ...] | None = Field(description="One weight a term; None where use_idf=False.")


class TfidfPreprocessor:
    """Encodes texts as sparse rows: `indices` int64 and `values` float32, both of shape (terms,).

    A text without any known term becomes one padding term, so that no row is empty. Padding terms point one
    past the vocabulary, where the graph holds a row of zeros.
    """

    def __init__(self, file: Path) -> None:
        self._config = config = Vectorizer.model_validate_json(file.read_bytes())
        self._column = {term: index for index, term in enumerate(config.vocabulary)}
        self._idf = None if config.idf is None else np.asarray(config.idf, dtype=np.float64)  # (terms,)
        self._decode = _decoder(config)
        self._columns = self._word_by_word() if config.analyzer == "char_wb" else self._all_at_once()
        self.pad_values = {"indices": float(len(config.vocabulary)), "values": 0.0}

    def encode(self, texts: Sequence[str]) -> list[Encoded]:
        """Encode texts; parity with scikit-learn is exact up to float32."""
        return [self._encode(text) for text in texts]

    def _encode(self, text: str) -> Encoded:
        counts = Counter(self._columns(self._decode(text)))  # column, None for unknown terms -> times
        unknown = counts.pop(None, 0)
        indices = np.fromiter(counts, dtype=np.int64, count=len(counts))  # (terms,)
        order = np.argsort(indices)
        indices = indices[order]
        values = self._weigh(indices, np.fromiter(counts.values(), dtype=np.float64, count=len(counts))[order])
        if not counts:
            indices, values = np.array([len(self._column)]), np.zeros(1)
        return Encoded(
            arrays={"indices": indices, "values": values.astype(np.float32)},
            length=len(indices),
            words=len(text.split()),
            unknown=unknown,
            truncated=False,
        )

    def _weigh(self, indices: NDArray[np.int64], counts: NDArray[np.float64]) -> NDArray[np.float64]:
        config = self._config
        weights = np.ones_like(counts) if config.binary else counts
        if config.sublinear_tf:
            weights = np.log(weights) + 1.0
        if self._idf is not None:
            weights = weights * self._idf[indices]
        scale = _norm(weights, config.norm)
        return weights / scale if scale else weights

    def _all_at_once(self) -> Columns:
        analyze, column = _analyzer(self._config), self._column
        return lambda text: map(column.get, analyze(text))

    def _word_by_word(self) -> Columns:
        """Columns of a text for n-grams inside words: texts repeat their words, so the columns of a word are kept."""
        low, high = self._config.ngram_range
        column = self._column

        def columns(word: str) -> tuple[int | None, ...]:
            return tuple(map(column.get, _word_bounded_ngrams(word, low, high)))

        known = lru_cache(maxsize=_KEPT_WORDS)(columns)
        return lambda text: chain.from_iterable(
            known(word) if len(word) <= _KEPT_CHARS else columns(word) for word in text.split()
        )


def _norm(weights: NDArray[np.float64], kind: str | None) -> float:
    if kind == "l2":
        return math.sqrt(float(weights @ weights))
    return float(weights.sum()) if kind == "l1" else 1.0


def _decoder(config: Vectorizer) -> Callable[[str], str]:
    """Lower case first, then accents: the order of scikit-learn's `_preprocess`."""

    def decode(text: str) -> str:
        if config.lowercase:
            text = text.lower()
        if config.strip_accents == "unicode":
            return _strip_accents(text)
        if config.strip_accents == "ascii":
            return unicodedata.normalize("NFKD", text).encode("ASCII", "ignore").decode("ASCII")
        return text

    return decode


def _strip_accents(text: str) -> str:
    if text.isascii():
        return text
    return "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))


def _analyzer(config: Vectorizer) -> Callable[[str], list[str]]:
    low, high = config.ngram_range
    if config.analyzer == "char":
        return lambda text: _char_ngrams(_WHITESPACE_RUN.sub(" ", text), low, high)
    words = re.compile(config.token_pattern or r"(?u)\b\w\w+\b").findall
    stop = config.stop_words
    return lambda text: _word_ngrams([word for word in words(text) if word not in stop], low, high)


def _word_ngrams(words: list[str], low: int, high: int) -> list[str]:
    terms = list(words) if low == 1 else []
    for size in range(max(low, 2), min(high, len(words)) + 1):
        terms += [" ".join(words[start : start + size]) for start in range(len(words) - size + 1)]
    return terms


def _char_ngrams(text: str, low: int, high: int) -> list[str]:
    return [
        text[start : start + size]
        for size in range(low, min(high, len(text)) + 1)
        for start in range(len(text) - size + 1)
    ]


def _word_bounded_ngrams(word: str, low: int, high: int) -> list[str]:
    """Character n-grams of a word padded by spaces; one shorter than n counts once, as in scikit-learn."""
    terms: list[str] = []
    padded = f" {word} "
    for size in range(low, high + 1):
        terms.append(padded[:size])
        terms += [padded[start : start + size] for start in range(1, len(padded) - size + 1)]
        if size >= len(padded):
            break
    return terms


def dump(vectorizer: Vectorizer, file: Path) -> None:
    """Write `vectorizer.json`; stop words are sorted so that equal vectorizers give equal bytes."""
    content = vectorizer.model_dump(mode="json")
    content["stop_words"] = sorted(content["stop_words"])
    file.write_text(json.dumps(content, ensure_ascii=False))
