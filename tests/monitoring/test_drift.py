"""A window is ok, drifted or insufficient; what drifted is named, worst first."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from monitoring import drift, profiles
from monitoring.features import record_features
from monitoring.reference import Reference, load_reference
from tests.monitoring.conftest import House
from tidegate.records import Record


def score(house: House, records: list[Record], reference: Reference | None = None) -> drift.WindowScore:
    profile = profiles.profile_frame(record_features(records))
    return drift.score(profile, reference or load_reference(house.bundle))


def test_usual_inputs_are_ok(house: House) -> None:
    result = score(house, house.usual(200, "a"))

    assert result.status == "ok"
    assert len(result.features) == 15


def test_other_inputs_drift_and_are_named_worst_first(house: House) -> None:
    result = score(house, house.novel(60, "a"))

    assert result.status == "drift"
    ratios = [f.score / f.threshold for f in result.features]
    assert ratios == sorted(ratios, reverse=True)
    unknown = next(f for f in result.features if f.name == "unknown_rate")
    assert unknown.drifted
    assert isinstance(unknown.window, float)
    assert isinstance(unknown.reference, float)
    assert unknown.window > 0.8 > unknown.reference


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


@pytest.mark.parametrize("rows", [0, 1, 49])
def test_below_fifty_rows_nothing_is_claimed(house: House, rows: int) -> None:
    records = house.novel(49, "a")[:rows]
    profile = profiles.profile_frame(record_features(records)) if rows else profiles.empty()

    assert drift.score(profile, load_reference(house.bundle)) == drift.WindowScore("insufficient")


def test_without_calibration_nothing_is_claimed(house: House) -> None:
    assert score(house, house.novel(200, "a"), Reference()).status == "insufficient"


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        ([], False),
        (["drift"], False),
        (["drift", "drift"], True),
        (["drift", "ok", "drift"], True),
        (["drift", "drift", "ok", "ok"], False),
        (["drift", "ok", "ok", "drift"], False),
    ],
)
def test_two_of_the_last_three_confirm(statuses: list[str], expected: bool) -> None:
    assert drift.confirmed(statuses) is expected


def test_false_alarms_of_the_whole_path_are_few(house: House) -> None:
    """Reference, calibration, sketches and thresholds together, on 100 fresh windows."""
    reference = load_reference(house.bundle)
    frame = record_features(house.usual(10_000, "a", seed=77))
    frames: list[pd.DataFrame] = [frame.iloc[start : start + 100] for start in range(0, 10_000, 100)]

    alarms = [drift.score(profiles.profile_frame(part), reference).status == "drift" for part in frames]

    assert np.mean(alarms) <= 0.05
