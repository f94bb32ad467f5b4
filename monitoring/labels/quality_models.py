"""What a text's label should be, by models that have not seen the label in question.

Logistic regression on TF-IDF of words and characters, with the texts' embeddings beside where there are any: together
they beat either alone. Folds keep near copies together, or a copy would vouch for its twin's wrong label. Probabilities
are tempered on labels that are trusted. Before: rows of people's answers; after: `quality`. Limits: some 10,000 texts
are minutes; all in memory. Sources: Guo et al. 2017 (temperature); Northcutt et al. 2021 (out-of-fold probabilities).
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Index = NDArray[np.int64]
Mask = NDArray[np.bool_]

FOLDS = 5
NEAR_COPY = 0.9  # cosine of TF-IDF of words: a changed figure or name in a sentence stays above it
_STRENGTH = 5.0  # of logistic regression (C): best of 3, 5, 10, 30 on clean labels, less learns no noise by heart
_MOST_TERMS = 10_000  # of words, and of characters
_TEMPERATURES = np.geomspace(0.3, 4.0, 60)
_LEAST = 1e-6  # a probability: no model is surer than that
_BLOCK = 512  # rows whose nearness to all others is held at once


def features(texts: Sequence[str], embeddings: Floats | None) -> tuple[Any, Index]:
    """Features and groups of near copies.

    Args:
        texts: (rows,).
        embeddings: (rows, dimensions), or None.

    Returns:
        A sparse matrix (rows, features), and (rows,) int64: rows with the same number are near copies.
    """
    from scipy import sparse
    from sklearn.feature_extraction.text import TfidfVectorizer

    options = {"sublinear_tf": True, "max_features": _MOST_TERMS}
    words = TfidfVectorizer(tokenizer=str.split, token_pattern=None, ngram_range=(1, 2), **options).fit_transform(texts)
    parts = [words, TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), **options).fit_transform(texts)]
    if embeddings is not None:
        length = np.linalg.norm(embeddings, axis=1, keepdims=True)
        parts.append(sparse.csr_matrix(embeddings / np.where(length, length, 1.0)))
    return sparse.hstack(parts).tocsr(), _near_copies(words)


def out_of_fold(
    rows: Any, labels: Index, groups: Index, classes: int, *, seed: int, step: Callable[[], None]
) -> Floats:
    """Probabilities (rows, classes) of each row by a model that saw neither it nor its near copies.

    `step` is called after each fold.
    """
    fold = _folds(labels, groups, seed)
    found = np.zeros((len(labels), classes))
    for number in range(FOLDS):
        held = fold == number
        found[held] = predict(rows[~held], labels[~held], rows[held], classes)
        step()
    return found


def predict(rows: Any, labels: Index, others: Any, classes: int) -> Floats:
    """Probabilities (others, classes) by a model trained on rows; one class alone is answered as sure."""
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits

    found = np.full((others.shape[0], classes), _LEAST)
    known = np.unique(labels)
    if len(known) == 1:
        found[:, known] = 1.0
    elif others.shape[0]:
        with threadpool_limits(1):  # its vectors are short: threads that wait for each other cost more than they do
            model = LogisticRegression(C=_STRENGTH, max_iter=300, tol=1e-3).fit(rows, labels)
        found[:, model.classes_] = model.predict_proba(others).clip(_LEAST)
    return _scaled(found)


def temperature(probabilities: Floats, labels: Index) -> float:
    """By what log-probabilities are divided to be least surprised at the labels; 1 where there is nothing to learn."""
    if not len(labels):
        return 1.0
    place = np.arange(len(labels))
    losses = [-np.log(tempered(probabilities, heat)[place, labels]).mean() for heat in _TEMPERATURES]
    return float(_TEMPERATURES[int(np.argmin(losses))])


def tempered(probabilities: Floats, heat: float) -> Floats:
    """Probabilities at a temperature: above 1 less sure."""
    return _scaled(np.exp(np.log(probabilities) / heat).clip(_LEAST))


def together(experts: Sequence[Floats]) -> Floats:
    """The normalised geometric mean of what several models say, each (rows, classes)."""
    return _scaled(np.exp(np.mean([np.log(expert.clip(_LEAST)) for expert in experts], axis=0)))


def _scaled(probabilities: Floats) -> Floats:
    found: Floats = probabilities / probabilities.sum(axis=1, keepdims=True)
    return found


def _folds(labels: Index, groups: Index, seed: int) -> Index:
    """A fold (rows,) for each row: groups stay whole, and classes are spread evenly."""
    order = np.random.default_rng(seed).permutation(len(labels))
    _, first = np.unique(groups[order], return_index=True)
    leaders = order[first]  # one row of each group
    leaders = leaders[np.lexsort((np.argsort(order)[leaders], labels[leaders]))]
    fold_of_group = np.zeros(groups.max() + 1, dtype=np.int64)
    fold_of_group[groups[leaders]] = np.arange(len(leaders)) % FOLDS
    found: Index = fold_of_group[groups]
    return found


def _near_copies(words: Any) -> Index:
    from scipy.sparse import csr_matrix, vstack
    from scipy.sparse.csgraph import connected_components

    blocks = []
    for start in range(0, words.shape[0], _BLOCK):
        near = words[start : start + _BLOCK] @ words.T
        near.data = np.where(near.data >= NEAR_COPY, near.data, 0.0)
        near.eliminate_zeros()
        blocks.append(csr_matrix(near))
    _, groups = connected_components(vstack(blocks), directed=False)
    return np.asarray(groups, dtype=np.int64)
