"""Receivers get every event at least once; one that is down, slow, angry or gone harms nothing and nobody else."""

import json
import logging
import socket

import pytest

from monitoring import alerts
from monitoring.post import Answer
from monitoring.webhook import MAX_TRIES, Webhooks, backoff, wait_of
from tests.monitoring.conftest import House
from tests.monitoring.receivers import inbox
from tests.monitoring.states import State, finding
from tidegate.errors import UsageError


def test_an_alert_arrives_as_json_once_and_carries_no_callers_text(house: House) -> None:
    with inbox() as receiver:
        house.settings = house.settings.model_copy(
            update={"webhook_url": receiver.url, "webhook_allow_private": True, "public_url": "https://t.example"}
        )
        job = house.job()
        job.start()
        job.record(house.novel(400, "a"))
        assert receiver.arrived.wait(20)
        job.stop()

    (document,) = receiver.bodies
    assert (document["event"], document["model"], document["version"]) == ("opened", "sentiment", 1)
    assert document["relabel_items_queued"] == 10
    assert document["report_url"] == "https://t.example/drift/sentiment?alert=1"
    assert "unseen" not in json.dumps(document)


def test_a_life_is_told_in_order_each_event_under_its_own_key(state: State) -> None:
    with inbox() as receiver:
        post = state.listen(receiver.url)
        state.close_window(finding())
        post.round()
        alerts.acknowledge(state.database, 1, state.now, "ann", "on it")
        state.close_window(finding(severity="page"))
        for _ in range(3):
            state.close_window()
        post.round()

    assert receiver.events == ["opened", "acknowledged", "raised", "resolved"]
    assert receiver.bodies[1]["text"].endswith("acknowledged by ann: inputs drifted")
    assert len({head["idempotency-key"] for head in receiver.heads}) == 4
    assert {head["content-type"] for head in receiver.heads} == {"application/json"}
    assert set(state.states()) == {"delivered"}
    assert state.failures == 0


def test_500_is_tried_again_under_the_same_key_until_it_is_taken(state: State) -> None:
    with inbox([500, 503]) as receiver:
        post = state.listen(receiver.url)
        state.close_window(finding())
        tries = [post.round()]
        for wait in (3, 2, 7, 3):
            state.now += wait
            tries.append(post.round())

    assert tries == [1, 0, 1, 0, 1], "5 s and 10 s later, less a fifth at most"
    assert len({head["idempotency-key"] for head in receiver.heads}) == 1
    assert (state.states(), state.failures) == (["delivered"], 2)


@pytest.mark.parametrize("status", [400, 401, 404, 410, 302, 307])
def test_an_answer_that_will_not_change_ends_it_at_once(state: State, status: int) -> None:
    with inbox([status]) as receiver:
        post = state.listen(receiver.url)
        state.close_window(finding())
        post.round()
        state.now += 1e5
        again = post.round()

    (dead,) = state.deliveries()
    assert (again, len(receiver.bodies), state.failures) == (0, 1, 1)
    assert (dead.state, dead.attempts) == ("dead", 1)
    assert f"answered {status}" in dead.error


@pytest.mark.parametrize("status", [408, 425, 429, 503])
def test_retry_after_is_waited_for(state: State, status: int) -> None:
    with inbox([(status, "100")]) as receiver:
        post = state.listen(receiver.url)
        state.close_window(finding())
        tries = [post.round()]
        for wait in (99, 1):
            state.now += wait
            tries.append(post.round())

    assert tries == [1, 0, 1]
    assert state.states() == ["delivered"]


def test_twelve_failures_are_enough(state: State, caplog: pytest.LogCaptureFixture) -> None:
    post = state.listen("http://127.0.0.1:1/s3cr3t")
    state.close_window(finding())
    for _ in range(MAX_TRIES + 2):
        post.round()
        state.now += 3_600

    (dead,) = state.deliveries()
    assert (dead.state, dead.attempts, state.failures) == ("dead", MAX_TRIES, MAX_TRIES)
    assert dead.error == "ConnectError, at the last of 12 tries"
    assert "given up: `tidegate alerts retry" in caplog.text
    ours = [r.getMessage() for r in caplog.records if r.name.startswith("monitoring")]
    assert "s3cr3t" not in "".join(ours)
    assert "127.0.0.1" in ours[0]


def test_a_private_receiver_waits_for_the_setting(state: State) -> None:
    with inbox() as receiver:
        shut = state.listen(receiver.url, webhook_allow_private=False)
        state.close_window(finding())
        shut.round()
        (waiting,) = state.deliveries()
        state.now += 10
        opened = state.listen(receiver.url).round()

    assert (waiting.state, "webhook_allow_private" in waiting.error) == ("pending", True)
    assert (opened, receiver.events) == (1, ["opened"])


def test_a_dead_receiver_holds_up_no_other(state: State) -> None:
    with inbox() as receiver:
        post = state.listen(f"http://127.0.0.1:1/,slack+{receiver.url}/hook")
        for number in range(5):
            state.close_window(finding(), key=("m", number))
        post.round()

    told = [f"drift alert {n + 1} of m/{n} (ticket) opened" for n in range(5)]
    assert [body["text"] for body in receiver.bodies] == told
    assert receiver.paths == ["/hook"] * 5


def test_an_alertmanager_is_told_every_minute_until_the_end(state: State) -> None:
    with inbox() as receiver:
        post = state.listen(f"alertmanager+{receiver.url}")
        state.close_window(finding())
        tries = [post.round()]
        for _ in range(3):
            state.now += 30
            tries.append(post.round())
        alerts.resolve(state.database, 1, state.now, "ann")
        tries.append(post.round())
        state.now += 600
        tries.append(post.round())

    assert tries == [1, 0, 1, 0, 1, 0]
    assert set(receiver.paths) == {"/api/v2/alerts"}
    assert [len(body) for body in receiver.bodies] == [1, 1, 1]
    assert state.states() == ["delivered"]


def test_an_alertmanager_that_was_long_away_still_hears_of_what_is_open(state: State) -> None:
    post = state.listen("alertmanager+http://127.0.0.1:1")
    state.close_window(finding())
    for _ in range(2 * MAX_TRIES):
        post.round()
        state.now += 300

    assert (state.states(), state.failures) == (["pending"], 2 * MAX_TRIES)


def test_a_receiver_that_never_answers_holds_up_neither_alerts_nor_exit(state: State) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        settings = state.settings.model_copy(update={"webhook_url": f"http://127.0.0.1:{silent.getsockname()[1]}/"})
        hooks = Webhooks(state.database, settings, state.count_failure, lambda: state.now)
        state.close_window(finding())
        hooks.start()
        hooks.sort()
        silent.accept()[0].close()  # it was asked
        assert state.close_window(finding("contract")) == [(2, "opened")]
        hooks.stop()

    assert "dead" not in state.states()


def test_threads_outlive_a_database_that_fails(state: State, caplog: pytest.LogCaptureFixture) -> None:
    with inbox() as receiver:
        post = state.listen(receiver.url)
        state.close_window(finding())
        post.webhooks.sort()
        with state.database.begin() as connection:
            connection.exec_driver_sql("ALTER TABLE deliveries RENAME TO away")
        post.webhooks.start()
        while "cannot be read or written" not in caplog.text:
            assert not receiver.arrived.wait(0.05)
        with state.database.begin() as connection:
            connection.exec_driver_sql("ALTER TABLE away RENAME TO deliveries")
        assert receiver.arrived.wait(20)
        post.webhooks.stop()

    assert caplog.records[0].levelno == logging.ERROR


def test_a_setting_that_cannot_be_read_fails_at_start(state: State) -> None:
    with pytest.raises(UsageError, match="TIDEGATE_WEBHOOK_URL"):
        state.listen("nonsense")


@pytest.mark.parametrize(("attempts", "seconds"), [(1, 5), (2, 10), (5, 80), (10, 2_560), (11, 3_600), (12, 3_600)])
def test_waits_double_to_an_hour_less_a_fifth_at_most(attempts: int, seconds: float) -> None:
    assert backoff(attempts, 0.0) == seconds
    assert backoff(attempts, 1.0) == pytest.approx(0.8 * seconds)
    assert 0.8 * seconds <= backoff(attempts) <= seconds


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        *(("", 0), ("0", 0), ("17", 17), (" 17 ", 17), ("9" * 5_000, 3_600), ("-5", 0), ("soon", 0), ("1.5", 0)),
        ("Thu, 01 Jan 1970 00:01:40 GMT", 40),
        ("Thu, 01 Jan 1970 00:00:10 GMT", 0),
        ("Fri, 01 Jan 2100 00:00:00 GMT", 3_600),
        ("Fri, 99 Jan 2100 00:00:00 GMT", 0),
        ("Fri, 01 Jan 999999999999 00:00:00 GMT", 0),
    ],
)
def test_what_retry_after_may_ask_for(said: str, seconds: float) -> None:
    assert wait_of(Answer(503, said), 60.0) == seconds
