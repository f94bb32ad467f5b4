"""Accuracy without labels against the truth, on shifted slices, beside the usual estimators. Export environment.

    .venv-export/bin/python -m benchmarks.drift.accuracy [FOLDER OF CSVS]

Each data set is split: a third trains a model, a third is its evaluation split (and is corrupted to fit the
estimate), a third is fresh and is shifted. Prints a line a slice, then the mean absolute error of the estimate, plain
CBPE (isotonic), ATC and average confidence in points, how often the 95 % interval covers the truth, and how often 50
random labels expose concept drift, and contradict the estimate where there is none.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

import numpy as np
from numpy.typing import NDArray

from benchmarks.drift.accuracy_models import Model, train_minilm, train_tfidf
from benchmarks.drift.accuracy_slices import Slice, concepts, slices
from examples.headlines import generate
from exporters.perturb import perturbed
from exporters.texts import MAX_ROWS, Row, read_rows
from monitoring.accuracy import AccuracyReference, Estimate
from monitoring.accuracy_fit import fit
from monitoring.features import LABEL, Rows
from monitoring.labels.labelled import Check, reconciled
from tidegate.environments import CHECKOUT

SHARED = CHECKOUT.parent / "shared" / "data"
LABELS, DRAWS = 50, 200
TRAINERS: dict[str, Callable[[Sequence[Row]], Model]] = {"tfidf": train_tfidf, "minilm": train_minilm}


@dataclass(frozen=True, slots=True)
class Outcome:
    """One slice: the truth, what each estimator says, and how many draws of 50 labels contradicted the estimate."""

    model: str
    data: str
    slice: str
    rows: int
    truth: float
    estimate: Estimate
    others: dict[str, float]
    contradicted: float

    @property
    def errors(self) -> dict[str, float]:
        """Estimator to error in points."""
        said = {"tidegate": self.estimate.accuracy} | self.others
        return {name: 100.0 * (share - self.truth) for name, share in said.items()}

    @property
    def covered(self) -> bool:
        """Whether the interval holds the truth."""
        return self.estimate.low <= self.truth <= self.estimate.high


def main(arguments: Sequence[str]) -> None:
    """Measure and print."""
    folder = Path(arguments[0]) if arguments else SHARED
    shifted: list[Outcome] = []
    moved: list[Outcome] = []
    for data, rows in _data(folder):
        training, held, fresh = _split(rows)
        for name in TRAINERS:
            subject = Subject(TRAINERS[name](training), data, held)
            shifted += [_told(subject.measure(one)) for one in slices(fresh)]
            moved += [_told(subject.measure(one)) for one in concepts(fresh)]
    _summarise(shifted, moved)


class Subject:
    """A model with its fitted estimate and the estimators to compare it with."""

    def __init__(self, model: Model, data: str, held: Sequence[Row]) -> None:
        from sklearn.isotonic import IsotonicRegression

        self._model, self._data = model, data
        rows = model.rows([text for text, _ in held])
        copies = perturbed(held, seed=0)
        reference = fit(model.labels, rows, _labels(held), model.rows([text for text, _ in copies]), _labels(copies))
        if reference is None:
            raise SystemExit(f"{data}: {len(held)} evaluation rows are too few")
        self._reference: AccuracyReference = reference
        self._isotonic = IsotonicRegression(out_of_bounds="clip").fit(rows.scores.max(axis=1), _right(rows, held))

    def measure(self, given: Slice) -> Outcome:
        """Estimate a slice, and hold random labels of it against the estimate."""
        rows = self._model.rows([text for text, _ in given.rows])
        right = _right(rows, given.rows)
        columns = self._reference.columns(rows)
        estimate = self._reference.estimate(len(rows), columns.sum(axis=0))
        top = rows.scores.max(axis=1)
        others = {
            "cbpe": float(self._isotonic.predict(top).mean()),
            "atc": estimate.atc,
            "confidence": float(top.mean()),
        }
        contradicted = _contradicted(estimate, right, columns[:, 0])
        truth = float(right.mean())
        return Outcome(self._model.name, self._data, given.name, len(rows), truth, estimate, others, contradicted)


def _data(folder: Path) -> Iterator[tuple[str, list[Row]]]:
    """Data sets with rows enough; the 764 projects of Made With ML would leave 250 a part, an interval of 10 points."""
    for name in ("financial_phrasebank", "movie_reviews"):
        yield name, list(dict(read_rows(folder / f"{name}.csv")).items())
    yield "headlines", generate(3 * MAX_ROWS, seed=7)


def _split(rows: list[Row]) -> tuple[list[Row], list[Row], list[Row]]:
    Random(0).shuffle(rows)
    third = len(rows) // 3
    return rows[:third], rows[third : 2 * third], rows[2 * third :]


def _labels(rows: Sequence[Row]) -> list[str]:
    return [label for _, label in rows]


def _right(rows: Rows, truths: Sequence[Row]) -> NDArray[np.bool_]:
    return np.array(
        [given == true for given, (_, true) in zip(rows.classes[LABEL], truths, strict=True)], dtype=np.bool_
    )


def _contradicted(estimate: Estimate, right: NDArray[np.bool_], chance: NDArray[np.float64]) -> float:
    """Share of draws of random labels after which nobody can tell."""
    rng = np.random.default_rng(0)
    told = 0
    for _ in range(DRAWS):
        drawn = rng.choice(len(right), LABELS, replace=False)
        checks = [Check(bool(right[place]), float(chance[place]), 1.0) for place in drawn]
        told += not reconciled(estimate, checks).trusted
    return told / DRAWS


def _told(outcome: Outcome) -> Outcome:
    errors = "  ".join(f"{name} {error:+5.1f}" for name, error in outcome.errors.items())
    half = 50.0 * (outcome.estimate.high - outcome.estimate.low)
    print(  # noqa: T201 - the report of a script
        f"{outcome.model:7} {outcome.data:21} {outcome.slice:42} {outcome.rows:5} rows  truth {outcome.truth:.3f}"
        f"  {errors}"
        f"  +-{half:4.1f}  labels contradict {outcome.contradicted:.2f}  {outcome.estimate.why}",
        flush=True,
    )
    return outcome


def _summarise(shifted: Sequence[Outcome], moved: Sequence[Outcome]) -> None:
    trusted = [one for one in shifted if one.estimate.trusted]
    for title, group in (("every slice", shifted), ("slices trusted", trusted)):
        for model in (*TRAINERS, ""):
            own = [one for one in group if model in ("", one.model)]
            errors = {name: np.mean([abs(one.errors[name]) for one in own]) for name in own[0].errors}
            shown = "  ".join(f"{name} {error:.2f}" for name, error in errors.items())
            covered = np.mean([one.covered for one in own])
            print(f"{title}, {model or 'both'}: {len(own)}  mean absolute error {shown}  covered {covered:.3f}")  # noqa: T201
    exposed = np.mean([one.contradicted for one in moved])
    slices_exposed = np.mean([one.contradicted >= 0.5 for one in moved])
    unmoved = np.mean([one.contradicted for one in trusted])
    print(  # noqa: T201
        f"concept drift: {len(moved)} slices, exposed by {LABELS} labels in {exposed:.1%} of draws, in most draws of "
        f"{slices_exposed:.1%} of slices; without it contradicted in {unmoved:.1%} of draws"
    )


if __name__ == "__main__":
    main(sys.argv[1:])
