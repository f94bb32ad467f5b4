"""Near duplicates: texts that say again what the relabel queue or another candidate says, which nobody labels twice.

Two texts are alike if their embeddings lie within a cosine of 0.95 and they share half of their words: a classifier's
embeddings alone put unlike texts of one class that close, and words alone miss what little edits change. Exact ones
(case, width and white space aside) are told by `items.digest`. Before: `candidates`; after: `picks`.
Limits: embeddings of another model version are another space, so of older versions' items only exact ones are seen;
each text is compared with its nearest neighbour alone.
"""

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

COSINE = 0.95
SHARED_WORDS = 0.5  # of all words of the two
_MOST_CHARS = 4_000  # of a text that are compared
_WORD = re.compile(r"\w+")
_TINY = 1e-12


def units(stored: Sequence[bytes | None]) -> NDArray[np.float32]:
    """Stored embeddings as vectors of length 1.

    Args:
        stored: float16, as `records.embedding` has them; None where there is none.

    Returns:
        float32 (n, d); rows of zeros where there is none, or it is zero, not finite or of another length than most.
    """
    sizes = [len(each) for each in stored if each]
    width = max(set(sizes), key=sizes.count) if sizes else 0
    vectors = np.zeros((len(stored), width // 2), dtype=np.float32)
    for place, each in enumerate(stored):
        if each and len(each) == width:
            vectors[place] = np.frombuffer(each, dtype=np.float16)
    vectors[~np.isfinite(vectors).all(axis=1)] = 0.0
    vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), _TINY)
    return vectors


def repeats(
    texts: Sequence[str], vectors: NDArray[np.float32], known_texts: Sequence[str], known: NDArray[np.float32]
) -> NDArray[np.bool_]:
    """Which texts are near duplicates of a known one, or of an earlier one among themselves.

    Args:
        texts: n of them.
        vectors: unit length or zero, float32 (n, d).
        known_texts: m of them.
        known: float32 (m, d); of another width nothing is like them.
    """
    found = np.zeros(len(texts), dtype=np.bool_)
    if len(known) and known.shape[1] == vectors.shape[1]:
        found |= _alike(texts, known_texts, vectors @ known.T)
    if len(texts) > 1:
        found |= _alike(texts, texts, np.tril(vectors @ vectors.T, -1))
    return found


def _alike(texts: Sequence[str], others: Sequence[str], cosines: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Which texts are like the other one nearest to them; `cosines` (n, m)."""
    nearest = cosines.argmax(axis=1).tolist()
    close = cosines.max(axis=1).tolist()
    return np.array(
        [
            cosine > COSINE and _share_words(text, others[place])
            for text, place, cosine in zip(texts, nearest, close, strict=True)
        ],
        dtype=np.bool_,
    )


def _share_words(one: str, other: str) -> bool:
    first, second = (set(_WORD.findall(text[:_MOST_CHARS].casefold())) for text in (one, other))
    return len(first & second) >= SHARED_WORDS * len(first | second)
