"""Made-up answers of a model whose confidence is honest, as `Rows` with the truth beside them."""

import numpy as np

from monitoring.features import LABEL, Rows

LABELS = ("down", "flat", "up")


def answers(
    count: int, seed: int, *, blur: float = 0.0, words: float = 20.0, share_up: float = 1 / 3
) -> tuple[Rows, list[str]]:
    """Rows and true labels.

    Args:
        count: rows.
        seed: of everything.
        blur: how much of the signal is lost; the model knows, and is as unsure as it should be.
        words: mean of the one number of the texts.
        share_up: how often the truth is "up".
    """
    rng = np.random.default_rng(seed)
    frequencies = [(1 - share_up) / 2, (1 - share_up) / 2, share_up]
    truth = rng.choice(3, count, p=frequencies)
    strength = np.array([1.2, 1.2, 2.4]) * (1.0 - blur)  # "up" is the easiest to see
    seen = rng.normal(size=(count, 3)) + np.eye(3)[truth] * strength
    odds = seen * strength - strength**2 / 2  # the posterior at equal frequencies
    scores = np.exp(odds) / np.exp(odds).sum(axis=1, keepdims=True)
    names = np.array(LABELS, dtype=object)
    embedding = np.column_stack([seen, rng.normal(size=(count, 5))]).astype(np.float32)
    rows = Rows(
        numbers={"words": rng.normal(words, 5.0, count), "constant": np.zeros(count)},
        classes={LABEL: names[scores.argmax(axis=1)]},
        scores=scores,
        tokens=np.zeros(0, dtype=np.int64),
        counts=np.zeros(count, dtype=np.int64),
        embedding=embedding,
    )
    return rows, [str(name) for name in names[truth]]


def accuracy(rows: Rows, truths: list[str]) -> float:
    """Share of right answers."""
    return float(np.mean([given == true for given, true in zip(rows.classes[LABEL], truths, strict=True)]))
