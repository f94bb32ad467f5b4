"""Data in training, evaluation and live windows over the same bins; a trend by windows, minutes, hours, days."""

import json
from typing import Any

import orjson
import pytest

from monitoring.alerts import list_alerts
from monitoring.data_health import data_report, feature_report
from monitoring.layout import EMBEDDING, SOFTMAX, TOKENS
from monitoring.meanings import meaning_of
from monitoring.reference import load_reference
from tests import bundles
from tests.monitoring.conftest import House
from tidegate.errors import InvalidInput, ItemNotFound
from tidegate.records import Span

KEY = ("sentiment", 1)


def data(house: House, window: str = "last") -> dict[str, Any]:
    return data_report(house.database, house.bundles, house.settings.false_alarm_days, KEY, window)


def feature(house: House, name: str = "words", by: Span = "window", most: int = 20) -> dict[str, Any]:
    return feature_report(house.database, house.bundles, house.settings.false_alarm_days, KEY, name, by, most)


def fill(house: House) -> None:
    """Three usual windows and three strange ones, an hour apart."""
    writer = house.writer()
    for number in range(6):
        house.now += 3_600.0
        writer.write(house.usual(100, f"u{number}", number) if number < 3 else house.novel(100, f"n{number}"))


def named(report: dict[str, Any], name: str) -> dict[str, Any]:
    (found,) = [one for one in report["features"] if one["name"] == name]
    return dict(found)


def test_before_the_first_prediction_the_splits_are_told_and_no_window(house: House) -> None:
    found = data(house)

    assert (found["window"], found["windows"], found["whole"]) == (None, [], True)
    assert sum(named(found, "words")["training"]) == 300
    assert named(found, "words")["window"] is None
    assert sum(found["truths"]["training"]) == 300


def test_the_newest_window_is_told_with_what_moved_furthest_first(house: House) -> None:
    fill(house)
    found = data(house)
    surprises = [one["surprise"] for one in found["features"]]

    assert found["window"]["rows"] == 100
    assert surprises == sorted(surprises, reverse=True)
    assert found["features"][0]["drifted"]
    assert sum(named(found, "words")["window"]) == 100
    assert {"film", "unseen"} <= {word["word"] for word in found["words"]["moved"]["new"]}
    assert len(found["windows"]) == 6


def test_a_window_is_chosen_by_its_number_or_by_the_alert_it_raised(house: House) -> None:
    fill(house)
    (alert, *_) = list_alerts(house.database)

    assert not any(one["drifted"] for one in data(house, "1")["features"])
    assert data(house, "alert")["window"]["ids"] == list(alert.window_ids)
    assert data(house, "alert")["window"]["name"] == f"alert {alert.id}"


def test_without_an_alert_there_are_no_windows_of_one(house: House) -> None:
    house.writer().write(house.usual(100, "a"))

    assert data(house, "alert")["window"] is None


@pytest.mark.parametrize("window", ["", "x", "-1", "²", "9" * 12])
def test_what_names_no_window_is_refused(house: House, window: str) -> None:
    with pytest.raises(InvalidInput, match="window is a number"):
        data(house, window)


def test_a_window_of_another_model_is_not_there(house: House) -> None:
    with pytest.raises(ItemNotFound, match="no window 77"):
        data(house, "77")


def test_reports_are_json(house: House) -> None:
    fill(house)

    json.loads(orjson.dumps(data(house)))
    json.loads(orjson.dumps(feature(house)))


@pytest.mark.parametrize(("by", "points"), [("window", 6), ("minute", 6), ("hour", 6), ("day", 1)])
def test_a_trend_is_by_windows_or_by_merged_periods(house: House, by: Span, points: int) -> None:
    fill(house)
    trend = feature(house, by=by)["trend"]

    assert len(trend) == points
    assert sum(point["rows"] for point in trend) == 600
    assert sum(sum(point["counts"]) for point in trend) == 600
    assert trend[-1]["drifted"]


def test_a_trend_has_the_newest_points_alone(house: House) -> None:
    fill(house)

    assert [point["rows"] for point in feature(house, most=2)["trend"]] == [100, 100]


def test_a_feature_is_told_by_true_label_in_both_splits(house: House) -> None:
    by_label = feature(house)["by_label"]

    assert sum(map(sum, by_label["training"])) == 300
    assert sum(map(sum, by_label["evaluation"])) == 150


def test_what_is_normal_shrinks_with_the_window(house: House) -> None:
    normal = feature(house)["normal"]

    assert [one["threshold"] > one["typical"] for one in normal] == [True] * len(normal)
    assert normal[0]["threshold"] > normal[-1]["threshold"]


@pytest.mark.parametrize("name", [TOKENS, SOFTMAX, EMBEDDING])
def test_what_is_kept_as_sums_alone_has_a_distance_and_no_bins(house: House, name: str) -> None:
    fill(house)
    found = feature(house, name)

    assert (found["feature"]["window"], found["by_label"]) == (None, {})
    assert found["feature"]["score"] > 0


def test_a_feature_that_is_not_there_is_named_with_those_that_are(house: House) -> None:
    with pytest.raises(ItemNotFound, match=r"no feature 'nope'.*chars"):
        feature(house, "nope")


def test_every_feature_of_a_text_model_has_words_of_its_own(house: House) -> None:
    for bundle in (house.bundle, bundles.wordpieces(house.bundles)):
        for block in load_reference(bundle).layout.blocks:
            if block.kind != "accuracy":
                assert "of the table" not in meaning_of(block.feature).says, block.feature
    assert meaning_of("age missing").says == "Whether the column age has no value."
