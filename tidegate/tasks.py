"""What goes in and out, per task: text classification (one text in, one label out) and embedding (one vector out).

After a session: `probabilities` turns graph output into probabilities, `decide` turns a row of them into an
answer with threshold and fallback label applied. A vector is an answer as it comes out of the graph: it passes
through `probabilities` as it is, and `decide_all` has nothing to decide.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tidegate.bundle import Manifest, Postprocessing


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to one text.

    Attributes:
        label: what is answered; the fallback label when abstained.
        score: probability of the most likely class, also when abstained, in [0, 1].
        abstained: the score was below the bundle's threshold.
        scores: probability of every class, in the bundle's label order.
    """

    label: str
    score: float
    abstained: bool
    scores: tuple[float, ...]


# What monitoring records of a vector: that there was one.
NO_LABEL = Answer("", 0.0, False, ())


def probabilities(output: NDArray[np.float32], post: Postprocessing) -> NDArray[np.float64]:
    """Graph output (batch, classes) to probabilities (batch, classes), float64; vectors stay what they are.

    Source: softmax with temperature, Guo et al. 2017, "On Calibration of Modern Neural Networks".
    """
    if post.activation == "none":
        return output.astype(np.float64)
    logits = output.astype(np.float64) / post.temperature
    if post.activation == "sigmoid":
        squashed: NDArray[np.float64] = 1.0 / (1.0 + np.exp(-logits))
        return squashed
    exponents = np.exp(logits - logits.max(axis=1, keepdims=True))
    normalised: NDArray[np.float64] = exponents / exponents.sum(axis=1, keepdims=True)
    return normalised


def decide(row: Sequence[float], labels: Sequence[str], post: Postprocessing) -> Answer:
    """Answer from one row of probabilities, one per label."""
    score = max(row)
    label = labels[row.index(score)]
    abstained = post.threshold is not None and score < post.threshold
    if abstained and post.fallback_label is not None:
        label = post.fallback_label
    return Answer(label, score, abstained, tuple(row))


def decide_all(rows: Sequence[Sequence[float]], manifest: Manifest) -> list[Answer]:
    """Answers from rows of probabilities; of an embedding bundle, whose rows are vectors, `NO_LABEL` for each."""
    if manifest.task == "embedding":
        return [NO_LABEL] * len(rows)
    return [decide(row, manifest.labels, manifest.postprocessing) for row in rows]


def ranked(answer: Answer, labels: Sequence[str], top_k: int | None) -> list[tuple[str, float]]:
    """(label, score) best first, the answered label always first, `top_k` of them (all when None).

    A fallback label that is no class of the model carries the score that was too low to answer with.
    """
    pairs = sorted(zip(labels, answer.scores, strict=True), key=lambda pair: -pair[1])
    if pairs[0][0] != answer.label:
        scores = dict(pairs)
        rest = [pair for pair in pairs if pair[0] != answer.label]
        pairs = [(answer.label, scores.get(answer.label, answer.score)), *rest]
    return pairs[:top_k]
