"""The outbox: every event gets a row per receiver, each row is sent by one process, nothing grows for ever."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import Engine, func, select, update

from monitoring import alerts, deliveries
from monitoring.receivers import Receiver, receivers_of
from tests import postgres
from tests.monitoring.states import State, finding
from tidegate import store
from tidegate.errors import ItemNotFound
from tidegate.store import deliveries as table

TWO = receivers_of("https://a.example/x, slack+https://b.example/y")
FOLLOWER = receivers_of("alertmanager+http://am.example")


def sort(state: State, receivers: tuple[Receiver, ...] = TWO) -> int:
    return deliveries.sort(state.database, receivers, state.now)


def claim(state: State, receiver: Receiver = TWO[0]) -> deliveries.Delivery | None:
    return deliveries.claim(state.database, receiver.name, state.now)


def claimed(state: State, receiver: Receiver = TWO[0]) -> deliveries.Delivery:
    delivery = claim(state, receiver)
    assert delivery is not None
    return delivery


def test_an_event_goes_to_every_receiver_under_a_key_of_its_own(state: State) -> None:
    state.close_window(finding())
    waiting = state.states()
    assert (sort(state), sort(state)) == (1, 0)

    found = state.deliveries()
    assert waiting == ["new"]
    assert [(d.receiver, d.event, d.state) for d in found] == [(r.name, "opened", "pending") for r in TWO]
    assert len({d.key for d in found}) == 2
    assert found[0].document == state.alert().document()


def test_without_receivers_events_are_nobodys(state: State) -> None:
    state.close_window(finding())
    sort(state, ())

    assert state.deliveries() == []


def test_what_is_claimed_is_nobody_elses_until_its_lease_ends(state: State) -> None:
    state.close_window(finding())
    sort(state)
    first, second = claimed(state), claim(state)
    state.now += deliveries.LEASE_SECONDS
    third = claimed(state)

    assert second is None
    assert (first.id, first.key, first.attempts) == (third.id, third.key, 1)
    assert third.attempts == 2


def test_who_was_overtaken_cannot_end_what_another_process_sends(state: State) -> None:
    state.close_window(finding())
    sort(state)
    slow = claimed(state)
    state.now += deliveries.LEASE_SECONDS
    quick = claimed(state)
    deliveries.give_up(state.database, slow, state.now, "too late")
    between = state.states()
    deliveries.delivered(state.database, quick, state.now)

    assert (between[0], state.states()[0]) == ("pending", "delivered")


def test_of_one_alert_a_receiver_hears_in_order_and_of_others_meanwhile(state: State) -> None:
    state.close_window(finding())
    alerts.acknowledge(state.database, 1, state.now)
    state.close_window(finding("contract"))
    sort(state)
    opened = claimed(state)
    other = claimed(state)
    blocked = claim(state)
    deliveries.put_off(state.database, opened, state.now + 5, "it answered 500")
    still = claim(state)
    state.now += 5
    deliveries.delivered(state.database, claimed(state), state.now)

    assert (opened.event, other.alert_id) == ("opened", 2)
    assert (blocked, still) == (None, None)
    assert claimed(state).event == "acknowledged"


def test_a_follower_has_one_delivery_an_alert_which_an_event_makes_due(state: State) -> None:
    state.close_window(finding())
    sort(state, FOLLOWER)
    sent = claimed(state, FOLLOWER[0])
    deliveries.repeat(state.database, sent, state.now + 60)
    early = claim(state, FOLLOWER[0])
    alerts.resolve(state.database, 1, state.now)
    sort(state, FOLLOWER)
    again = claimed(state, FOLLOWER[0])

    assert (early, sent.id) == (None, again.id)
    assert (again.event, again.document["state"], again.attempts) == ("resolved", "resolved", 1)


def test_a_follower_hears_at_once_of_what_happened_while_it_was_told(state: State) -> None:
    state.close_window(finding())
    sort(state, FOLLOWER)
    sent = claimed(state, FOLLOWER[0])
    alerts.resolve(state.database, 1, state.now)
    sort(state, FOLLOWER)
    beside = claim(state, FOLLOWER[0])
    deliveries.repeat(state.database, sent, state.now + 60)

    assert beside is None, "the lease holds"
    assert claimed(state, FOLLOWER[0]).event == "resolved"


def test_dead_ones_are_tried_again_on_demand_one_or_all(state: State) -> None:
    state.close_window(finding())
    sort(state)
    for receiver in TWO:
        deliveries.give_up(state.database, claimed(state, receiver), state.now, "it answered 410")
    first = state.deliveries()[0].id
    assert deliveries.retry(state.database, first, state.now) == 1
    assert state.states() == ["pending", "dead"]
    assert deliveries.retry(state.database, None, state.now) == 1
    assert claimed(state).attempts == 1
    for unknown in (first, 99, 2**40):
        with pytest.raises(ItemNotFound, match=f"no dead delivery {unknown}"):
            deliveries.retry(state.database, unknown, state.now)


def test_what_waits_for_a_receiver_that_is_gone_is_dead(state: State) -> None:
    state.close_window(finding())
    sort(state)
    deliveries.tidy(state.database, TWO[:1], state.now)

    assert state.states() == ["pending", "dead"]
    assert "no longer names" in state.deliveries()[1].error


def test_only_the_newest_that_ended_are_kept_and_dead_ones_a_week(
    state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deliveries, "KEEP_ENDED", 3)
    for number in range(6):
        state.close_window(finding(), key=("m", number))
        sort(state, TWO[:1])
        deliveries.delivered(state.database, claimed(state), state.now + number)
    state.close_window(finding())
    sort(state, TWO[:1])
    deliveries.give_up(state.database, claimed(state), state.now, "x")
    deliveries.tidy(state.database, TWO[:1], state.now + deliveries.KEEP_DEAD_SECONDS)
    kept = [(d.alert_id, d.state) for d in state.deliveries()]
    deliveries.tidy(state.database, TWO[:1], state.now + deliveries.KEEP_DEAD_SECONDS + 1)

    assert kept == [(4, "delivered"), (5, "delivered"), (6, "delivered"), (7, "dead")]
    assert state.states() == ["delivered"] * 3


def test_counts_have_every_state(state: State) -> None:
    state.close_window(finding())
    with state.database.connect() as connection:
        assert deliveries.counts(connection) == {"new": 1, "pending": 0, "delivered": 0, "dead": 0}


def share_the_work(database: Engine, other: Engine) -> None:
    """Two processes sort and claim at once; every row is made once and claimed once."""
    state = State(database)
    for number in range(20):
        state.close_window(finding(), key=("m", number))

    def work(mine: Engine) -> list[int]:
        deliveries.sort(mine, TWO, state.now)
        taken: list[int] = []
        misses = 0
        while misses < 20:  # None also means that the other was faster
            delivery = deliveries.claim(mine, TWO[0].name, state.now)
            misses = 0 if delivery else misses + 1
            if delivery:
                taken.append(delivery.id)
                deliveries.delivered(mine, delivery, state.now)
        return taken

    with ThreadPoolExecutor(2) as pool:
        taken = [each for found in pool.map(work, (database, other)) for each in found]
    taken += [delivery.id for delivery in iter(lambda: claim(state), None)]
    with database.connect() as connection:
        rows = connection.scalar(select(func.count()).select_from(table))

    assert rows == 40
    assert len(taken) == len(set(taken)) == 20


def test_two_processes_share_the_work_on_sqlite(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'state.db'}"
    one, two = store.open_database(url), store.open_database(url)
    share_the_work(one, two)
    for engine in (one, two):
        engine.dispose()


@pytest.mark.slow
def test_two_processes_share_the_work_on_postgresql() -> None:
    with postgres.server() as url:
        one, two = store.open_database(url), store.open_database(url)
        share_the_work(one, two)
        state = State(one)
        state.close_window(finding("contract", "page"))
        sort(state, FOLLOWER)
        deliveries.repeat(one, claimed(state, FOLLOWER[0]), state.now)
        with one.begin() as connection:
            connection.execute(update(table).values(state="dead", ended_at=state.now))
        deliveries.tidy(one, TWO, state.now)
        assert deliveries.retry(two, None, state.now) == 41
        for engine in (one, two):
            engine.dispose()
