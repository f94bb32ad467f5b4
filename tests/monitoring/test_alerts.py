"""An alert is told once, seen, and over; what goes on is counted, and told again only when there is something new."""

import json
from dataclasses import replace

import pytest

from monitoring import alerts
from tests import postgres
from tests.monitoring.conftest import House
from tests.monitoring.states import KEY, State, finding
from tidegate import store
from tidegate.errors import ItemNotFound

HOUR = 3_600.0


def test_a_finding_opens_one_alert_and_going_on_is_counted(state: State) -> None:
    assert state.close_window(finding()) == [(1, "opened")]
    assert [state.close_window(finding(), after=10) for _ in range(4)] == [[], [], [], []]

    alert = state.alert()
    assert (alert.state, alert.occurrences, alert.last_seen_at) == ("open", 5, state.now)
    assert (alert.kind, alert.severity, alert.window_id, alert.window_ids) == ("drift", "ticket", 1, [1])


def test_three_windows_without_it_resolve_an_alert_and_fewer_do_not(state: State) -> None:
    state.close_window(finding())
    quiet = [state.close_window() for _ in range(2)]
    state.close_window(finding())
    quiet += [state.close_window() for _ in range(2)]
    last = state.close_window()

    assert quiet == [[], [], [], []]
    assert last == [(1, "resolved")]
    assert (state.alert().state, state.alert().resolved_by, state.alert().quiet_windows) == ("resolved", "tidegate", 3)


def test_kinds_and_versions_have_alerts_of_their_own(state: State) -> None:
    both = state.close_window(finding("drift"), finding("contract", "page"))
    other = state.close_window(finding("drift"), key=("headlines", 2))
    for _ in range(3):
        last = state.close_window(finding("drift"))

    assert both == [(1, "opened"), (2, "opened")], "the page first"
    assert other == [(3, "opened")]
    assert [state.alert(number).kind for number, _ in last] == ["contract"]
    assert state.alert(3).state == "open", "windows of version 1 say nothing of version 2"


def test_a_higher_severity_is_told_again_and_a_lower_one_is_not(state: State) -> None:
    state.close_window(finding())
    raised = state.close_window(finding(severity="page", message="worse"))
    lower = state.close_window(finding(message="better"))

    assert (raised, lower) == ([(1, "raised")], [])
    assert (state.alert().severity, state.alert().message) == ("page", "worse")


def test_of_two_findings_of_a_kind_the_more_severe_counts(state: State) -> None:
    state.close_window(finding(message="mild"), finding(severity="page", message="bad"))

    assert [alert.message for alert in alerts.list_alerts(state.database)] == ["bad"]


def test_an_acknowledged_alert_stays_quiet_for_the_cool_down_and_is_told_again_after_it(state: State) -> None:
    state.close_window(finding())
    alerts.acknowledge(state.database, 1, state.now, "ann", "on it")
    within = state.close_window(finding(), after=HOUR - 1)
    after = state.close_window(finding(), after=1)

    assert (within, after) == ([], [(1, "reopened")])
    assert (state.alert().state, state.alert().occurrences, state.alert().acknowledged_by) == ("open", 3, "")


def test_an_acknowledgement_of_a_ticket_does_not_hold_for_a_page(state: State) -> None:
    state.close_window(finding())
    alerts.acknowledge(state.database, 1, state.now)

    assert state.close_window(finding(severity="page")) == [(1, "raised")]
    assert state.alert().state == "open"


def test_an_acknowledged_alert_is_resolved_by_quiet_windows_too(state: State) -> None:
    state.close_window(finding())
    alerts.acknowledge(state.database, 1, state.now)

    assert [state.close_window() for _ in range(3)] == [[], [], [(1, "resolved")]]


def test_what_comes_back_in_the_cool_down_is_counted_and_not_told(state: State) -> None:
    state.close_window(finding())
    alerts.resolve(state.database, 1, state.now, "bob")
    within = state.close_window(finding(), after=HOUR - 1)
    higher = state.close_window(finding(severity="page"))
    alerts.resolve(state.database, 2, state.now)
    after = state.close_window(finding(), after=HOUR)

    assert (within, higher, after) == ([], [(2, "opened")], [(3, "opened")])
    assert (state.alert(1).occurrences, state.alert(1).state) == (2, "resolved")


def test_a_second_acknowledgement_or_resolution_changes_nothing(state: State) -> None:
    state.close_window(finding())
    first = alerts.acknowledge(state.database, 1, 5.0, "ann")
    second = alerts.acknowledge(state.database, 1, 9.0, "bob", "me too")
    over = alerts.resolve(state.database, 1, 10.0, "ann", "fixed")
    late = [alerts.resolve(state.database, 1, 11.0, "bob"), alerts.acknowledge(state.database, 1, 12.0, "bob")]

    assert first == second
    assert (first.acknowledged_at, first.acknowledged_by, first.note) == (5.0, "ann", "")
    assert late == [over, over]
    assert (over.resolved_at, over.resolved_by, over.note, over.state) == (10.0, "ann", "fixed", "resolved")


@pytest.mark.parametrize("alert_id", [7, -1, 2**31, 2**63])
def test_an_unknown_alert_is_named(state: State, alert_id: int) -> None:
    for change in (alerts.acknowledge, alerts.resolve):
        with pytest.raises(ItemNotFound, match=f"no alert {alert_id}"):
            change(state.database, alert_id, 1.0)


def test_what_no_database_takes_is_replaced_and_what_is_too_long_is_cut(state: State) -> None:
    strange = finding(message="naïve \ud800\0☂" + "x" * 100_000)
    features = [{"name": f"w\0{n}", "score": float("nan"), "threshold": 0.1} for n in range(50)]
    detail = {"\ud800": [float("inf"), "\0"]}
    state.close_window(replace(strange, features=features, detail=detail))

    alert = state.alert()
    assert alert.message.startswith("naïve ���\ufffd☂xxx")
    assert len(alert.message) == alerts.MAX_MESSAGE_CHARS
    assert alert.features[0] == {"name": "w\ufffd0", "score": None, "threshold": 0.1}
    assert len(alert.features) == alerts.MAX_FEATURES
    assert json.dumps(alert.document(), allow_nan=False)


def test_alerts_are_listed_by_model_and_state_newest_first(state: State) -> None:
    state.close_window(finding("drift"), key=("a", 1))
    state.close_window(finding("drift"), key=("b", 1))
    alerts.acknowledge(state.database, 1, state.now)

    assert [a.model for a in alerts.list_alerts(state.database)] == ["b", "a"]
    assert [a.model for a in alerts.list_alerts(state.database, state="acknowledged")] == ["a"]
    assert alerts.list_alerts(state.database, model="a", state="open") == []
    assert alerts.list_alerts(state.database, model="\0") == []


def test_counts_keep_a_zero_for_what_is_over(state: State) -> None:
    state.close_window(finding(), finding("contract", "page"))
    alerts.resolve(state.database, 1, state.now)
    kinds = {alert.id: alert.kind for alert in alerts.list_alerts(state.database)}

    with state.database.connect() as connection:
        counts = {kind: count for _, kind, _, count in alerts.open_counts(connection)}
    assert counts == {kinds[1]: 0, kinds[2]: 1}


def test_an_alert_that_is_told_queues_texts_of_its_windows(house: House) -> None:
    house.writer().write(house.novel(200, "a"))
    alerts.acknowledge(house.database, 1, house.now)
    house.now += HOUR
    house.writer().write(house.novel(100, "b"))
    (alert,) = alerts.list_alerts(house.database)

    assert (alert.event, alert.relabel_items_queued) == ("reopened", 20)


def test_a_change_that_is_rolled_back_announces_nothing(state: State) -> None:
    with state.database.connect() as connection:
        alerts.settle(connection, KEY, [finding()], 1, state.now, state.settings)
        connection.rollback()

    assert (alerts.list_alerts(state.database), state.deliveries()) == ([], [])


@pytest.mark.slow
def test_postgresql_keeps_the_same_life() -> None:
    with postgres.server() as url:
        state = State(store.open_database(url))
        told = [state.close_window(finding()), state.close_window(finding(severity="page", message="\0naïve \ud800"))]
        alerts.acknowledge(state.database, 1, state.now, "ann")
        told += [state.close_window() for _ in range(3)]
        told += [state.close_window(finding()), state.close_window(finding(), after=HOUR)]
        with pytest.raises(ItemNotFound):
            alerts.find(state.database, 2**40)
        events = [delivery.event for delivery in state.deliveries()]
        state.database.dispose()

    assert told == [[(1, "opened")], [(1, "raised")], [], [], [(1, "resolved")], [], [(2, "opened")]]
    assert events == ["opened", "raised", "acknowledged", "resolved", "opened"]
