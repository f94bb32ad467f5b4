"""Messages fit what their receivers take, whatever stands in an alert, and lead to its report."""

import json
from typing import Any

import pytest

from monitoring.messages import link_of, message
from tests.monitoring.states import State, finding

NASTY = 'a & b <!channel> <http://x|y> "q" \\ \u202e naïve ☂\U0001f600'


def alert(state: State, text: str = "inputs drifted") -> dict[str, Any]:
    state.close_window(finding(message=text))
    return state.alert().document()


def test_json_has_the_whole_alert_with_a_line_for_people(state: State) -> None:
    document = json.loads(message("json", "opened", alert(state, NASTY), "https://t/drift/m", 0.0))

    assert document["event"] == "opened"
    assert document["text"] == f"drift alert 1 of headlines/1 (ticket) opened: {NASTY}"
    assert (document["id"], document["state"], document["report_url"]) == (1, "open", "https://t/drift/m")


def test_slack_shows_what_stands_there_and_takes_none_of_it_for_markup(state: State) -> None:
    document = json.loads(message("slack", "opened", alert(state, NASTY), "https://t/drift/m?alert=1", 0.0))
    section, context = document["blocks"]

    assert document["text"] == "drift alert 1 of headlines/1 (ticket) opened"
    assert "a &amp; b &lt;!channel&gt; &lt;http://x|y&gt;" in section["text"]["text"]
    assert "☂\U0001f600" in section["text"]["text"]
    assert context["elements"][0]["text"] == "<https://t/drift/m?alert=1|drift report>"


@pytest.mark.parametrize("character", ["x", "&", "\U0001f600"])
def test_a_huge_message_and_note_fit_into_slack_and_no_escape_is_cut(state: State, character: str) -> None:
    huge = alert(state, character * 50_000) | {"note": character * 50_000, "resolved_by": character * 50_000}
    huge["message"] = character * 50_000
    document = json.loads(message("slack", "resolved", huge, "", 0.0))
    (section,) = document["blocks"]

    assert len(section["text"]["text"]) <= 3_000
    assert section["text"]["text"].replace("&amp;", "").count("&") == 0
    assert section["text"]["text"].count("…") == 3


def test_alertmanager_is_told_how_long_an_open_alert_holds_and_when_one_ended(state: State) -> None:
    opened = alert(state)
    (firing,) = json.loads(message("alertmanager", "opened", opened, "", 1_000_060.0))
    over = opened | {"resolved_at": 1_000_100.0, "state": "resolved"}
    (resolved,) = json.loads(message("alertmanager", "resolved", over, "https://t/x", 1_000_200.0))

    assert firing["labels"] == resolved["labels"]
    assert firing["labels"] == {
        "alertname": "TidegateModelDrift",
        "model": "headlines",
        "version": "1",
        "kind": "drift",
        "severity": "ticket",
    }
    assert (firing["startsAt"], firing["endsAt"]) == ("1970-01-12T13:46:40+00:00", "1970-01-12T13:52:40+00:00")
    assert resolved["endsAt"] == "1970-01-12T13:48:20+00:00"
    assert "generatorURL" not in firing
    assert resolved["generatorURL"] == "https://t/x"


def test_a_resolution_before_its_opening_ends_when_it_began(state: State) -> None:
    (told,) = json.loads(message("alertmanager", "resolved", alert(state) | {"resolved_at": 5.0}, "", 0.0))

    assert told["startsAt"] == told["endsAt"]


def test_the_link_needs_to_be_told_how_the_server_is_reached() -> None:
    assert link_of("", {"model": "m", "id": 3}) == ""
    assert (
        link_of("https://t.example/gate/", {"model": "a b/c", "id": 3})
        == "https://t.example/gate/drift/a%20b%2Fc?alert=3"
    )
