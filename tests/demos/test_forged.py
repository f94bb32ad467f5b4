import json
from collections.abc import Iterator
from typing import Any

import pytest

from demos.paths import RUN
from tests.demos.asgi import Live, request, started
from tests.demos.gateways import House, build_house
from tests.demos.hostile import DEMO
from tests.demos.visits import ANSWER, JOIN, READ_FILE, REPORT, WEIGH


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> House:
    return build_house(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def live(house: House) -> Iterator[Live]:
    with started(house.app) as running:
        yield running


@pytest.mark.parametrize(("place", "event"), [(JOIN, ANSWER), (JOIN, READ_FILE), (RUN, WEIGH)])
def test_what_is_answered_at_once_does_not_wait_in_the_queue_nor_the_other_way_round(
    live: Live, place: str, event: int
) -> None:
    question = {"data": ["a"], "fn_index": event, "session_hash": "s1", "trigger_id": None}

    [reply] = live.send(request(DEMO + place, "POST", body=json.dumps(question).encode()))

    assert reply.status == 422
    assert b"fn_index is no event of this page" in reply.body


def test_a_body_longer_than_the_gateway_takes_is_refused_announced_or_not(live: Live) -> None:
    announced = request(DEMO + RUN, "POST", body=b"[" * 10_001)
    silent = announced | {"headers": [pair for pair in announced["headers"] if pair[0] != b"content-length"]}

    replies = live.send(announced, silent)

    assert [reply.status for reply in replies] == [413, 413]


@pytest.mark.parametrize(
    "body", [b"{", b"[]", b"null", b"[" * 9_000, b"\xff\xfe", b'{"data": "x"}', b'{"fn_index": 99}']
)
def test_a_body_that_is_no_event_is_a_client_error(live: Live, body: bytes) -> None:
    [reply] = live.send(request(DEMO + RUN, "POST", body=body))

    assert 400 <= reply.status < 500


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
    question = {"data": ["a"], "fn_index": 0, "session_hash": "s1", "trigger_id": None, "event_data": None} | forged
    body = json.dumps(question).encode()  # orjson has no number that large

    [reply] = live.send(request(DEMO + RUN, "POST", body=body))

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
    [reply] = live.send(request(DEMO + RUN, "POST", body=body))

    assert reply.status in (400, 422)
