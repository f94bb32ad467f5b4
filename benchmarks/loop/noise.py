"""Wrong labels in a returned batch: how many the audit catches, what its flags are worth, and what is left of the harm.

A third of what may be asked about comes back from five annotators, 10 % of it wrong at random and 5 % aimed: one
annotator turns the commonest class into the next (`class`), or the texts that a model is least sure of get its second
answer (`boundary`). The rest is trusted. What is flagged is settled by a second annotator, who is right; then the audit
runs once more. The model that learns from it is held against one that learned from clean labels, and one that learned
nothing new. Before: `pools`; after: `command`. Limits: annotators are simulated, and the second one never errs.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monitoring.labels import quality_models as models
from monitoring.labels.quality import Given, audit

KINDS = ("class", "boundary")
_RANDOM, _AIMED = 0.10, 0.05
_ANNOTATORS = 5
_BATCH_SHARE, _MOST_BATCH, _TEST = 1 / 3, 800, 0.3

Index = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Trial:
    """Shares of one batch.

    Attributes:
        recall, precision: of what the first audit flags.
        aimed: the share of the aimed wrong labels that it flags.
        recall_again, precision_again: of both audits together.
        before, spoiled, settled, clean: test accuracy of a model of the trusted labels alone, and with the batch as it
            came back, as the second annotators left it after the first audit, and without any wrong label.
    """

    recall: float
    precision: float
    aimed: float
    recall_again: float
    precision_again: float
    before: float
    spoiled: float
    settled: float
    clean: float


def trial(texts: Sequence[str], truths: Index, embedding: Floats | None, kind: str, seed: int) -> Trial:
    """One batch of one data set; `embedding` None judges and learns by TF-IDF alone."""
    rng = np.random.default_rng([20_266, seed])
    test, asked = np.split(rng.permutation(len(texts)), [round(_TEST * len(texts))])
    size = min(round(_BATCH_SHARE * len(asked)), _MOST_BATCH)
    batch, trusted = asked[:size], asked[size:]
    inputs = _inputs(texts, asked, embedding)
    expected = models.predict(inputs[trusted], truths[trusted], inputs[batch], int(truths.max()) + 1)
    people = rng.integers(0, _ANNOTATORS, size)
    given, aimed = spoil(truths[batch], expected, people, kind, rng)
    wrong = given != truths[batch]
    rows = [Given(texts[at], str(truths[at]), trusted=True) for at in trusted]
    rows += [Given(texts[at], str(n), f"annotator {p}") for at, n, p in zip(batch, given, people, strict=True)]
    place = np.concatenate([trusted, batch])
    near = None if embedding is None else embedding[place]
    first = _flagged(rows, near, len(trusted))
    for at in first:  # the second annotator settles it
        rows[len(trusted) + at] = replace(rows[len(trusted) + at], label=str(truths[batch[at]]), trusted=True)
    every = np.union1d(first, _flagged(rows, near, len(trusted)))
    settled = np.where(np.isin(np.arange(size), first), truths[batch], given)

    def accuracy(labels: Index, learned: Index) -> float:
        answers = models.predict(inputs[learned], labels, inputs[test], int(truths.max()) + 1)
        return float((answers.argmax(axis=1) == truths[test]).mean())

    def grown(labels: Index) -> float:
        return accuracy(np.concatenate([truths[trusted], labels]), place)

    return Trial(
        *_figures(first, wrong),
        aimed=float(np.isin(aimed, first).mean()) if len(aimed) else 1.0,
        recall_again=_figures(every, wrong)[0],
        precision_again=_figures(every, wrong)[1],
        before=accuracy(truths[trusted], trusted),
        spoiled=grown(given),
        settled=grown(settled),
        clean=grown(truths[batch]),
    )  # fmt: skip


def spoil(truths: Index, expected: Floats, people: Index, kind: str, rng: np.random.Generator) -> tuple[Index, Index]:
    """The labels as they come back, and the rows that were aimed at.

    Args:
        truths: (rows,), true classes.
        expected: (rows, classes), what a model of the trusted labels says.
        people: (rows,), who labels; the first takes all aimed errors of the kind `class` that the rows allow.
        kind: `class` or `boundary`.
        rng: draws.
    """
    rows, classes = expected.shape
    given = truths.copy()
    drawn = rng.permutation(rows)[: round(_RANDOM * rows)]
    given[drawn] = (truths[drawn] + rng.integers(1, classes, len(drawn))) % classes
    left = np.setdiff1d(np.arange(rows), drawn)
    if kind == "class":
        common, second = np.argsort(-np.bincount(truths, minlength=classes))[:2]
        hit = left[truths[left] == common]
        aimed = hit[np.argsort(people[hit], kind="stable")][: round(_AIMED * rows)]
        given[aimed] = second
        return given, aimed
    best = np.sort(expected[left], axis=1)
    aimed = left[np.argsort(best[:, -1] - best[:, -2], kind="stable")][: round(_AIMED * rows)]
    other = expected.copy()
    other[np.arange(rows), truths] = -1.0
    given[aimed] = other[aimed].argmax(axis=1)
    return given, aimed


def _inputs(texts: Sequence[str], seen: Index, embedding: Floats | None) -> Any:
    """What the served model reads, (rows, columns): the embedding, or TF-IDF whose vocabulary is of the seen texts."""
    if embedding is not None:
        return embedding
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectorizer = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True).fit([texts[at] for at in seen])
    return vectorizer.transform(texts).tocsr()


def _flagged(rows: Sequence[Given], embeddings: Floats | None, first: int) -> Index:
    return np.array([suspect.row - first for suspect in audit(rows, embeddings).suspects], dtype=np.int64)


def _figures(flagged: Index, wrong: NDArray[np.bool_]) -> tuple[float, float]:
    """Recall and precision."""
    caught = int(wrong[flagged].sum())
    return caught / max(int(wrong.sum()), 1), caught / max(len(flagged), 1)
