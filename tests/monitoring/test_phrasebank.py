"""On real texts: held-out headlines raise no alarm, film reviews do, whichever split of the headlines it is."""

import csv
from pathlib import Path

import numpy as np
import pytest

from monitoring.alarm import Detector
from monitoring.building import build_reference
from monitoring.features import Seen
from monitoring.reference import Reference, load_reference
from tests import bundles
from tests.monitoring.conftest import House
from tidegate.devices import choose
from tidegate.engine import Engine

DATA = Path(__file__).parents[2].parent / "shared" / "data"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not DATA.is_dir(), reason=f"the shared data is not at {DATA}"),
]


def read(name: str) -> list[str]:
    with (DATA / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return [row["text"] for row in csv.DictReader(file)]


def watch(house: House, reference: Reference, texts: list[str]) -> list[bool]:
    """Whether there is an alarm after each window of 100, an hour apart."""
    records = bundles.predictions(house.bundle, texts)
    detector, seen, alarms = Detector(), Seen(), []
    for start in range(0, len(records) - 99, 100):
        summary = reference.summarise(records[start : start + 100], seen)
        detector, verdict = detector.observe(summary, 3_600.0, reference, 30.0)
        alarms.append(verdict.alarm)
    return alarms


def test_headlines_stay_quiet_and_reviews_alert(house: House) -> None:
    headlines, reviews = np.array(read("financial_phrasebank")), read("movie_reviews")
    engine = Engine.open(house.bundle, choose("cpu", ["CPUExecutionProvider"]), threads=1)
    quiet: list[bool] = []
    for seed in range(4):
        training, held_out, fresh = np.split(np.random.default_rng(seed).permutation(headlines), [2_200, 3_000])
        rows = list(zip(training.tolist(), engine.encode(training.tolist()), strict=True))
        evaluation = bundles.predictions(house.bundle, held_out.tolist())
        truths = [record.label for record in evaluation]
        build_reference(house.bundle.manifest.labels, rows, evaluation, truths, (), house.bundle.path)
        reference = load_reference(house.bundle)
        quiet += watch(house, reference, fresh.tolist())
        assert watch(house, reference, reviews[:500]) == [True] * 5

    assert len(quiet) == 44
    assert sum(quiet) <= 2  # one alarm a month is 0.06 of them; an alarm lasts for a few windows
