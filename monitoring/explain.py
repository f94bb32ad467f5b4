"""A domain classifier: can a simple model tell the window's texts from the bundle's own, and by which words?

Logistic regression on TF-IDF of words, cross-validated; its area under the curve (AUC) says how far apart the two are
(0.5: not at all), its weights say what makes them so. Texts are taken once each, since repeated spam would be
recognised from itself. It runs only when somebody asks why an alert was raised: a second of work, never near a request.
It imports scikit-learn, which takes a second, when it is called.
Sources: Rabanser et al. 2019, "Failing Loudly" (domain classifier); Hanley & McNeil 1982 (standard error of the AUC).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tidegate.intervals import CONFIDENCE

LEAST_TEXTS = 30  # a side; below it the interval of the AUC spans half of its range
MOST_TEXTS = 1_000  # a side: a second of work; more would narrow the interval by little
FOLDS = 5
SHOWN = 10
_SEED = 20_261


@dataclass(frozen=True, slots=True)
class Separation:
    """How well the window's texts can be told from the reference's.

    Attributes:
        auc: cross-validated; 0.5 where they cannot be told apart, 1 where always.
        low, high: 95 % interval of it.
        window_texts, reference_texts: distinct texts compared.
        window_words, reference_words: words that speak most for each side, strongest first.
    """

    auc: float
    low: float
    high: float
    window_texts: int
    reference_texts: int
    window_words: tuple[str, ...]
    reference_words: tuple[str, ...]


def separate(window: Sequence[str], reference: Sequence[str]) -> Separation | None:
    """Train and cross-validate the classifier; None where a side has too few distinct texts with words.

    Args:
        window: texts of the windows in question.
        reference: texts that the model was verified on.
    """
    known = _distinct(reference)
    strange = _distinct(window)
    if min(len(known), len(strange)) < LEAST_TEXTS:
        return None
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline

    sides = np.array([0] * len(known) + [1] * len(strange))
    model = make_pipeline(
        TfidfVectorizer(min_df=2, max_features=20_000, sublinear_tf=True),
        LogisticRegression(class_weight="balanced", max_iter=200),
    )
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=_SEED)
    texts = [*known, *strange]
    try:
        scores = cross_val_predict(model, texts, sides, cv=folds, method="decision_function")
        model.fit(texts, sides)
    except ValueError:  # no word is in two texts: nothing to tell them apart by
        return None
    auc = float(roc_auc_score(sides, scores))
    low, high = interval(auc, len(strange), len(known))
    names = model[0].get_feature_names_out()
    weights = model[1].coef_[0]
    order = np.argsort(weights)
    return Separation(
        auc=auc,
        low=low,
        high=high,
        window_texts=len(strange),
        reference_texts=len(known),
        window_words=tuple(str(names[i]) for i in order[::-1][:SHOWN] if weights[i] > 0),
        reference_words=tuple(str(names[i]) for i in order[:SHOWN] if weights[i] < 0),
    )


def interval(auc: float, positives: int, negatives: int) -> tuple[float, float]:
    """95 % interval of an AUC, in [0, 1], from the numbers of rows on both sides (Hanley & McNeil 1982)."""
    one = auc / (2 - auc)
    two = 2 * auc * auc / (1 + auc)
    spread = auc * (1 - auc) + (positives - 1) * (one - auc * auc) + (negatives - 1) * (two - auc * auc)
    error = math.sqrt(max(spread, 0.0) / (positives * negatives))
    return max(auc - CONFIDENCE * error, 0.0), min(auc + CONFIDENCE * error, 1.0)


def _distinct(texts: Sequence[str]) -> list[str]:
    """Each text once, however it is spaced and cased; `MOST_TEXTS` of them at even distances."""
    seen: set[str] = set()
    found = []
    for text in texts:
        plain = " ".join(text.lower().split())
        if plain and plain not in seen:
            seen.add(plain)
            found.append(plain)
    if len(found) <= MOST_TEXTS:
        return found
    return [found[place] for place in np.linspace(0, len(found) - 1, MOST_TEXTS).round().astype(int)]
