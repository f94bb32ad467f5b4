"""Alerts are raised once, seen once, and raised again only by windows begun after they were seen."""

import pytest
from sqlalchemy import delete

from monitoring import alerts
from tests.monitoring.conftest import House
from tidegate.errors import ItemNotFound
from tidegate.store import alerts as table


def test_an_alert_names_its_features_by_how_much_worst_first(house: House) -> None:
    house.writer().write(house.novel(200, "a"))
    (alert,) = alerts.list_alerts(house.database)

    assert (alert.model, alert.version, alert.opened_at, alert.acknowledged_at) == ("sentiment", 1, 1_000.0, None)
    assert all(f["score"] > f["threshold"] for f in alert.features)
    assert f"{alert.features[0]['name']} {alert.features[0]['score']:.2f}" in alert.message


def test_one_drifted_window_is_no_alert(house: House) -> None:
    writer = house.writer()
    writer.write(house.novel(100, "a"))
    writer.write(house.usual(200, "b"))
    writer.write(house.novel(100, "c"))

    assert alerts.list_alerts(house.database) == []


def test_an_acknowledged_alert_comes_back_only_after_two_more_drifted_windows(house: House) -> None:
    writer = house.writer()
    writer.write(house.novel(400, "a"))
    house.now += 10
    alerts.acknowledge(house.database, 1, house.now)
    writer.write(house.novel(100, "b"))
    after_one = len(alerts.list_alerts(house.database))
    writer.write(house.novel(100, "c"))

    assert after_one == 1
    assert [alert.id for alert in alerts.list_alerts(house.database)] == [2, 1]


def test_acknowledging_twice_keeps_the_first_time(house: House) -> None:
    house.writer().write(house.novel(200, "a"))

    assert alerts.acknowledge(house.database, 1, 5.0).acknowledged_at == 5.0
    assert alerts.acknowledge(house.database, 1, 9.0).acknowledged_at == 5.0


def test_an_unknown_alert_is_named(house: House) -> None:
    with pytest.raises(ItemNotFound, match="no alert 7"):
        alerts.acknowledge(house.database, 7, 1.0)


def test_the_message_names_five_features_and_counts_the_rest() -> None:
    features = [{"name": f"f{i}", "score": 0.5, "threshold": 0.1} for i in range(7)]

    assert alerts.describe(("m", 3), features, 2).endswith("f4 0.50 (threshold 0.10) and 2 more")


def test_the_window_furthest_from_the_reference_comes_first(house: House) -> None:
    writer = house.writer(relabel_per_alert=0)
    usual, novel = house.usual(50, "b"), house.novel(50, "c")
    writer.write([*usual, *novel])  # half and half
    writer.write(house.novel(100, "a"))
    (alert,) = alerts.list_alerts(house.database)
    with house.database.begin() as connection:
        connection.execute(delete(table))
        due = alerts.open_if_due(connection, (alert.model, alert.version), at=2.0)

    assert due is not None
    assert due[1] == [2, 1]
