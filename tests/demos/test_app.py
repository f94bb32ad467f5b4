import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from demos import document
from demos.entrance import COOKIE
from serving.caller import LOW
from tests.demos.asgi import Live, request, started
from tests.demos.gateways import SETTINGS, House, build_house
from tests.demos.hostile import CLOSED, DEMO
from tidegate.errors import Overloaded

MODEL = "headline-sentiment"
TEXT = "profit rises on strong sales"
# Numbers of the page's events, in the order in which it connects them.
READ_FILE, MANY, VERSIONS, PROGRAMS, ANSWER, SAMPLE, REPORT, WEIGH = 0, 1, 2, 3, 4, 6, 8, 10


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> House:
    return build_house(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def live(house: House) -> Iterator[Live]:
    with started(house.app) as running:
        yield running


@pytest.fixture(scope="module")
def page(live: Live) -> str:
    [reply] = live.send(request(f"{DEMO}/"))
    assert reply.status == 200
    return reply.body.decode()


def config(page: str) -> dict[str, Any]:
    found = re.search(r"window\.gradio_config = (\{.*?\});</script>", page, re.DOTALL)
    assert found
    parsed: dict[str, Any] = orjson.loads(found[1])
    return parsed


def test_the_page_points_at_nothing_outside_the_server(page: str) -> None:
    outside = set(re.findall(r"https?://([a-zA-Z0-9.-]+)", page)) - {"demo.test", "www.w3.org"}

    assert outside == set()


def test_the_page_comes_with_its_policy_and_is_kept_nowhere(live: Live, page: str) -> None:
    [reply] = live.send(request(f"{DEMO}/?deep_link=x&view=api"))

    assert reply.header("content-security-policy") == document.policy(reply.body.decode())
    assert reply.header("cache-control") == "no-store"
    assert reply.header("x-content-type-options") == "nosniff"
    assert reply.header("x-frame-options") == "DENY"
    assert config(reply.body.decode())["deep_link_state"] == "none"


def test_a_head_request_gets_the_headers_alone(live: Live, page: str) -> None:
    [reply] = live.send(request(f"{DEMO}/", "HEAD"))

    assert (reply.status, reply.body) == (200, b"")


def test_without_its_closing_slash_the_address_leads_to_the_page(live: Live) -> None:
    [reply] = live.send(request(DEMO))

    assert (reply.status, reply.header("location")) == (307, f"{MODEL}/")


def test_every_file_that_the_page_names_is_served_with_a_closed_policy(live: Live, page: str) -> None:
    named = re.findall(r'(?:src|href)="\./([^"]+)"', page)
    targets = [f"{DEMO}/{name}" for name in named] + [f"{DEMO}/theme.css"]

    replies = live.send(*(request(target) for target in targets))

    assert len(named) >= 2
    assert {reply.status for reply in replies} == {200}
    assert {reply.header("content-security-policy").split(";")[0] for reply in replies} == {"default-src 'none'"}


def test_the_theme_takes_no_font_from_elsewhere(live: Live, page: str) -> None:
    [css] = live.send(request(f"{DEMO}/theme.css"))

    assert b"IBMPlexSans-Regular.woff2" in css.body
    assert not re.search(rb"(?:url\(|@import)\s*['\"]?(?:https?:)?//", css.body)
    assert config(page)["stylesheets"] == []


def test_the_page_has_no_public_api_no_history_and_no_footer(page: str) -> None:
    settings = config(page)

    assert {dependency["api_visibility"] for dependency in settings["dependencies"]} == {"private"}
    assert settings["footer_links"] == []
    assert settings["run_history"] is False
    assert not settings.get("connect_heartbeat")
    assert '"named_endpoints":{}' in page


@pytest.mark.parametrize("target", CLOSED)
def test_the_closed_parts_of_gradio_are_closed_for_the_operator_too(live: Live, target: str) -> None:
    replies = live.send(*(request(target, method) for method in ("GET", "HEAD", "POST", "PUT", "DELETE")))

    assert {reply.status for reply in replies} <= {403, 404}


@pytest.mark.parametrize(
    "target", ["/demo/nope/", "/demo/nope", "/demo/nope/theme.css", "/demo/a b/", "/demo/", "/demo/.git/"]
)
def test_a_demo_that_is_not_there_is_a_404_in_plain_words(live: Live, target: str) -> None:
    [reply] = live.send(request(target))

    assert reply.status == 404
    assert orjson.loads(reply.body)["detail"]


def test_a_page_shows_the_version_that_answers_whatever_the_store_holds_by_now(tmp_path: Path) -> None:
    house = build_house(tmp_path)
    shutil.rmtree(tmp_path / "bundles")

    with started(house.app) as live:
        [page] = live.send(request(f"{DEMO}/"))

    assert page.status == 200


def ask(house: House, fn_index: int, data: list[Any], session: str = "s1", cookie: str | None = None) -> dict[str, Any]:
    """Run an event of the page as its JavaScript does: join the queue, then read the answer."""
    body = orjson.dumps({"data": data, "fn_index": fn_index, "session_hash": session, "trigger_id": 1})
    with started(house.app) as live:
        _, joined, stream = live.send(
            request(f"{DEMO}/", cookie=cookie),
            request(f"{DEMO}/gradio_api/queue/join", "POST", body=body, cookie=cookie),
            request(f"{DEMO}/gradio_api/queue/data?session_hash={session}", cookie=cookie),
            to=house.guard,
        )
    assert joined.status == 200, joined.body
    events = [orjson.loads(line[6:]) for line in stream.body.decode().split("\n\n") if line.startswith("data: ")]
    done: dict[str, Any] = next(event for event in events if event["msg"] == "process_completed")
    return done


def said(markup: str) -> str:
    """The label that an answer gives."""
    found = re.search(r'class="tg-answer">([^<]*)', markup)
    assert found
    return found[1].strip()


@pytest.fixture
def fresh(tmp_path: Path) -> House:
    return build_house(tmp_path)


def test_an_answer_and_a_correction_travel_through_the_page(fresh: House) -> None:
    answered = ask(fresh, ANSWER, [TEXT])["output"]["data"]
    prediction_id = answered[1]
    reported = ask(fresh, REPORT, [prediction_id, "neutral", "only expected"])["output"]["data"]

    assert said(answered[0]) == "positive"
    assert answered[2]["visible"] is True
    assert reported[0]["visible"] is False
    assert "on the relabel queue" in reported[1]["value"]
    [row] = fresh.queue()
    assert (row.prediction_id, row.label, row.comment) == (prediction_id, "neutral", "only expected")


def test_a_sample_fills_the_text_and_is_answered(fresh: House) -> None:
    answered = ask(fresh, SAMPLE, [])["output"]["data"]

    assert answered[0] == "shares fell after the warning"
    assert said(answered[1]) == "neutral"


def test_a_visitor_with_a_link_is_answered_too(fresh: House) -> None:
    visitor = fresh.links.issue_pass(fresh.links.create(MODEL, 60)[0])

    assert said(ask(fresh, ANSWER, [TEXT], cookie=f"{COOKIE}={visitor}")["output"]["data"][0]) == "positive"


def test_the_notice_of_a_link_stands_above_the_page_for_its_visitors_alone(fresh: House) -> None:
    share_id, _ = fresh.links.create(MODEL, 60, notice="Nothing <secret> here")
    cookie = f"{COOKIE}={fresh.links.issue_pass(share_id)}"
    with started(fresh.app) as live:
        visitor, operator = live.send(request(f"{DEMO}/", cookie=cookie), request(f"{DEMO}/"), to=fresh.guard)

    body = visitor.body.decode()
    assert "Nothing &lt;secret&gt; here</p>" in body
    assert body.index("Nothing &lt;secret") < body.index("<gradio-app")
    assert b"Nothing" not in operator.body


def test_words_are_weighed_and_nothing_of_it_is_kept(fresh: House) -> None:
    weighed = ask(fresh, WEIGH, ["profit rises although the weather turned"])["output"]["data"]

    assert "For it: <em>profit</em>, " in weighed[0]["value"]
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
                body=orjson.dumps({"data": [TEXT], "fn_index": WEIGH, "session_hash": "s", "trigger_id": 1}),
            )
        )

    assert len(config(page.body.decode())["dependencies"]) == WEIGH
    assert refused[0].status == 422
    assert ask(house, ANSWER, [TEXT])["output"]["data"][9]["visible"] is False


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


def test_pasted_lines_are_answered_behind_everybody_else(fresh: House) -> None:
    shown, written, button = ask(fresh, MANY, [f"{TEXT}\n\nshares fell", "", None])["output"]["data"]

    assert "2 answered: 1 positive, 1 abstained" in shown
    assert written.splitlines()[1].startswith(f"1,{TEXT},positive,")
    assert button["visible"] is True
    assert [caller.priority for caller in fresh.gateway.repository.get(MODEL).callers] == [LOW]
    assert len(fresh.gateway.monitor.served) == 2


def test_a_file_is_read_its_column_chosen_and_its_bad_rows_named(fresh: House) -> None:
    content = f"id,headline\n1,{TEXT}\n2,\n3,=cmd\n4,a,b\n"

    lines, column, note = ask(fresh, READ_FILE, [content])["output"]["data"]
    shown, written, _ = ask(fresh, MANY, ["", content, "headline"], session="s2")["output"]["data"]
    nope = ask(fresh, MANY, ["", content, "nope"], session="s3")["output"]["data"]

    assert (lines["visible"], column["value"]) == (False, "headline")
    assert "4 rows; columns: id, headline" in note["value"]
    assert "row 3: no text" in shown
    assert "row 5: 3 cells where the first line has 2" in shown
    assert "4,'=cmd," in written
    assert "choose one of: id, headline" in nope[0]
    assert nope[2]["visible"] is False


def test_a_list_that_the_gateway_refuses_says_so_for_each_row(fresh: House) -> None:
    fresh.gateway.repository.get(MODEL).raises = Overloaded("4096 texts wait", retry_after_seconds=2)

    shown, written, _ = ask(fresh, MANY, ["a\nb", "", None])["output"]["data"]

    assert "2 without an answer" in shown
    assert "row 2: Many people are asking at once. Try again in 2 s." in shown
    assert written.count("Many people are asking") == 2


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
    assert data[2]["visible"] is False


def test_an_overloaded_gateway_is_explained_in_plain_words(fresh: House) -> None:
    fresh.gateway.repository.get(MODEL).raises = Overloaded("4096 texts wait", retry_after_seconds=2)

    data = ask(fresh, ANSWER, [TEXT])["output"]["data"]

    assert "Many people are asking at once. Try again in 2 s." in data[0]


def test_a_correction_without_a_label_or_for_an_unknown_prediction_is_explained(fresh: House) -> None:
    no_label = ask(fresh, REPORT, ["x", None, ""])["output"]["data"][1]["value"]
    unknown = ask(fresh, REPORT, ["x", "neutral", ""], session="s2")["output"]["data"][1]["value"]

    assert "Choose the right label first" in no_label
    assert "no longer kept" in unknown
    assert fresh.queue() == []


def test_a_body_longer_than_the_gateway_takes_is_refused_announced_or_not(live: Live) -> None:
    announced = request(f"{DEMO}/gradio_api/queue/join", "POST", body=b"[" * 10_001)
    silent = announced | {"headers": [pair for pair in announced["headers"] if pair[0] != b"content-length"]}

    replies = live.send(announced, silent)

    assert [reply.status for reply in replies] == [413, 413]


@pytest.mark.parametrize(
    "body", [b"{", b"[]", b"null", b"[" * 9_000, b"\xff\xfe", b'{"data": "x"}', b'{"fn_index": 99}']
)
def test_a_body_that_is_no_event_is_a_client_error(live: Live, body: bytes) -> None:
    [reply] = live.send(request(f"{DEMO}/gradio_api/queue/join", "POST", body=body))

    assert 400 <= reply.status < 500


def test_a_visitor_of_a_model_that_is_gone_learns_nothing_of_other_models(tmp_path: Path) -> None:
    house = build_house(tmp_path)
    cookie = f"{COOKIE}={house.links.issue_pass(house.links.create(MODEL, 60)[0])}"
    del house.gateway.repository.by_name[MODEL]

    with started(house.app) as live:
        [gone] = live.send(request(f"{DEMO}/", cookie=cookie), to=house.guard)

    assert gone.status == 404
    assert b"other" not in gone.body


def test_a_blank_of_another_kind_is_explained_and_breaks_nothing(fresh: House) -> None:
    answer = ask(fresh, ANSWER, [None], session="forged")

    assert "Something failed on our side" in answer["output"]["data"][0]
    assert said(ask(fresh, ANSWER, [TEXT], session="after")["output"]["data"][0]) == "positive"


FORGED = [
    {"fn_index": 999},
    {"fn_index": -1},
    {"fn_index": "0"},
    {"fn_index": None},
    {"fn_index": True},
    {"fn_index": 10**30},
    {"data": None},
    {"data": {"0": "x"}},
    {"data": []},
    {"data": ["a", "b"]},
    {"data": ["x", "no label of this model", ""], "fn_index": REPORT},
    {"data": [7]},
    {"data": [1e308]},
    {"data": [["nested"]]},
    {"data": [{"path": "http://169.254.169.254/latest", "meta": {"_type": "gradio.FileData"}}]},
    {"data": [{"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}}]},
    {"session_hash": None},
    {"session_hash": ""},
    {"session_hash": "x" * 65},
    {"session_hash": 7},
    {"trigger_id": "1"},
    {"batched": True},
    {"oauth_token": "x"},
    {"event_id": "x"},
    {"simple_format": True},
    {"api_name": "/answer"},
]


@pytest.mark.parametrize("forged", FORGED, ids=repr)
def test_a_question_that_no_page_asks_is_refused_before_gradio_sees_it(live: Live, forged: dict[str, Any]) -> None:
    question = {"data": ["a"], "fn_index": 0, "session_hash": "s1", "trigger_id": 1, "event_data": None} | forged
    body = json.dumps(question).encode()  # orjson has no number that large

    [reply] = live.send(request(f"{DEMO}/gradio_api/queue/join", "POST", body=body))

    assert reply.status in (400, 422)
    assert reply.header("content-type") == "application/problem+json"


@pytest.mark.parametrize(
    "query", ["", "?session_hash=", "?session_hash=nope", "?session_hash=a&session_hash=b", "?x=%ff"]
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_stream_of_a_session_in_which_nobody_asked_is_not_found(live: Live, query: str, method: str) -> None:
    [reply] = live.send(request(f"{DEMO}/gradio_api/queue/data{query}", method))

    assert reply.status == 404


@pytest.mark.parametrize("body", [b"[" * 5_000, b'{"data":' * 1_200, b"\xff", b"{", b"[]", b"null", b'"x"', b"1e999"])
def test_a_body_that_is_no_question_is_refused(live: Live, body: bytes) -> None:
    [reply] = live.send(request(f"{DEMO}/gradio_api/queue/join", "POST", body=body))

    assert reply.status in (400, 422)
