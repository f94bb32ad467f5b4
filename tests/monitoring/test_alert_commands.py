"""`tidegate alerts` beside a server and without one: what is done there reaches the receivers of the next one."""

import json
import time
from pathlib import Path

import pytest

from monitoring.findings import Finding
from tests.monitoring.conftest import House
from tests.monitoring.receivers import inbox
from tests.monitoring.states import State, finding
from tests.monitoring.test_commands import tidegate

pytestmark = pytest.mark.slow


def test_an_alert_is_listed_shown_acknowledged_and_resolved(house: House) -> None:
    assert "no alerts" in tidegate(house, "alerts", "list").stderr
    house.writer().write(house.novel(200, "a"))
    (alert,) = json.loads(tidegate(house, "alerts", "list", "--json", "--state", "open").stdout)
    acknowledged = tidegate(house, "alerts", "ack", "1", "--note", "[/bold] on it")
    listed = tidegate(house, "alerts", "list", "--model", "sentiment")
    resolved = tidegate(house, "alerts", "resolve", "1")
    shown = tidegate(house, "alerts", "show", "1")
    unknown = [tidegate(house, "alerts", verb, "99") for verb in ("show", "ack", "resolve")]

    assert (alert["state"], alert["kind"], alert["severity"]) == ("open", "drift", "ticket")
    assert (acknowledged.stderr, resolved.stderr) == ("alert 1 is acknowledged\n", "alert 1 is resolved\n")
    assert "acknowledged" in listed.stdout
    assert "alert 1: drift of sentiment/1, ticket, resolved" in shown.stdout
    assert "note          [/bold] on it" in shown.stdout
    assert alert["features"][0]["name"] in shown.stdout
    assert [(done.returncode, "no alert 99" in done.stderr) for done in unknown] == [(1, True)] * 3
    assert tidegate(house, "alerts", "list", "--state", "gone").returncode == 2


def test_numbers_of_an_alert_are_shown_as_people_read_them(house: House) -> None:
    features = [{"name": "words", "score": 0.11746846464310348, "threshold": 0.07661381141573924}]
    detail = {"causes": ["window", "slow"], "breaches": [{"name": "empty texts", "share": 0.123456}]}
    State(house.database).close_window(Finding("drift", "ticket", "inputs drifted", features, [1], detail))
    shown = tidegate(house, "alerts", "show", "1").stdout

    assert "0.117" in shown
    assert "0.1174" not in shown
    assert "causes        window; slow" in shown
    assert "breaches      name empty texts, share 0.123" in shown


def test_a_message_that_looks_like_markup_is_shown_as_it_is(house: House) -> None:
    State(house.database).close_window(finding(message="[red]new words: [/x] naïve ☂"))

    for command in (("list",), ("show", "1")):
        assert "[red]new words: [/x] naïve ☂" in tidegate(house, "alerts", *command).stdout


def test_dead_deliveries_are_listed_and_tried_again(house: House) -> None:
    with inbox([410, 410]) as receiver:
        settings = house.settings.model_copy(update={"webhook_allow_private": True})
        state = State(house.database, time.time(), settings)  # the commands' clock is the system's
        post = state.listen(f"{receiver.url}/s3cr3t")
        state.close_window(finding())
        post.round()
        tidegate(house, "alerts", "ack", "1")
        state.now += 3_600
        post.round()
        dead = json.loads(tidegate(house, "alerts", "deliveries", "--state", "dead", "--json").stdout)
        listed = tidegate(house, "alerts", "deliveries")
        usage = [tidegate(house, "alerts", "retry", *given) for given in ((), (str(dead[0]["id"]), "--all"))]
        one = tidegate(house, "alerts", "retry", str(dead[0]["id"]))
        rest = tidegate(house, "alerts", "retry", "--all")
        post.round()

    assert [delivery["event"] for delivery in dead] == ["acknowledged", "opened"]
    assert "s3cr3t" not in listed.stdout + json.dumps(dead)
    assert "it answered 410" in listed.stdout
    assert [done.returncode for done in usage] == [2, 2]
    assert ("1 dead" in one.stderr, "1 dead" in rest.stderr) == (True, True)
    assert receiver.events == ["opened", "acknowledged", "opened", "acknowledged"]
    assert state.states() == ["delivered", "delivered"]
    assert tidegate(house, "alerts", "retry", "1").returncode == 1


def test_without_deliveries_there_is_nothing_to_list(house: House, tmp_path: Path) -> None:
    assert "no deliveries" in tidegate(house, "alerts", "deliveries").stderr
