"""KServe's V1 protocol: asked by httpx and curl, as KServe's documentation writes the requests."""

import json
import subprocess
from typing import Any

import pytest

from tests.protocols.classifiers import ANSWERS, DOWN, FLAT, KEY, UP
from tests.protocols.classifiers import two_models as two_models
from tests.protocols.classifiers import with_key as with_key
from tests.servers import Server

pytestmark = pytest.mark.slow


def test_models_are_listed_and_each_says_that_it_is_ready(two_models: Server) -> None:
    with two_models.client() as http:
        assert http.get("/v1/models").json()["models"] == ["headlines", "topics"]
        for name in ("headlines", "topics"):
            assert http.get(f"/v1/models/{name}").json().items() >= {"name": name, "ready": True}.items()


@pytest.mark.parametrize("model", ["headlines", "topics"])
@pytest.mark.parametrize(
    "instances",
    [
        [UP],
        [UP, DOWN, FLAT],
        [[UP], [DOWN]],
        [{"text": UP}, {"text": FLAT}],
        [{"sentence": DOWN}],
        [UP, [DOWN], {"text": FLAT}],
    ],
)
@pytest.mark.parametrize("key", ["instances", "inputs"])
def test_every_instance_gets_a_prediction(two_models: Server, model: str, instances: list[Any], key: str) -> None:
    with two_models.client() as http:
        response = http.post(f"/v1/models/{model}:predict", json={key: instances})

    assert response.status_code == 200
    predictions = response.json()["predictions"]
    assert [row["label"] for row in predictions] == [ANSWERS[text_of(each)] for each in instances]
    assert all(row["score"] == max(row["scores"].values()) for row in predictions)
    assert all(sum(row["scores"].values()) == pytest.approx(1) for row in predictions)
    assert response.headers["x-model-version"] == "1"


def text_of(instance: Any) -> str:
    [text] = [instance] if isinstance(instance, str) else instance if isinstance(instance, list) else instance.values()
    return str(text)


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({}, 422, "expected instances"),
        ({"instances": [UP], "inputs": [UP]}, 422, "expected instances"),
        ({"instances": []}, 422, "/instances: the list is empty"),
        ({"instances": UP}, 422, "/instances: expected a list, got a string"),
        ({"instances": [1]}, 422, "/instances/0: expected a text, got a number"),
        ({"instances": [UP, [1.5, 2.5]]}, 422, "/instances/1: expected a text, got a list"),
        ({"instances": [{"a": UP, "b": UP}]}, 422, "/instances/0: expected a text, got an object"),
        ({"inputs": [" "]}, 422, "/inputs/0: the text is empty"),
        ({"instances": [UP], "signature_name": "x"}, 422, "unknown key 'signature_name'"),
        ([UP], 422, "expected a JSON object, got a list"),
    ],
)
def test_faults_are_told_as_kserve_tells_them(two_models: Server, body: Any, status: int, words: str) -> None:
    with two_models.client() as http:
        response = http.post("/v1/models/headlines:predict", json=body)

    assert response.status_code == status
    assert response.json().keys() == {"error"}
    assert words in response.json()["error"]


def test_a_model_that_is_not_there_is_404_at_every_address(two_models: Server) -> None:
    with two_models.client() as http:
        responses = [http.get("/v1/models/nobody"), http.post("/v1/models/nobody:predict", json={"instances": [UP]})]

    assert [response.status_code for response in responses] == [404, 404]
    assert all("no model 'nobody' is served" in response.json()["error"] for response in responses)


def test_what_cannot_be_read_is_400_and_415(two_models: Server) -> None:
    url = "/v1/models/headlines:predict"
    with two_models.client() as http:
        broken = http.post(url, content=b'{"instances": [', headers={"content-type": "application/json"})
        form = http.post(url, data={"instances": UP})

    assert (broken.status_code, form.status_code) == (400, 415)
    assert "not JSON" in broken.json()["error"]
    assert "application/json" in form.json()["error"]


def test_curl_sends_a_file_as_kserves_pages_show_it(two_models: Server, tmp_path: Any) -> None:
    file = tmp_path / "input.json"
    file.write_text(json.dumps({"instances": [UP, DOWN]}))
    command = ["curl", "-s", "-H", "Content-Type: application/json", f"{two_models.url}/v1/models/topics:predict"]
    done = subprocess.run([*command, "-d", f"@{file}"], capture_output=True, text=True, check=True)

    assert [row["label"] for row in json.loads(done.stdout)["predictions"]] == ["positive", "negative"]


def test_the_key_is_asked_for_and_limits_are_kept(with_key: Server) -> None:
    with with_key.client() as http:
        refused = http.get("/v1/models")
        http.headers["authorization"] = f"Bearer {KEY}"
        assert http.get("/v1/models").json()["models"] == ["headlines"]
        too_many = http.post("/v1/models/headlines:predict", json={"instances": [UP] * 21})

    assert refused.status_code == 401
    assert too_many.status_code == 413
    assert "21 texts" in too_many.json()["error"]
