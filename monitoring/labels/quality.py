"""Label quality: which of people's labels are likely wrong, ranked, and why. Nothing is changed: a person decides.

A returned batch is judged by models of trusted labels alone, and of trusted and returned ones together out of fold;
by the answer that was served; by near copies; and by how its annotator errs. cleanlab judges the same probabilities.
Before: labels of a batch beside trusted ones, or a run's training data alone; after: suspects go to a second annotator.
Limits: what models cannot learn they cannot doubt; about half of what is flagged is right after all.
The only module that speaks to cleanlab, which it imports when it is called. Source: Northcutt et al. 2021, "Confident
Learning"; on flags that were right, Northcutt et al. 2021, "Pervasive Label Errors".
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from monitoring.labels import quality_models as models
from monitoring.labels.quality_annotators import chance_wrong, longest
from monitoring.labels.quality_models import Floats, Index, Mask
from tidegate.errors import UsageError

LEAST_LABELS = 5  # of a class; a rarer one is not judged, since no fold could learn it
LEAST_ROWS = 20
LEAST_WRONG_SHARE = 0.55  # expected of what is flagged: `python -m benchmarks loop noise` says what it finds
_SEED = 20_261
_ODD_ANNOTATOR = 2.0  # times the others' share of doubted labels


@dataclass(frozen=True, slots=True)
class Given:
    """A label that somebody gave.

    Attributes:
        text: what was labelled.
        label: what was given.
        annotator: who gave it; empty where nobody knows, which counts as one person.
        trusted: settled before; it teaches the models and is not judged.
        served: class to probability, as the model answered before it learned from this row; None where unknown.
    """

    text: str
    label: str
    annotator: str = ""
    trusted: bool = False
    served: Mapping[str, float] | None = None


@dataclass(frozen=True, slots=True)
class Suspect:
    """A label to look at again.

    Attributes:
        row: its place among the rows given.
        given, suggested: the label that it has, and the likeliest other one.
        score: chance that the given label is wrong, in [0, 1].
        why: reasons in words, for a person.
    """

    row: int
    given: str
    suggested: str
    score: float
    why: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Doubted:
    """How many labels an annotator gave, and how many of them are expected to be wrong."""

    annotator: str
    labels: int
    expected_wrong: float


@dataclass(frozen=True, slots=True)
class Audit:
    """What an audit found.

    Attributes:
        suspects: labels to look at again, the likeliest wrong first.
        scores: (rows,), each row's chance to be wrong; 0 for trusted ones, NaN for those that were not judged.
        annotators: those of the judged rows, most doubted first.
        unjudged: labels with too few rows to learn from.
    """

    suspects: tuple[Suspect, ...]
    scores: Floats
    annotators: tuple[Doubted, ...]
    unjudged: tuple[str, ...]


def _silent() -> None:
    """Nobody waits."""


def audit(rows: Sequence[Given], embeddings: Floats | None = None, step: Callable[[], None] = _silent) -> Audit:
    """Find labels that are likely wrong; the same rows give the same answer.

    Args:
        rows: trusted labels and those to judge; without trusted ones each is judged by the others.
        embeddings: (rows, dimensions) of the texts, from any model that did not learn these labels.
        step: called after each of the models is trained: `FOLDS` times, or twice as often with trusted rows.

    Raises:
        UsageError: too few rows or classes to learn anything from.
    """
    counts = dict.fromkeys(sorted({row.label for row in rows}), 0)
    for row in rows:
        counts[row.label] += 1
    classes = [label for label, count in counts.items() if count >= LEAST_LABELS]
    kept = np.array([place for place, row in enumerate(rows) if counts[row.label] >= LEAST_LABELS], dtype=np.int64)
    if len(classes) < 2 or len(kept) < LEAST_ROWS:
        raise UsageError(
            f"{len(kept)} rows of {len(classes)} labels that occur {LEAST_LABELS} times cannot be audited; "
            f"at least {LEAST_ROWS} rows of 2 such labels are needed"
        )
    scores = np.full(len(rows), np.nan)
    unjudged = tuple(label for label in counts if label not in classes)
    case = _Case([rows[place] for place in kept], classes, None if embeddings is None else embeddings[kept], step)
    scores[kept] = case.scores
    suspects = tuple(case.suspect(at, int(kept[at])) for at in case.flagged)
    return Audit(suspects, scores, case.annotators(), unjudged)


class _Case:
    """The rows that can be judged, and all evidence on them."""

    def __init__(
        self, rows: Sequence[Given], classes: list[str], embeddings: Floats | None, step: Callable[[], None]
    ) -> None:
        self._rows, self._classes, self._step = rows, classes, step
        column = {label: place for place, label in enumerate(classes)}
        self._labels: Index = np.array([column[row.label] for row in rows], dtype=np.int64)
        self._judged: Mask = np.array([not row.trusted for row in rows], dtype=np.bool_)
        self._people = sorted({row.annotator for row in rows if not row.trusted})
        self.scores: Floats = np.zeros(len(rows))
        self.flagged: list[int] = []
        if self._judged.any():
            self._judge(embeddings)

    def _judge(self, embeddings: Floats | None) -> None:
        self._inputs, self._groups = models.features([row.text for row in self._rows], embeddings)
        expected, together = self._expected()
        places = np.flatnonzero(self._judged)
        annotators = np.array([self._people.index(self._rows[at].annotator) for at in places.tolist()], dtype=np.int64)
        chances, truth = chance_wrong(expected[places], self._labels[places], annotators)
        self.scores[places] = chances
        self._truth = np.zeros_like(expected)
        self._truth[places] = truth
        self._doubted_by_cleanlab = _cleanlab(self._labels, together)
        self.flagged = [int(places[at]) for at in longest(chances, LEAST_WRONG_SHARE)]

    def _expected(self) -> tuple[Floats, Floats]:
        """What each label should be, (rows, classes): by all evidence, and out of fold by all labels alone."""
        trusted, wide = ~self._judged, len(self._classes)
        together = models.out_of_fold(self._inputs, self._labels, self._groups, wide, seed=_SEED, step=self._step)
        experts = [together, self._by_trusted(trusted)] if self._teaches(trusted) else [together]
        found = models.together(experts)
        # Without trusted labels the ones that cleanlab passes: tempered on wrong ones, models would expect them.
        calm = trusted if self._teaches(trusted) else ~_cleanlab(self._labels, together)
        found = models.tempered(found, models.temperature(found[calm], self._labels[calm]))
        for source in (self._served(found), self._copies(found)):
            found = models.together([found, source])
        return found, together

    def _teaches(self, rows: Mask) -> bool:
        """Whether these rows hold every class often enough."""
        return bool((np.bincount(self._labels[rows], minlength=len(self._classes)) >= LEAST_LABELS).all())

    def _by_trusted(self, trusted: Mask) -> Floats:
        labels, wide = self._labels[trusted], len(self._classes)
        inputs, groups = self._inputs[trusted], np.unique(self._groups[trusted], return_inverse=True)[1]
        own = models.out_of_fold(inputs, labels, groups, wide, seed=_SEED, step=self._step)
        found = np.empty((len(self._labels), wide))
        found[trusted] = own
        found[~trusted] = models.predict(inputs, labels, self._inputs[~trusted], wide)
        return found

    def _served(self, otherwise: Floats) -> Floats:
        """The answers that were served; what is found otherwise where there is none."""
        found = otherwise.copy()
        for at, row in enumerate(self._rows):
            if row.served is not None:
                found[at] = [row.served.get(label, 0.0) for label in self._classes]
        return found

    def _copies(self, otherwise: Floats) -> Floats:
        """The labels of a row's near copies, as shares; what is found otherwise where it has none."""
        found = otherwise.copy()
        for members in self._copied():
            votes = np.bincount(self._labels[members], minlength=len(self._classes)).astype(np.float64)
            for at in members:
                others = votes.copy()
                others[self._labels[at]] -= 1.0
                found[at] = (others + otherwise[at]) / (others.sum() + 1.0)
        return found

    def _copied(self) -> list[Index]:
        order = np.argsort(self._groups, kind="stable")
        bounds = np.flatnonzero(np.diff(self._groups[order])) + 1
        return [members for members in np.split(order, bounds) if len(members) > 1]

    def annotators(self) -> tuple[Doubted, ...]:
        """Whose labels are doubted how much, most doubted first."""
        found = []
        for person in self._people:
            own = [
                self.scores[at] for at in np.flatnonzero(self._judged).tolist() if self._rows[at].annotator == person
            ]
            found.append(Doubted(person, len(own), float(np.sum(own))))
        return tuple(sorted(found, key=lambda each: -each.expected_wrong / each.labels))

    def suspect(self, at: int, row: int) -> Suspect:
        """A flagged row with its reasons."""
        truth = self._truth[at].copy()
        truth[self._labels[at]] = -1.0
        suggested = self._classes[int(truth.argmax())]
        return Suspect(row, self._rows[at].label, suggested, float(self.scores[at]), self._why(at, suggested))

    def _why(self, at: int, suggested: str) -> tuple[str, ...]:
        row = self._rows[at]
        why = [f"other labels suggest {suggested}"]
        if self._doubted_by_cleanlab[at]:
            why.append("cleanlab doubts it")
        if row.served and max(row.served, key=row.served.__getitem__) != row.label:
            why.append("the model answered otherwise")
        same = np.flatnonzero(self._groups == self._groups[at])
        if any(self._rows[other].label != row.label for other in same.tolist()):
            why.append("a near copy has another label")
        if self._is_odd(row.annotator):
            why.append(f"many labels of {row.annotator} are doubted")
        return tuple(why)

    def _is_odd(self, person: str) -> bool:
        mine = np.array([row.annotator == person for row in self._rows]) & self._judged
        others = self._judged & ~mine
        return bool(others.any() and self.scores[mine].mean() > _ODD_ANNOTATOR * self.scores[others].mean())


def _cleanlab(labels: Index, probabilities: Floats) -> Mask:
    """What cleanlab's own rule flags, (rows,)."""
    from cleanlab.filter import find_label_issues

    found: Mask = find_label_issues(labels, probabilities, n_jobs=1)
    return found
