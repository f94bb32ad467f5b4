"""Past inputs that are stored beside a live server change nothing for what lives."""

import numpy as np
from sqlalchemy import func, select

from monitoring import alerts, history
from monitoring.backfill import cut, replay
from monitoring.features import Seen
from monitoring.reference import load_reference
from tests.monitoring.conftest import House
from tidegate.store import records, windows

KEY = ("sentiment", 1)
DAY = 86_400.0


def store_past(house: House, calm: int, strange: int) -> None:
    """Texts of a day ago are judged and kept, as `tidegate monitor --backfill --record` does it."""
    reference, seen = load_reference(house.bundle), Seen()
    past = [*house.usual(calm, "past"), *(house.novel(strange, "past") if strange else ())]
    cuts = cut(house.now - DAY + np.arange(len(past), dtype=np.float64), 100, 3_600.0)
    judged = replay(cuts, lambda w: reference.summarise(past[w.start : w.stop], seen), reference, 30.0)
    history.keep(house.database, KEY, list(judged))


def test_an_alert_that_is_open_goes_on_after_a_past_one_was_stored(house: House) -> None:
    house.now = 10 * DAY
    writer = house.writer()
    for number in range(3):
        house.now += 3_600.0
        writer.write(house.novel(100, f"before{number}"))
    live = [alert.id for alert in alerts.list_alerts(house.database, state="open")]
    store_past(house, calm=300, strange=300)
    house.now += 3_600.0
    writer.write(house.novel(100, "after"))

    with house.database.connect() as connection:
        assert connection.scalar(select(func.count()).select_from(records)) == 400, "nothing was lost"
    assert [alert.id for alert in alerts.list_alerts(house.database, state="open")] == live


def test_the_cool_down_of_a_live_alert_holds_after_a_past_one_was_stored(house: House) -> None:
    house.now = 10 * DAY
    writer = house.writer()
    for number in range(3):
        writer.write(house.novel(100, f"before{number}"))
    for alert in alerts.list_alerts(house.database):
        alerts.resolve(house.database, alert.id, house.now)
    store_past(house, calm=300, strange=300)
    for number in range(2):
        house.now += 60.0
        writer.write(house.novel(100, f"after{number}"))

    assert alerts.list_alerts(house.database, state="open") == []


def test_an_alert_names_the_live_windows_that_drifted_and_not_the_past_ones(house: House) -> None:
    house.now = 10 * DAY
    writer = house.writer()
    writer.write(house.usual(50, "open"))  # a window whose number is lower than those of the past
    store_past(house, calm=600, strange=0)
    for number in range(4):
        house.now += 3_600.0
        writer.write(house.novel(100, f"live{number}"))
    (alert,) = [a for a in alerts.list_alerts(house.database) if a.kind == "drift"]

    with house.database.connect() as connection:
        live = select(windows.c.id).where(windows.c.ended_at >= 10 * DAY, windows.c.status == "drift")
        assert set(alert.window_ids) <= set(connection.scalars(live))
    assert alert.features
