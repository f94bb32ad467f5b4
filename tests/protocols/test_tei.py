"""TEI's routes under `/tei/{m}`: asked by huggingface_hub, httpx and curl, answered as TEI does."""

import json
import subprocess
from typing import Any

import pytest
from huggingface_hub import InferenceClient

from tests.protocols.classifiers import ANSWERS, DOWN, FLAT, KEY, UP
from tests.protocols.classifiers import two_models as two_models
from tests.protocols.classifiers import with_key as with_key
from tests.servers import Server

pytestmark = pytest.mark.slow

LONG = " ".join(["profit"] * 100)


def labels(ranking: list[dict[str, Any]]) -> list[str]:
    assert [row["score"] for row in ranking] == sorted((row["score"] for row in ranking), reverse=True)
    assert all(row.keys() == {"label", "score"} for row in ranking)
    return [row["label"] for row in ranking]


@pytest.mark.parametrize("model", ["headlines", "topics"])
@pytest.mark.parametrize("text", ANSWERS)
@pytest.mark.parametrize("wrapped", [False, True])
def test_one_text_gets_one_ranking(two_models: Server, model: str, text: str, wrapped: bool) -> None:
    with two_models.client() as http:
        response = http.post(f"/tei/{model}/predict", json={"inputs": [text] if wrapped else text})

    assert response.status_code == 200
    assert labels(response.json())[0] == ANSWERS[text]
    assert len(response.json()) == 3
    assert response.headers["x-model-version"] == "1"


@pytest.mark.parametrize("model", ["headlines", "topics"])
@pytest.mark.parametrize("batch", [[UP], [DOWN, UP], [FLAT, DOWN, UP, UP]])
def test_a_batch_gets_a_ranking_each_also_a_batch_of_one(two_models: Server, model: str, batch: list[str]) -> None:
    with two_models.client() as http:
        response = http.post(f"/tei/{model}/predict", json={"inputs": [[text] for text in batch]})

    assert [labels(ranking)[0] for ranking in response.json()] == [ANSWERS[text] for text in batch]


@pytest.mark.parametrize(
    ("body", "status", "kind", "words"),
    [
        ({"inputs": ""}, 400, "Empty", "nothing was sent"),
        ({"inputs": []}, 400, "Empty", "nothing was sent"),
        ({}, 400, "Empty", "nothing was sent"),
        ({"inputs": [UP, DOWN]}, 422, "Validation", "a pair of texts"),
        ({"inputs": [[UP], [UP, DOWN]]}, 422, "Validation", "/inputs/1: got a pair of texts"),
        ({"inputs": [UP, DOWN, FLAT]}, 422, "Validation", "a list of 3"),
        ({"inputs": [[UP], DOWN]}, 422, "Validation", "/inputs/1"),
        ({"inputs": [[]]}, 422, "Validation", "/inputs/0"),
        ({"inputs": [[7]]}, 422, "Validation", "got a number"),
        ({"inputs": {"text": UP}}, 422, "Validation", "got an object"),
        ({"inputs": [["  "]]}, 422, "Validation", "the text is empty"),
        ({"inputs": UP, "raw_scores": True}, 422, "Validation", "probabilities"),
        ({"inputs": UP, "raw_scores": "yes"}, 422, "Validation", "true or false"),
        ({"inputs": UP, "truncate": 1}, 422, "Validation", "true or false"),
        ({"inputs": UP, "truncation_direction": "left"}, 422, "Validation", "'left'"),
        ({"inputs": UP, "normalize": True}, 422, "Validation", "unknown key 'normalize'"),
        ({"inputs": LONG, "truncate": False}, 413, "Validation", "102 tokens and 64 are the most"),
    ],
)
def test_what_cannot_be_answered_is_told_in_teis_words(
    two_models: Server, body: dict[str, Any], status: int, kind: str, words: str
) -> None:
    with two_models.client() as http:
        response = http.post("/tei/headlines/predict", json=body)

    assert response.status_code == status
    assert response.json()["error_type"] == kind
    assert words in response.json()["error"]
    assert response.json().keys() == {"error", "error_type"}


@pytest.mark.parametrize(
    "options", [{"truncate": True}, {"truncate": None}, {"truncation_direction": "Right"}, {"raw_scores": False}]
)
def test_long_texts_are_cut_unless_the_caller_forbids_it(two_models: Server, options: dict[str, Any]) -> None:
    with two_models.client() as http:
        response = http.post("/tei/headlines/predict", json={"inputs": LONG, **options})

    assert labels(response.json())[0] == "positive"


def test_a_model_that_counts_words_has_no_longest_text(two_models: Server) -> None:
    with two_models.client() as http:
        response = http.post("/tei/topics/predict", json={"inputs": LONG, "truncate": False})

    assert labels(response.json())[0] == "positive"


@pytest.mark.parametrize("route", ["predict", "tokenize"])
def test_what_no_route_can_read_is_refused(two_models: Server, route: str) -> None:
    with two_models.client() as http:
        broken = http.post(f"/tei/headlines/{route}", content=b"{", headers={"content-type": "application/json"})
        unknown = http.post(f"/tei/nobody/{route}", json={"inputs": UP})
        form = http.post(f"/tei/headlines/{route}", data={"inputs": UP})

    assert (broken.status_code, unknown.status_code, form.status_code) == (400, 404, 415)
    assert all(response.json().keys() == {"error", "error_type"} for response in (broken, unknown, form))


def test_the_clients_of_hugging_face_take_it_for_tei(two_models: Server) -> None:
    tei = InferenceClient(model=f"{two_models.url}/tei/headlines", provider="hf-inference")

    assert tei.health_check() is True
    info = tei.get_endpoint_info()
    assert info["model_type"]["classifier"]["id2label"] == {"0": "negative", "1": "neutral", "2": "positive"}
    assert info["model_type"]["classifier"]["label2id"]["positive"] == 2
    assert (info["model_id"], info["model_dtype"], info["auto_truncate"]) == ("headlines", "float32", True)
    assert info["max_input_length"] == 64
    assert InferenceClient(model=f"{two_models.url}/tei/nobody", provider="hf-inference").health_check() is False


@pytest.mark.parametrize("single", [True, False])
def test_tokens_say_where_they_stand(two_models: Server, single: bool) -> None:
    with two_models.client() as http:
        response = http.post("/tei/headlines/tokenize", json={"inputs": UP if single else [UP, DOWN]})

    rows = response.json()
    assert len(rows) == (1 if single else 2)
    assert [token["text"] for token in rows[0]] == ["[CLS]", "profit", "rises", "[SEP]"]
    assert [token["special"] for token in rows[0]] == [True, False, False, True]
    assert [UP[t["start"] : t["stop"]] for t in rows[0] if not t["special"]] == ["profit", "rises"]


def test_tokens_without_specials_and_uncut(two_models: Server) -> None:
    with two_models.client() as http:
        response = http.post("/tei/headlines/tokenize", json={"inputs": LONG, "add_special_tokens": False})

    assert [token["text"] for token in response.json()[0]] == ["profit"] * 100


def test_a_model_without_a_tokenizer_says_so(two_models: Server) -> None:
    with two_models.client() as http:
        response = http.post("/tei/topics/tokenize", json={"inputs": UP})

    assert response.status_code == 422
    assert "has no tokenizer" in response.json()["error"]


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ([[UP]] * 21, "21 texts and 20 may come"),
        ("a " * 6_000, "more than 10000 bytes"),
        ("a" * 300, "200 are the most"),
    ],
)
def test_limits_are_kept(with_key: Server, inputs: Any, words: str) -> None:
    with with_key.client() as http:
        response = http.post(
            "/tei/headlines/predict", json={"inputs": inputs}, headers={"authorization": f"Bearer {KEY}"}
        )

    assert response.status_code == (422 if "200" in words else 413)
    assert response.json()["error_type"] == "Validation"
    assert words in response.json()["error"]


def test_curl_with_and_without_the_key(with_key: Server) -> None:
    url = f"{with_key.url}/tei/headlines/predict"
    command = ["curl", "-s", "-w", "\n%{http_code}", url, "-H", "content-type: application/json"]
    command += ["-d", json.dumps({"inputs": DOWN})]
    without = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    command += ["-H", f"Authorization: Bearer {KEY}"]
    answer, _, status = subprocess.run(command, capture_output=True, text=True, check=True).stdout.rpartition("\n")

    assert without.endswith("401")
    assert status == "200"
    assert labels(json.loads(answer))[0] == "negative"
