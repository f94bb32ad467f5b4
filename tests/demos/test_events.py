from pathlib import Path

import orjson
import pytest

from demos.entrance import COOKIE
from demos.paths import RUN
from tests.demos.asgi import request, started
from tests.demos.gateways import SETTINGS, House, Patient, build_house
from tests.demos.hostile import DEMO
from tests.demos.visits import ANSWER, MODEL, PROGRAMS, REPORT, SAMPLE, TEXT, VERSIONS, WEIGH, ask, config, said
from tidegate.errors import Overloaded


@pytest.fixture
def fresh(tmp_path: Path) -> House:
    return build_house(tmp_path)


def test_an_answer_and_a_correction_travel_through_the_page(fresh: House) -> None:
    answered = ask(fresh, ANSWER, [TEXT])["output"]["data"]
    prediction_id = answered[1]
    [reported] = ask(fresh, REPORT, [prediction_id, "neutral", "only expected"])["output"]["data"]

    assert said(answered[0]) == "positive"
    assert "tg-reported" in reported  # which hides the form: tests/demos/test_walk.py
    assert "on the relabel queue" in reported
    [row] = fresh.queue()
    assert (row.prediction_id, row.label, row.comment) == (prediction_id, "neutral", "only expected")


def test_a_sample_fills_the_text_and_is_answered(fresh: House) -> None:
    answered = ask(fresh, SAMPLE, [])["output"]["data"]

    assert answered[0] == "shares fell after the warning"
    assert said(answered[1]) == "neutral"


def test_a_visitor_with_a_link_is_answered_too(fresh: House) -> None:
    visitor = fresh.links.issue_pass(fresh.links.create(MODEL, 60)[0])

    assert said(ask(fresh, ANSWER, [TEXT], cookie=f"{COOKIE}={visitor}")["output"]["data"][0]) == "positive"


def test_words_are_weighed_and_nothing_of_it_is_kept(fresh: House) -> None:
    weighed = ask(fresh, WEIGH, ["profit rises although the weather turned"])["output"]["data"]

    assert "For it: <em>profit</em>, " in weighed[0]
    assert fresh.gateway.repository.get(MODEL).compared == [7]
    assert fresh.gateway.monitor.served == {}


def test_explanations_can_be_switched_off(tmp_path: Path) -> None:
    house = build_house(tmp_path, SETTINGS.model_copy(update={"demo_explanations": False}))

    with started(house.app) as live:
        [page] = live.send(request(f"{DEMO}/"))
        refused = live.send(
            request(
                f"{DEMO}/gradio_api/queue/join",
                "POST",
                body=orjson.dumps({"data": [TEXT], "fn_index": WEIGH, "session_hash": "s", "trigger_id": None}),
            )
        )

    shown = config(page.body.decode())
    [button] = (one for one in shown["components"] if one["props"].get("value") == "Which words mattered?")
    assert not button["props"]["visible"]
    assert len(shown["dependencies"]) == WEIGH
    assert refused[0].status == 422


@pytest.mark.parametrize("event", [ANSWER, VERSIONS])
def test_what_is_asked_by_a_visitor_who_leaves_is_given_up(
    fresh: House, event: int, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    served = fresh.gateway.repository.get(MODEL)
    patient = Patient(served.bundle, fresh.gateway.monitor)
    fresh.gateway.repository.by_name[MODEL] = patient
    body = orjson.dumps({"data": [TEXT], "fn_index": event, "session_hash": "s", "trigger_id": None})
    with started(fresh.app) as live:
        live.send(request(f"{DEMO}/"), request(DEMO + RUN, "POST", body=body, leaves=True))

    assert patient.left == 1
    assert (capfd.readouterr().err, caplog.text) == ("", "")


def test_the_versions_that_are_served_are_shown_side_by_side(fresh: House) -> None:
    models = fresh.gateway.repository
    models.shadows[MODEL] = models.get("other")

    both = ask(fresh, VERSIONS, [TEXT])["output"]["data"][0]
    models.get("other").raises = Overloaded("full", retry_after_seconds=2)
    one = ask(fresh, VERSIONS, [TEXT], session="s2")["output"]["data"][0]

    assert "The versions agree" in both
    assert "champion" in both
    assert "shadow" in both
    assert "Not every version could answer" in one
    assert "Try again in 2 s" in one
    assert fresh.gateway.monitor.served == {}


def test_a_single_version_has_nothing_to_stand_beside(fresh: House) -> None:
    assert "Only one version is served now" in ask(fresh, VERSIONS, [TEXT])["output"]["data"][0]


def test_programs_carry_the_text_the_address_and_for_visitors_a_key(fresh: House) -> None:
    token = fresh.links.issue_pass(fresh.links.create(MODEL, 60)[0])

    [plain] = ask(fresh, PROGRAMS, ["it's <b>"])["output"]["data"]
    [visitor] = ask(fresh, PROGRAMS, [""], session="s2", cookie=f"{COOKIE}={token}")["output"]["data"]

    assert f"http://demo.test/models/{MODEL}/predict" in plain
    assert "it&#x27;s" in plain or "it's" in plain
    assert "<b>" not in plain
    assert "TIDEGATE_API_KEY" not in plain
    assert "TIDEGATE_API_KEY" in visitor
    assert TEXT in visitor


@pytest.mark.parametrize("text", ["", "   "])
def test_a_blank_text_is_explained_where_the_answer_would_be(fresh: House, text: str) -> None:
    data = ask(fresh, ANSWER, [text])["output"]["data"]

    assert "There is no text yet" in data[0]
    assert data[1] == ""
    assert "tg-answer" not in data[0]  # without which the form is hidden: tests/demos/test_walk.py


def test_an_overloaded_gateway_is_explained_in_plain_words(fresh: House) -> None:
    fresh.gateway.repository.get(MODEL).raises = Overloaded("4096 texts wait", retry_after_seconds=2)

    data = ask(fresh, ANSWER, [TEXT])["output"]["data"]

    assert "Many people are asking at once. Try again in 2 s." in data[0]


def test_a_correction_without_a_label_or_for_an_unknown_prediction_is_explained(fresh: House) -> None:
    no_label = ask(fresh, REPORT, ["x", None, ""])["output"]["data"][0]
    unknown = ask(fresh, REPORT, ["x", "neutral", ""], session="s2")["output"]["data"][0]

    assert "Choose the right label first" in no_label
    assert "no longer kept" in unknown
    assert fresh.queue() == []


def test_a_blank_of_another_kind_is_explained_and_breaks_nothing(fresh: House) -> None:
    answer = ask(fresh, ANSWER, [None], session="forged")

    assert "Something failed on our side" in answer["output"]["data"][0]
    assert said(ask(fresh, ANSWER, [TEXT], session="after")["output"]["data"][0]) == "positive"
