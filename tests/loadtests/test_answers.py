"""A wrong answer counts as a failure, whatever its status."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests.answers import STAGES, failure_of, stages_of

LABELS = frozenset({"up", "down"})
RANKING = [{"label": "up", "score": 0.75}, {"label": "down", "score": 0.25}]


def judged(answer: Any, texts: int = 1) -> str:
    return failure_of(200, orjson.dumps(answer), texts, LABELS)


def test_a_right_answer_is_no_failure() -> None:
    assert judged([RANKING]) == ""
    assert judged([RANKING, RANKING[:1]], texts=2) == ""


@pytest.mark.parametrize("status", [0, 204, 307, 401, 429, 503])
def test_any_other_status_is_a_failure_of_that_kind(status: int) -> None:
    assert failure_of(status, orjson.dumps([RANKING]), 1, LABELS) == f"HTTP {status}"


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ([RANKING, RANKING], "not one list per text"),
        ([], "not one list per text"),
        ({"predictions": []}, "not one list per text"),
        (RANKING, "not one list per text"),
        ([[]], "no list of labels and scores"),
        ([["up"]], "no list of labels and scores"),
        ([{"label": "up", "score": 1}], "no list of labels and scores"),
        ([[{"label": "sideways", "score": 0.5}]], "a label the model does not have"),
        ([[{"score": 0.5}]], "a label the model does not have"),
        ([[{"label": "up", "score": 1.5}]], "a score outside [0, 1]"),
        ([[{"label": "up", "score": -0.1}]], "a score outside [0, 1]"),
        ([[{"label": "up", "score": None}]], "a score outside [0, 1]"),
        ([[{"label": "up", "score": "0.5"}]], "a score outside [0, 1]"),
    ],
)
def test_each_wrong_answer_has_its_kind(answer: Any, kind: str) -> None:
    assert judged(answer) == f"wrong answer: {kind}"


def test_one_wrong_text_among_many_spoils_the_answer() -> None:
    assert "label" in judged([RANKING, RANKING, [{"label": "sideways", "score": 1}]], texts=3)


@pytest.mark.parametrize("body", [None, b"", b"\xff", b"{", b"NaN"])
def test_no_json_is_a_failure(body: bytes | None) -> None:
    assert failure_of(200, body, 1, LABELS) == "wrong answer: no JSON"


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["label", "score"]), inner),
    )
)
def test_no_answer_breaks_the_check_or_leaks_into_its_kind(answer: Any) -> None:
    assert judged(answer) in {
        "",
        "wrong answer: not one list per text",
        "wrong answer: no list of labels and scores",
        "wrong answer: a label the model does not have",
        "wrong answer: a score outside [0, 1]",
    }


def test_the_server_timing_header_becomes_seconds_per_stage() -> None:
    assert stages_of("queue;dur=1.5, tokenize;dur=0.25,infer;dur=8") == {
        "queue": pytest.approx(0.0015),
        "tokenize": pytest.approx(0.00025),
        "infer": pytest.approx(0.008),
    }


@pytest.mark.parametrize(
    "header", [None, "", "queue", "queue;dur=", "queue;dur=x", "cache;dur=3", ",,,", "queue;dur=-1"]
)
def test_a_header_without_our_stages_gives_none(header: str | None) -> None:
    assert stages_of(header) == {}


@given(st.text())
def test_no_header_breaks_the_reading(header: str) -> None:
    assert set(stages_of(header)) <= set(STAGES)
