"""Agreement: how far annotators say the same, and how often each of them is right on gold items. Pure functions.

Krippendorff's alpha takes any number of annotators and missing answers; with two who both labelled everything it is
all but Cohen's kappa, which is given for pairs. Intervals resample items, since answers on one item belong together.
Before: rows of the `annotations` table; after: the page to label, `relabel stats`, `quality`. Limits: alpha and kappa
say nothing of who is right, and fall where one label is rare.
Sources: Cohen 1960; Krippendorff 2011, "Computing Krippendorff's Alpha-Reliability"; Efron 1979 (bootstrap).
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from tidegate.intervals import wilson

LEAST_ITEMS = 10  # below it an interval covers nearly all that is possible
_RESAMPLES = 200
_SEED = 20_261


@dataclass(frozen=True, slots=True)
class Answer:
    """One annotator's label of one item; `gold` is the item's known label, or None."""

    item: str
    annotator: str
    label: str
    gold: str | None = None


@dataclass(frozen=True, slots=True)
class Agreement:
    """Agreement beyond chance with its 95 % interval: 1 is perfect, 0 is chance. None where it cannot be told.

    Attributes:
        items: that have two answers or more.
        value, low, high: None below `LEAST_ITEMS`, or where all answers are one label.
    """

    items: int
    value: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Accuracy:
    """How often an annotator was right on gold items, with Wilson's 95 % interval.

    Attributes:
        confusion: (gold label, given label) to times.
    """

    annotator: str
    items: int
    accuracy: float
    low: float
    high: float
    confusion: dict[tuple[str, str], int]


def alpha(answers: Sequence[Answer]) -> Agreement:
    """Krippendorff's alpha of nominal labels, over the items with two answers or more."""
    return _interval(_by_item(answers), _alpha)


def kappa(answers: Sequence[Answer], one: str, other: str) -> Agreement:
    """Cohen's kappa of two annotators, over the items that both labelled."""
    pairs = []
    for item in _by_item(answers):
        given = {answer.annotator: answer for answer in item}
        if one in given and other in given:
            pairs.append([given[one], given[other]])
    return _interval(pairs, _kappa)


def accuracies(answers: Sequence[Answer]) -> list[Accuracy]:
    """Each annotator's accuracy on gold items, by name; who has answered none is left out."""
    confusions: dict[str, Counter[tuple[str, str]]] = defaultdict(Counter)
    for answer in answers:
        if answer.gold is not None:
            confusions[answer.annotator][answer.gold, answer.label] += 1
    found = []
    for annotator, confusion in sorted(confusions.items()):
        items = confusion.total()
        right = sum(times for (gold, given), times in confusion.items() if gold == given)
        low, high = wilson(right / items, items)
        found.append(Accuracy(annotator, items, right / items, low, high, dict(confusion)))
    return found


Items = Sequence[Sequence[Answer]]


def _by_item(answers: Sequence[Answer]) -> list[list[Answer]]:
    items: dict[str, list[Answer]] = defaultdict(list)
    for answer in answers:
        items[answer.item].append(answer)
    return [item for item in items.values() if len(item) > 1]


def _interval(items: Items, measure: Callable[[Items], float | None]) -> Agreement:
    """The measure with the 2.5th and 97.5th percentile of it over resampled items."""
    value = measure(items) if len(items) >= LEAST_ITEMS else None
    if value is None:
        return Agreement(len(items), None, None, None)
    rng = np.random.default_rng(_SEED)
    drawn = [measure([items[at] for at in rng.integers(0, len(items), len(items))]) for _ in range(_RESAMPLES)]
    known = [each for each in drawn if each is not None]
    low, high = np.percentile(known, [2.5, 97.5])
    return Agreement(len(items), value, min(float(low), value), max(float(high), value))


def _alpha(items: Items) -> float | None:
    """1 - observed disagreement / expected disagreement; None where only one label occurs."""
    totals: Counter[str] = Counter()
    observed = 0.0  # pairs of answers on one item that differ, each item weighted by one over its answers less one
    for item in items:
        counts = Counter(answer.label for answer in item)
        totals.update(counts)
        observed += (len(item) ** 2 - sum(n * n for n in counts.values())) / (len(item) - 1)
    answers = totals.total()
    expected = (answers**2 - sum(n * n for n in totals.values())) / (answers - 1)
    return 1.0 - observed / expected if expected else None


def _kappa(pairs: Items) -> float | None:
    """(observed - expected agreement) / (1 - expected); None where both gave one and the same label throughout."""
    first = Counter(one.label for one, _ in pairs)
    second = Counter(other.label for _, other in pairs)
    same = sum(one.label == other.label for one, other in pairs) / len(pairs)
    chance = sum(first[label] * second[label] for label in first) / len(pairs) ** 2
    return (same - chance) / (1.0 - chance) if chance < 1.0 else None
