"""Made-up rows with dependent columns of every kind, in any number: worlds for statistical tests.

Long lengths and small ones, rare and constant flags, three classes with their probabilities, tokens, an embedding.
"""

import numpy as np

from monitoring.building import reference_of
from monitoring.features import LABEL, Rows
from monitoring.reference import Reference

LABELS = ("a", "b", "c")
_TRAINED = ("chars", "rare", "never")  # columns that are known from training rows
_MIXING = np.random.default_rng(0).normal(size=(4, 24)) / 2.0


def draw(rng: np.random.Generator, rows: int, shift: float = 0.0) -> Rows:
    """Rows of which some columns are shifted by so many of their deviations."""
    z = rng.normal(size=(rows, 4)) + np.array([shift, 0.0, 0.0, shift])
    logits = np.stack([z[:, 1], z[:, 2], np.zeros(rows)], axis=1) * 2.0
    scores = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    ordered = np.sort(scores, axis=1)
    counts = rng.integers(3, 30, size=rows)
    tokens = rng.zipf(1.3, size=int(counts.sum())) % 4_000 + np.repeat(np.where(z[:, 3] > 2.0, 4_000, 0), counts)
    return Rows(
        numbers={
            "chars": np.round(np.exp(4.8 + 0.45 * z[:, 0])),
            "rare": (rng.random(rows) < 0.01) * rng.random(rows),
            "never": np.zeros(rows),
            "top_probability": ordered[:, -1],
            "margin": ordered[:, -1] - ordered[:, -2],
        },
        classes={LABEL: np.array(LABELS, dtype=object)[scores.argmax(axis=1)]},
        scores=scores,
        tokens=tokens.astype(np.int64),
        counts=counts.astype(np.int64),
        embedding=(z @ _MIXING + 0.3 * rng.normal(size=(rows, 24))).astype(np.float32),
    )


def reference(rng: np.random.Generator, training: int = 800, evaluation: int = 300) -> Reference:
    """A reference of such rows."""
    trained = draw(rng, training)
    return reference_of(draw(rng, evaluation), LABELS, {name: trained.numbers[name] for name in _TRAINED}, {})
