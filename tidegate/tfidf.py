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
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from tidegate.preprocess import Encoded

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
        self._idf = config.idf
        self._decode = _decoder(config)
        self._analyze = _analyzer(config)
        self.pad_values = {"indices": float(len(config.vocabulary)), "values": 0.0}

    def encode(self, texts: Sequence[str]) -> list[Encoded]:
        """Encode texts; parity with scikit-learn is exact up to float32."""
        return [self._encode(text) for text in texts]

    def _encode(self, text: str) -> Encoded:
        terms = Counter(self._analyze(self._decode(text)))
        column = self._column
        counts = {column[term]: count for term, count in terms.items() if term in column}
        indices = sorted(counts)
        return Encoded(
            arrays={
                "indices": np.asarray(indices or [len(column)], dtype=np.int64),
                "values": np.asarray(self._weigh(indices, counts) or [0.0], dtype=np.float32),
            },
            length=max(len(indices), 1),
            words=len(text.split()),
            unknown=terms.total() - sum(counts.values()),
            truncated=False,
        )

    def _weigh(self, indices: Sequence[int], counts: dict[int, int]) -> list[float]:
        config = self._config
        weights = [1.0 if config.binary else float(counts[index]) for index in indices]
        if config.sublinear_tf:
            weights = [math.log(weight) + 1.0 for weight in weights]
        if self._idf is not None:
            weights = [weight * self._idf[index] for weight, index in zip(weights, indices, strict=True)]
        scale = _norm(weights, config.norm)
        return [weight / scale for weight in weights] if scale else weights


def _norm(weights: Sequence[float], kind: str | None) -> float:
    if kind == "l2":
        return math.sqrt(sum(weight * weight for weight in weights))
    return sum(weights) if kind == "l1" else 1.0


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
    if config.analyzer == "char_wb":
        return lambda text: _word_bounded_ngrams(_WHITESPACE_RUN.sub(" ", text), low, high)
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


def _word_bounded_ngrams(text: str, low: int, high: int) -> list[str]:
    """Character n-grams inside words padded by a space; a word shorter than n counts once, as in scikit-learn."""
    terms: list[str] = []
    for word in text.split():
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
