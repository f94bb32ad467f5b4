"""`huggingface_hub.InferenceClient`, as it is installed, against a running server; sync and async."""

import asyncio
from typing import Any

import httpx
import pytest
from huggingface_hub import AsyncInferenceClient, InferenceClient
from huggingface_hub.errors import HfHubHTTPError

from tests.protocols.classifiers import ANSWERS, DOWN, FLAT, KEY, UP
from tests.protocols.classifiers import two_models as two_models
from tests.protocols.classifiers import with_key as with_key
from tests.servers import Server

pytestmark = pytest.mark.slow

ADDRESSES = ("/hf/headlines", "/hf/topics", "/models/headlines/predict", "/models/topics/predict")


def client(server: Server, path: str, token: str = "") -> InferenceClient:
    return InferenceClient(model=server.url + path, token=token or None, provider="hf-inference")


@pytest.mark.parametrize("text", ANSWERS)
@pytest.mark.parametrize("path", ADDRESSES)
def test_the_sync_client_gets_a_whole_ranking(two_models: Server, path: str, text: str) -> None:
    ranking = client(two_models, path).text_classification(text)

    assert ranking[0].label == ANSWERS[text]
    assert {element.label for element in ranking} == {"negative", "neutral", "positive"}
    assert sum(element.score for element in ranking) == pytest.approx(1)


@pytest.mark.parametrize("path", ADDRESSES)
def test_the_async_client_gets_the_same(two_models: Server, path: str) -> None:
    async def ask() -> list[str]:
        async with AsyncInferenceClient(model=two_models.url + path, provider="hf-inference") as asynchronous:
            rankings = await asyncio.gather(*(asynchronous.text_classification(text) for text in ANSWERS))
        return [ranking[0].label for ranking in rankings]

    assert asyncio.run(ask()) == list(ANSWERS.values())


@pytest.mark.parametrize("path", ADDRESSES)
@pytest.mark.parametrize("top_k", [1, 2, 9])
def test_top_k_bounds_the_ranking(two_models: Server, path: str, top_k: int) -> None:
    ranking = client(two_models, path).text_classification(UP, top_k=top_k)

    assert [element.label for element in ranking][:1] == ["positive"]
    assert len(ranking) == min(top_k, 3)


@pytest.mark.parametrize("path", ADDRESSES)
def test_softmax_is_what_scores_are(two_models: Server, path: str) -> None:
    with_it = client(two_models, path).text_classification(DOWN, function_to_apply="softmax")

    assert with_it == client(two_models, path).text_classification(DOWN)


@pytest.mark.parametrize("function", ["sigmoid", "none"])
@pytest.mark.parametrize("path", ADDRESSES)
def test_another_function_is_refused_by_name(two_models: Server, path: str, function: Any) -> None:
    with pytest.raises(HfHubHTTPError) as caught:
        client(two_models, path).text_classification(UP, function_to_apply=function)

    assert caught.value.response.status_code == 422
    assert f"function_to_apply is '{function}'" in caught.value.response.text


@pytest.mark.parametrize(
    ("path", "text", "top_k", "status", "words"),
    [
        ("/hf/headlines", "", None, 422, "the text is empty"),
        ("/hf/headlines", "  ", None, 422, "the text is empty"),
        ("/hf/headlines", UP, 0, 422, "top_k must be a whole number"),
        ("/hf/nobody", UP, None, 404, "no model 'nobody' is served"),
    ],
)
def test_the_client_shows_what_was_wrong(
    two_models: Server, path: str, text: str, top_k: int | None, status: int, words: str
) -> None:
    with pytest.raises(HfHubHTTPError, match=words) as caught:
        client(two_models, path).text_classification(text, top_k=top_k)

    assert caught.value.response.status_code == status


def test_health_and_info_are_below_the_address(two_models: Server) -> None:
    assert client(two_models, "/hf/headlines").health_check() is True
    assert client(two_models, "/hf/nobody").health_check() is False
    info = client(two_models, "/hf/headlines").get_endpoint_info()
    assert (info["model_id"], info["model_pipeline_tag"]) == ("headlines", "text-classification")
    assert info["max_input_length"] == 64


def test_the_token_of_the_client_is_the_key(with_key: Server) -> None:
    assert client(with_key, "/hf/headlines", KEY).text_classification(FLAT)[0].label == "neutral"
    assert client(with_key, "/hf/headlines", KEY).health_check() is True
    with pytest.raises(HfHubHTTPError, match="401"):
        client(with_key, "/hf/headlines", "another").text_classification(FLAT)


def test_a_text_that_is_too_long_is_refused_with_its_length(with_key: Server) -> None:
    with pytest.raises(HfHubHTTPError, match="the text has 300 characters and 200 are the most"):
        client(with_key, "/hf/headlines", KEY).text_classification("a" * 300)


def test_a_batch_and_its_details_come_as_they_do_from_predict(two_models: Server) -> None:
    body = {"inputs": list(ANSWERS), "parameters": {"details": True, "top_k": 1}}
    with two_models.client() as http:
        here = http.post("/hf/headlines", json=body)
        there = http.post("/models/headlines/predict", json=body)

    assert [row["label"] for row in here.json()["predictions"]] == list(ANSWERS.values())
    assert [row["scores"] for row in here.json()["predictions"]] == [
        row["scores"] for row in there.json()["predictions"]
    ]
    assert here.headers["x-model-version"] == "1"
    assert here.json()["predictions"][0]["id"] == here.headers["x-prediction-id"] + ".0"


def test_what_it_answered_can_be_corrected(two_models: Server) -> None:
    with two_models.client() as http:
        made = http.post("/hf/headlines", json={"inputs": UP}).headers["x-prediction-id"]
        response = until_stored(http, made)

    assert response.status_code == 201


def until_stored(http: httpx.Client, id: str) -> httpx.Response:
    """Records are written behind the answers, within a second or so."""
    for _ in range(100):
        response = http.post("/models/headlines/feedback", json={"prediction_id": id, "label": "neutral"})
        if response.status_code != 404:
            break
    return response
