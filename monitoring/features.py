"""Numbers derived from texts and predictions: all that profiles ever see of a request.

Pure functions from texts, encodings and probabilities to a frame of float64 columns plus the class label; no
column can be turned back into a text. Before: `tidegate.records`; after: `profiles` and `calibration`.
Which reference a feature is compared with follows from what it depends on: `INPUT` on the text alone (training
texts), `VOCABULARY` and `PREDICTION` on what was fitted to the training texts (evaluation split).
Source for margin and entropy as monitored quantities: Rabanser et al. 2019, "Failing Loudly".
"""

import unicodedata
from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tidegate.records import Record

INPUT = ("chars", "words", "digit_share", "punctuation_share", "upper_share", "non_ascii_share", "truncated")
VOCABULARY = ("tokens", "unknown_rate", "tokens_per_word")
PREDICTION = ("top_probability", "margin", "entropy", "abstained")
NUMERIC = INPUT + VOCABULARY + PREDICTION
LABEL = "label"

_CLASSES = ("digit_share", "punctuation_share", "upper_share", "non_ascii_share")


def record_features(records: Sequence[Record]) -> pd.DataFrame:
    """One row a record, columns `NUMERIC` (float64) and `LABEL` (str); records may be of any one model.

    Records of embeddings have no probabilities: `INPUT` and `VOCABULARY` is all there is.
    """
    frame = input_features(
        [r.text for r in records], [r.row.words for r in records], [r.row.truncated for r in records]
    )
    vocabulary = vocabulary_features(
        [r.row.length for r in records], [r.row.words for r in records], [r.row.unknown for r in records]
    )
    if records and not records[0].scores:
        return pd.concat([frame, vocabulary], axis=1)
    scores = np.array([r.scores for r in records], dtype=np.float64)  # (rows, classes)
    frame = pd.concat([frame, vocabulary, prediction_features(scores, [r.abstained for r in records])], axis=1)
    frame[LABEL] = pd.Series([r.label for r in records], dtype="str")
    return frame


def input_features(texts: Sequence[str], words: Sequence[int], truncated: Sequence[bool]) -> pd.DataFrame:
    """What depends on the text alone; columns `INPUT`.

    Args:
        texts: any strings, empty ones and lone surrogates included.
        words: whitespace-separated words of each.
        truncated: whether each was longer than the model takes.

    Shares are of characters, in [0, 1]; 0 for an empty text.
    """
    chars = np.array([len(text) for text in texts], dtype=np.float64)
    columns = {"chars": chars, "words": np.asarray(words, dtype=np.float64)}
    columns |= dict(zip(_CLASSES, _class_counts(texts) / np.maximum(chars, 1.0), strict=True))
    columns["truncated"] = np.asarray(truncated, dtype=np.float64)
    return pd.DataFrame(columns)


def vocabulary_features(lengths: Sequence[int], words: Sequence[int], unknown: Sequence[int]) -> pd.DataFrame:
    """What depends on the fitted vocabulary; columns `VOCABULARY`.

    `unknown_rate` is unknown / (length + unknown), in [0, 1): TF-IDF's length counts known terms only and a
    tokenizer's counts unknown ones too, and this is bounded and increasing in the rate for both.
    """
    length = np.asarray(lengths, dtype=np.float64)
    missing = np.asarray(unknown, dtype=np.float64)
    return pd.DataFrame(
        {
            "tokens": length,
            "unknown_rate": missing / np.maximum(length + missing, 1.0),
            "tokens_per_word": length / np.maximum(np.asarray(words, dtype=np.float64), 1.0),
        }
    )


def prediction_features(scores: NDArray[np.float64], abstained: Sequence[bool]) -> pd.DataFrame:
    """What depends on the answer; columns `PREDICTION`.

    Args:
        scores: probability per class, shape (rows, classes), classes >= 2; rows need not sum to 1 (sigmoid).
        abstained: whether each answer fell below the bundle's threshold.

    Margin is the gap between the two best; entropy is in units of log(classes), so both lie in [0, 1].
    """
    if not len(scores):
        return pd.DataFrame({name: np.zeros(0) for name in PREDICTION})
    ordered = np.sort(scores, axis=1)  # (rows, classes), ascending
    return pd.DataFrame(
        {
            "top_probability": ordered[:, -1],
            "margin": ordered[:, -1] - ordered[:, -2],
            "entropy": _entropy(scores),
            "abstained": np.asarray(abstained, dtype=np.float64),
        }
    )


def margin(scores: Sequence[float]) -> float:
    """Gap between the two highest probabilities of one prediction: small where the model is in doubt; 0 of a vector."""
    if not scores:
        return 0.0
    best, second = sorted(scores, reverse=True)[:2]
    return best - second


def _entropy(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Shannon entropy of each row after normalising it, divided by log(classes); a row of zeros counts as 1."""
    classes = scores.shape[1]
    totals = scores.sum(axis=1, keepdims=True)
    shares = np.divide(scores, totals, out=np.full_like(scores, 1.0 / classes), where=totals > 0)
    logs = np.log(shares, out=np.zeros_like(shares), where=shares > 0)
    entropy: NDArray[np.float64] = np.clip(-(shares * logs).sum(axis=1) / np.log(classes), 0.0, 1.0)
    return entropy


def _class_counts(texts: Sequence[str]) -> NDArray[np.float64]:
    """Characters of each class in each text, shape (len(_CLASSES), texts); one pass over all texts at once."""
    codes = np.frombuffer("".join(texts).encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    distinct, place = np.unique(codes, return_inverse=True)
    flags = np.array([_classify(chr(code)) for code in distinct], dtype=np.int64).reshape(-1, len(_CLASSES))
    running = np.zeros((len(codes) + 1, len(_CLASSES)), dtype=np.int64)
    np.cumsum(flags[place], axis=0, out=running[1:])
    ends = np.cumsum([len(text) for text in texts], dtype=np.int64)
    starts = np.concatenate([np.zeros(1, dtype=np.int64), ends[:-1]]) if len(texts) else ends
    counts: NDArray[np.float64] = (running[ends] - running[starts]).T.astype(np.float64)
    return counts


def _classify(char: str) -> tuple[bool, ...]:
    """Membership in `_CLASSES`; punctuation includes symbols (Unicode categories P and S)."""
    category = unicodedata.category(char)
    return category[0] == "N", category[0] in "PS", category == "Lu", not char.isascii()
