"""What a person does about an alert holds: the windows that raised it raise it no more."""

from monitoring import alerts
from tests.monitoring.conftest import House

HOUR = 3_600.0


def test_a_drift_that_somebody_resolved_and_that_is_over_opens_no_new_alert(house: House) -> None:
    writer = house.writer()
    for number in range(4):
        house.now += HOUR
        writer.write(house.novel(100, f"novel{number}"))
    for alert in alerts.list_alerts(house.database):
        alerts.resolve(house.database, alert.id, house.now)
    for number in range(5):  # the slow window would still be full of what was strange, long after the cool-down
        house.now += 2.0 * HOUR
        writer.write(house.usual(100, f"usual{number}", seed=number))

    assert alerts.list_alerts(house.database, state="open") == []


def test_a_drift_that_goes_on_after_it_was_resolved_opens_a_new_alert(house: House) -> None:
    writer = house.writer()
    for number in range(8):
        house.now += 2.0 * HOUR
        writer.write(house.novel(100, f"novel{number}"))
        if number == 3:
            for alert in alerts.list_alerts(house.database):
                alerts.resolve(house.database, alert.id, house.now)

    assert "drift" in {alert.kind for alert in alerts.list_alerts(house.database, state="open")}
