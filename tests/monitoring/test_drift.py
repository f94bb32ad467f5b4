"""A window is ok, drifted or insufficient; what drifted is named, worst first."""

from dataclasses import replace

import numpy as np
import pytest

from monitoring import drift
from monitoring.features import Seen
from monitoring.reference import Reference, load_reference
from tests.monitoring import samples
from tests.monitoring.conftest import House
from tidegate.records import Record

LIMIT_RATE = 0.001


def score(house: House, records: list[Record]) -> drift.WindowScore:
    reference = load_reference(house.bundle)
    summary = reference.summarise(records, Seen())
    return drift.score(summary, reference, reference.calibration.window_limit(len(records), LIMIT_RATE))


def test_usual_inputs_are_ok(house: House) -> None:
    result = score(house, house.usual(200, "a"))

    assert result.status == "ok"
    assert result.surprise < result.limit
    assert {feature.name for feature in result.features} >= {"chars", "script", "label", "softmax", "tokens_used"}


def test_other_inputs_drift_and_are_named_worst_first(house: House) -> None:
    result = score(house, house.novel(60, "a"))
    surprises = [feature.surprise for feature in result.features]
    unknown = next(feature for feature in result.features if feature.name == "unknown_rate")

    assert result.status == "drift"
    assert surprises == sorted(surprises, reverse=True)
    assert unknown.drifted
    assert isinstance(unknown.window, float)
    assert isinstance(unknown.reference, float)
    assert unknown.window > unknown.reference + 0.3
    assert all((f.score > f.threshold) == f.drifted for f in result.features if f.name != "duplicate")


def test_another_mix_of_classes_alone_is_seen(house: House) -> None:
    positive = [r for r in house.usual(2_000, "a") if r.label == "positive"][:200]
    label = next(f for f in score(house, positive).features if f.name == "label")

    assert label.drifted
    assert isinstance(label.window, dict)
    assert label.window["positive"] == 1.0


def test_a_class_unknown_to_the_reference_is_told_as_other(house: House) -> None:
    strange = [replace(r, label="new") for r in house.usual(60, "a")]
    label = next(f for f in score(house, strange).features if f.name == "label")

    assert isinstance(label.window, dict)
    assert label.window["other"] == 1.0


@pytest.mark.parametrize("rows", [1, 49])
def test_below_fifty_rows_nothing_is_claimed(house: House, rows: int) -> None:
    assert score(house, house.novel(49, "a")[:rows]) == drift.WindowScore("insufficient")


def test_without_a_reference_nothing_is_claimed(house: House) -> None:
    blank = Reference.blank()
    summary = blank.summarise(house.novel(200, "a"), Seen())

    assert summary.rows == 200
    assert drift.score(summary, blank, 3.0).status == "insufficient"


def test_a_row_that_lies_apart_is_less_typical_than_a_usual_one() -> None:
    rng = np.random.default_rng(1)
    known = samples.reference(rng, evaluation=200)
    usual, apart = (known.typicality(samples.draw(rng, 200, shift)) for shift in (0.0, 3.0))

    assert usual.mean() > apart.mean() + 2 * apart.std()
    assert (np.abs(usual) <= 1).all()


def test_rows_without_an_embedding_say_nothing_about_it() -> None:
    rng = np.random.default_rng(2)
    known = samples.reference(rng, evaluation=200)
    rows = samples.draw(rng, 200)
    lost = known.mapped(replace(rows, embedding=rows.embedding[:, :0]))
    surprise = {f.name: f.surprise for f in drift.score(known.layout.summarise(lost), known, 3.0).features}

    assert surprise["embedding"] < 1.0
    assert surprise["chars"] < 3.0
