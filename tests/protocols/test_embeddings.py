"""Embeddings by Hugging Face's client and by TEI's routes: asked by huggingface_hub, httpx and curl."""

import json
import subprocess
from typing import Any

import numpy as np
import pytest
from huggingface_hub import InferenceClient
from huggingface_hub.errors import HfHubHTTPError

from tests.protocols.embedders import DOWN, FLAT, KEY, LONG, UP
from tests.protocols.embedders import embedding_server as embedding_server
from tests.protocols.embedders import locked_embedder as locked_embedder
from tests.servers import Server

pytestmark = pytest.mark.slow

ADDRESSES = ("/models/embedder/predict", "/hf/embedder", "/tei/embedder/embed")


@pytest.mark.parametrize("address", ADDRESSES)
@pytest.mark.parametrize("sent", [UP, [UP], [UP, DOWN, FLAT]], ids=str)
@pytest.mark.parametrize("options", [{}, {"normalize": True, "truncate": True, "truncation_direction": "right"}])
def test_hugging_faces_client_gets_one_row_a_text(
    embedding_server: Server, address: str, sent: Any, options: dict[str, Any]
) -> None:
    found = InferenceClient(model=embedding_server.url + address).feature_extraction(sent, **options)

    assert found.dtype == np.float32
    assert found.shape == (1 if isinstance(sent, str) else len(sent), 3)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1.0, atol=1e-6)


@pytest.mark.parametrize("address", ADDRESSES)
@pytest.mark.parametrize("dimensions", [1, 2])
def test_hugging_faces_client_gets_fewer_dimensions(embedding_server: Server, address: str, dimensions: int) -> None:
    found = InferenceClient(model=embedding_server.url + address).feature_extraction(UP, dimensions=dimensions)

    assert found.shape == (1, dimensions)
    assert np.linalg.norm(found) == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize("address", ["/models/embedder/predict", "/hf/embedder", "/tei/embedder/similarity"])
def test_hugging_faces_client_compares_sentences(embedding_server: Server, address: str) -> None:
    client = InferenceClient(model=embedding_server.url + address)
    found = client.sentence_similarity(UP, other_sentences=[UP, f"{UP} on monday", DOWN])

    assert found[0] == pytest.approx(1.0)
    assert 1 > found[1] > 0 > found[2]


@pytest.mark.parametrize("address", ["/hf/embedder", "/tei/embedder/embed"])
@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"normalize": False}, "length 1 only"),
        ({"prompt_name": "query"}, "put the prompt into the text"),
        ({"truncation_direction": "left"}, "'left'"),
        ({"encoding_format": "base64"}, "'float'"),
        ({"dimensions": 5}, "from 1 to 3"),
    ],
)
def test_what_cannot_be_had_is_told(
    embedding_server: Server, address: str, options: dict[str, Any], words: str
) -> None:
    with pytest.raises(HfHubHTTPError, match=words):
        InferenceClient(model=embedding_server.url + address).feature_extraction(UP, **options)


def test_hugging_faces_client_learns_what_is_served(embedding_server: Server) -> None:
    client = InferenceClient(model=f"{embedding_server.url}/hf/embedder", provider="hf-inference")

    assert client.health_check() is True
    info = client.get_endpoint_info()
    assert info["model_type"] == {"embedding": {"pooling": "mean"}}
    assert info["model_pipeline_tag"] == "feature-extraction"


@pytest.mark.parametrize(
    ("route", "body", "status", "kind", "words"),
    [
        ("embed", {"inputs": ""}, 400, "Empty", "nothing was sent"),
        ("embed", {"inputs": []}, 400, "Empty", "nothing was sent"),
        ("embed", {}, 422, "Validation", "inputs is missing"),
        ("embed", {"inputs": [1, 2]}, 422, "Validation", "token ids are not taken"),
        ("embed", {"inputs": [[1], [2]]}, 422, "Validation", "token ids are not taken"),
        ("embed", {"inputs": LONG, "truncate": False}, 413, "Validation", "more tokens than the model takes (64)"),
        ("embed", {"inputs": {"source_sentence": UP, "sentences": [UP]}}, 422, "Validation", "a text or a list"),
        ("similarity", {"inputs": UP}, 422, "Validation", "source_sentence and sentences"),
        ("similarity", {"inputs": {"source_sentence": UP, "sentences": []}}, 422, "Validation", "a list of texts"),
        ("similarity", {"inputs": {"source_sentence": UP, "sentences": [7]}}, 422, "Validation", "not a text"),
        ("predict", {"inputs": UP}, 422, "Validation", "is for embedding"),
    ],
)
def test_teis_errors(
    embedding_server: Server, route: str, body: dict[str, Any], status: int, kind: str, words: str
) -> None:
    with embedding_server.client() as http:
        response = http.post(f"/tei/embedder/{route}", json=body)

    assert response.status_code == status
    assert response.json()["error_type"] == kind
    assert words in response.json()["error"]
    assert response.json().keys() == {"error", "error_type"}


def test_a_classifier_has_no_embeddings_and_nobody_has_none(embedding_server: Server) -> None:
    with embedding_server.client() as http:
        wrong = http.post("/tei/headlines/embed", json={"inputs": UP})
        unknown = http.post("/tei/nobody/embed", json={"inputs": UP})

    assert (wrong.status_code, unknown.status_code) == (422, 404)
    assert "is for text-classification" in wrong.json()["error"]


def test_teis_other_routes_know_embedders(embedding_server: Server) -> None:
    with embedding_server.client() as http:
        info = http.get("/tei/embedder/info").json()
        health = http.get("/tei/embedder/health")
        [tokens] = http.post("/tei/embedder/tokenize", json={"inputs": UP}).json()
        openai = http.post("/tei/embedder/v1/embeddings", json={"input": UP, "model": "tei"}).json()
        embedded = http.post("/tei/embedder/embed", json={"inputs": UP})

    assert (info["model_type"], info["max_input_length"]) == ({"embedding": {"pooling": "mean"}}, 64)
    assert (health.status_code, health.content) == (200, b"")
    assert [token["text"] for token in tokens] == ["[CLS]", "profit", "rises", "[SEP]"]
    assert openai["data"][0]["embedding"] == embedded.json()[0]
    assert embedded.headers["x-model-version"] == "1"


def test_the_demo_of_an_embedder_compares_texts_and_asks_for_no_label(embedding_server: Server) -> None:
    with embedding_server.client() as http:
        page = http.get("/demo/embedder/")

    assert page.status_code == 200
    assert "Other texts, one a line" in page.text
    assert "The right label" not in page.text


def test_drift_and_metrics_go_on_with_embedders(embedding_server: Server) -> None:
    with embedding_server.client() as http:
        for _ in range(3):
            http.post("/models/embedder/predict", json={"inputs": [UP, DOWN, FLAT] * 10})
        drift = http.get("/models/embedder/drift")
        metrics = http.get("/metrics")

    assert drift.status_code == 200
    assert drift.json()["windows"]
    assert {feature["name"] for feature in drift.json()["features"]} >= {"chars", "words", "tokens"}
    assert not {feature["name"] for feature in drift.json()["features"]} & {"label", "margin"}
    assert 'model="embedder"' in metrics.text


def test_curl_with_and_without_the_key(locked_embedder: Server) -> None:
    url = f"{locked_embedder.url}/tei/embedder/embed"
    command = ["curl", "-s", "-w", "\n%{http_code}", url, "-H", "content-type: application/json"]
    command += ["-d", json.dumps({"inputs": DOWN})]
    without = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    command += ["-H", f"Authorization: Bearer {KEY}"]
    answer, _, status = subprocess.run(command, capture_output=True, text=True, check=True).stdout.rpartition("\n")

    assert without.endswith("401")
    assert status == "200"
    assert len(json.loads(answer)[0]) == 3
