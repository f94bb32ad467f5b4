"""The report says what happened, to whom, since when and why; and says nothing that it cannot know."""

import json
from typing import Any

import orjson
import pytest
from sqlalchemy import update

from monitoring import alerts
from monitoring.examples import texts_of
from monitoring.report import drift_report
from tests import bundles
from tests.monitoring.conftest import House
from tidegate.errors import ItemNotFound
from tidegate.store import windows

KEY = ("sentiment", 1)


def report(house: House, alert: int | None = None) -> dict[str, Any]:
    return drift_report(house.database, house.bundles, house.settings.false_alarm_days, KEY, alert)


def drifted(house: House) -> dict[str, Any]:
    """After three usual windows and three strange ones, an hour apart."""
    writer = house.writer()
    for number in range(6):
        house.now += 3_600.0
        rows = house.usual(100, f"u{number}", seed=number) if number < 3 else house.novel(100, f"n{number}")
        writer.write(rows)
    return report(house)


def test_nothing_seen_is_insufficient_and_has_no_charts(house: House) -> None:
    found = report(house)

    assert (found["status"], found["alert"], found["windows"], found["features"]) == ("insufficient", False, [], [])
    assert found["sentence"] == "Nothing can be said yet: no predictions yet; a window is scored from 50 on."
    assert (found["alarm"], found["attribution"], found["advice"]) == (None, None, "")


def test_usual_inputs_are_told_in_one_plain_sentence(house: House) -> None:
    house.writer().write(house.usual(100, "a"))
    found = report(house)

    assert found["sentence"] == "The newest 100 predictions look like what this model was made for."
    assert found["attribution"] is None


def test_a_drift_is_told_with_its_features_words_classes_and_kind(house: House) -> None:
    found = drifted(house)
    why = found["attribution"]

    assert (found["status"], found["alert"]) == ("drift", True)
    assert found["sentence"].startswith("The newest 100 predictions differ from what this model was made for, most")
    assert "read the examples" in found["advice"]
    assert {"film", "unseen", "truly"} <= {word["word"] for word in why["words"]["new"]}
    assert {"profit", "shares"} & {word["word"] for word in why["words"]["gone"]}
    assert why["shift"]["verdict"] == "covariate"
    assert why["classes"][0]["moved"] is True
    assert why["classifier"] is None, "it runs only for an alert that is asked about"


def test_five_examples_are_of_the_windows_that_drifted_and_their_texts_can_be_had(house: House) -> None:
    found = drifted(house)
    ids = [example["id"] for example in found["attribution"]["examples"]]
    texts = texts_of(house.database, "sentiment", ids)

    assert len(ids) == 5
    assert all("utterly unseen film" in texts[each] for each in ids)
    assert texts_of(house.database, "other", ids) == {}


def test_trends_and_distributions_cover_every_feature(house: House) -> None:
    found = drifted(house)
    names = {feature["name"] for feature in found["features"]}

    assert {len(trend) for trend in found["trends"].values()} == {6}
    assert found["trends"].keys() == names
    assert {one["name"] for one in found["distributions"]} <= names
    assert [window["limit"] > 0 for window in found["alarm"]["windows"]] == [True] * 6


def test_hours_hold_the_windows_that_ended_in_them(house: House) -> None:
    hours = drifted(house)["periods"]["hour"]

    assert [hour["rows"] for hour in hours] == [100.0] * 6
    assert [hour["ratio"] > 1 for hour in hours] == [False] * 3 + [True] * 3


def test_a_report_is_json(house: House) -> None:
    drifted(house)
    (alert, *_) = alerts.list_alerts(house.database)
    first, second = (json.loads(orjson.dumps(report(house, alert.id))) for _ in range(2))

    assert first["attribution"] == second["attribution"], "the second classifier comes from the database"


def test_the_classifier_of_an_alert_is_worked_out_once_and_kept_with_it(house: House) -> None:
    drifted(house)
    (alert, *_) = alerts.list_alerts(house.database)
    told = report(house, alert.id)["attribution"]["classifier"]

    assert told["auc"] > 0.95
    assert alerts.find(house.database, alert.id).detail["classifier"]["auc"] == told["auc"]


def test_an_alert_of_another_model_or_none_is_not_found(house: House) -> None:
    drifted(house)
    (alert, *_) = alerts.list_alerts(house.database)

    with pytest.raises(ItemNotFound, match="no alert 99"):
        report(house, 99)
    with pytest.raises(ItemNotFound, match="is of sentiment/1, not of sentiment/2"):
        drift_report(house.database, house.bundles, 30.0, ("sentiment", 2), alert.id)


def test_a_bundle_that_is_gone_leaves_what_the_database_knows(house: House) -> None:
    drifted(house)
    (house.bundle.path / "drift.json").unlink()
    found = report(house)

    assert (found["status"], found["attribution"]) == ("drift", None)
    assert len(found["trends"]["words"]) == 6


def test_windows_of_an_older_tidegate_are_told_and_a_bundle_that_cannot_score_is_to_be_exported_again(
    house: House,
) -> None:
    drifted(house)
    with house.database.begin() as connection:
        connection.execute(update(windows).values(sums=None))  # as an upgrade leaves them
    before = report(house)
    reference = house.bundle.path / "drift.json"
    reference.write_text(reference.read_text().replace('"schema_version":2', '"schema_version":1'))
    house.now += 3_600.0
    house.writer().write(house.usual(60, "new"))
    after = report(house)

    assert (before["status"], len(before["trends"]["words"])) == ("drift", 6)
    assert [window["rows"] for window in after["windows"]] == [100] * 6 + [60]
    assert after["sentence"].startswith("Nothing can be said of the newest predictions: no window is scored: ")
    assert "drift.json" in after["detail"]
    assert after["detail"].endswith("export it again")


def test_what_breaks_a_contract_is_explained_by_the_features_that_drifted_with_it(house: House) -> None:
    writer = house.writer()
    writer.write(house.usual(100, "a"))
    texts = [f"これは 全く 別の 言語 です {number}" for number in range(100)]
    writer.write(bundles.predictions(house.bundle, texts, prefix="b", created_at=house.now))
    (alert,) = [each for each in alerts.list_alerts(house.database) if each.kind == "contract"]
    found = report(house, alert.id)["attribution"]["shift"]

    assert [feature["name"] for feature in alert.features] == ["texts in another script"]
    assert found["verdict"] == "covariate"
