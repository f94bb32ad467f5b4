"""MLflow's scoring protocol: asked by MLflow's own client (in the export environment), httpx and curl."""

import json
import subprocess
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from tests import bundles
from tests.protocols.classifiers import ANSWERS, DOWN, FLAT, KEY, UP
from tests.protocols.classifiers import one_model as one_model
from tests.protocols.classifiers import two_models as two_models
from tests.protocols.classifiers import with_key as with_key
from tests.servers import Server, environment, export_python, running
from tidegate import __version__
from tidegate.bundle_store import BundleStore

pytestmark = pytest.mark.slow

CSV = {"content-type": "text/csv"}
LABELS = list(ANSWERS.values())


@pytest.fixture(scope="module")
def called(one_model: Server) -> dict[str, Any]:
    """What MLflow's client came back with."""
    address = urlsplit(one_model.url)
    script = Path(__file__).with_name("mlflow_calls.py")
    command = [str(export_python()), str(script), str(address.hostname), str(address.port)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment())
    assert done.returncode == 0, done.stderr
    document: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return document


def labels(predictions: list[dict[str, Any]]) -> list[str]:
    assert all(row.keys() == {"label", "score"} for row in predictions)
    assert all(0.5 < row["score"] <= 1 for row in predictions)
    return [row["label"] for row in predictions]


def invoke(server: Server, body: Any, path: str = "/models/headlines/invocations", **headers: str) -> httpx.Response:
    with server.client() as http:
        return http.post(path, json=body, headers=headers)


@pytest.mark.parametrize(
    "form",
    ["frame", "named otherwise", "with an id", "with an index", "array", "column of an array", "list", "no params"],
)
def test_mlflows_client_is_answered_whatever_it_is_given(called: dict[str, Any], form: str) -> None:
    assert labels(called["answers"][form]) == LABELS


@pytest.mark.parametrize("form", ["frame", "array", "list", "columns", "one"])
def test_payloads_that_mlflow_writes_for_examples_are_answered(called: dict[str, Any], form: str) -> None:
    assert labels(called["examples"][form]) == LABELS[: 1 if form == "one" else 3]


def test_mlflow_reads_the_answer_as_a_frame_and_the_rest_of_the_protocol(called: dict[str, Any]) -> None:
    assert called["frame of answers"]["label"] == LABELS
    assert labels(called["csv"]) == LABELS
    assert called["version"] == __version__


@pytest.mark.parametrize(
    ("form", "words"),
    [
        ("params", "takes no params"),
        ("numbers", "/inputs/0: expected a text, got a number"),
        ("columns", "which column holds the text? there are: a, b"),
    ],
)
def test_mlflows_client_shows_what_was_refused(called: dict[str, Any], form: str, words: str) -> None:
    assert "error code 400" in called["refused"][form]
    assert '"error_code":"INVALID_PARAMETER_VALUE"' in called["refused"][form]
    assert words in called["refused"][form]


@pytest.mark.parametrize("model", ["headlines", "topics"])
@pytest.mark.parametrize(
    "body",
    [
        {"dataframe_split": {"columns": ["text"], "data": [[UP], [DOWN]]}},
        {"dataframe_split": {"columns": ["n", "text"], "index": [4, 5], "data": [[1, UP], [2, DOWN]]}},
        {"dataframe_split": {"data": [[UP], [DOWN]]}},
        {"dataframe_records": [{"text": UP}, {"text": DOWN}]},
        {"dataframe_records": [{"title": UP}, {"title": DOWN}]},
        {"instances": [UP, DOWN]},
        {"instances": [[UP], [DOWN]]},
        {"instances": [{"text": UP}, {"text": DOWN}]},
        {"inputs": [UP, DOWN]},
        {"inputs": [[UP], [DOWN]]},
        {"inputs": {"text": [UP, DOWN]}},
        {"inputs": {"text": [[UP], [DOWN]]}},
        {"inputs": [{"text": UP}, {"text": DOWN}], "params": {}},
    ],
)
def test_every_form_of_input_is_read(two_models: Server, model: str, body: dict[str, Any]) -> None:
    response = invoke(two_models, body, f"/models/{model}/invocations")

    assert response.status_code == 200, response.text
    assert labels(response.json()["predictions"]) == ["positive", "negative"]
    assert response.headers["x-model-version"] == "1"


@pytest.mark.parametrize("body", [{"inputs": FLAT}, {"inputs": {"text": FLAT}}])
def test_a_single_text_is_a_row(two_models: Server, body: dict[str, Any]) -> None:
    assert labels(invoke(two_models, body).json()["predictions"]) == ["neutral"]


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        (f"text\n{UP}\n{DOWN}\n", ["positive", "negative"]),
        (f",text\n0,{UP}\n1,{DOWN}\n", ["positive", "negative"]),
        (f'id,text\r\n1,"{UP}, {UP}"\r\n', ["positive"]),
        (f"\ufeffheadline\n{FLAT}\n\n", ["neutral"]),
    ],
)
def test_csv_is_read_as_pandas_writes_it(two_models: Server, table: str, expected: list[str]) -> None:
    with two_models.client() as http:
        response = http.post("/models/headlines/invocations", content=table.encode(), headers=CSV)

    assert labels(response.json()["predictions"]) == expected


@pytest.mark.parametrize(
    ("body", "code", "words"),
    [
        ([UP], "BAD_REQUEST", "the body is a list; send an object with exactly one of dataframe_split"),
        ({}, "BAD_REQUEST", "none of the forms"),
        ({"params": {}}, "BAD_REQUEST", "none of the forms"),
        ({"inputs": [UP], "instances": [UP]}, "BAD_REQUEST", "inputs and instances"),
        ({"data": [UP]}, "BAD_REQUEST", "unknown key 'data'"),
        ({"messages": []}, "BAD_REQUEST", "'messages' is for language models"),
        ({"prompt": UP}, "BAD_REQUEST", "'prompt' is for language models"),
        ({"input": UP}, "BAD_REQUEST", "'input' is for language models"),
        ({"inputs": []}, "INVALID_PARAMETER_VALUE", "/inputs: the list is empty"),
        ({"inputs": None}, "INVALID_PARAMETER_VALUE", "/inputs: expected a list of texts, got null"),
        ({"inputs": {}}, "INVALID_PARAMETER_VALUE", "which column holds the text? there are: none"),
        ({"inputs": [UP, None]}, "INVALID_PARAMETER_VALUE", "/inputs/1: expected a text, got null"),
        ({"instances": [{"text": UP}, UP]}, "INVALID_PARAMETER_VALUE", "/instances/0: expected a text"),
        ({"dataframe_records": {"text": [UP]}}, "INVALID_PARAMETER_VALUE", "expected a list of objects"),
        ({"dataframe_records": [{"text": UP, "text_pair": DOWN}]}, "INVALID_PARAMETER_VALUE", "which column"),
        ({"dataframe_split": [[UP]]}, "INVALID_PARAMETER_VALUE", "expected {"),
        ({"dataframe_split": {"columns": ["a", "text"], "data": [[UP]]}}, "INVALID_PARAMETER_VALUE", "a list of 2"),
        ({"inputs": ["\n"]}, "INVALID_PARAMETER_VALUE", "the text is empty"),
    ],
)
def test_faults_have_mlflows_codes(two_models: Server, body: Any, code: str, words: str) -> None:
    response = invoke(two_models, body)

    assert response.status_code == 400
    assert response.json().keys() == {"error_code", "message"}
    assert response.json()["error_code"] == code
    assert words in response.json()["message"]


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b"{", "application/json", 400),
        (b'{"inputs": "\xff"}', "application/json", 400),
        (b"text\n\xff\n", "text/csv", 400),
        (b'text\n"profit\n', "text/csv", 400),
        (b"", "text/csv", 400),
        (b"text\n", "text/csv", 400),
        (b"{}", "application/json; charset=latin-1", 415),
        (b"{}", "application/json; profile=x", 415),
        (b"{}", "application/vnd.apache.parquet", 415),
        (b"{}", "text/plain", 415),
        (b'{"inputs": "profit"}', "application/json; charset=UTF-8", 200),
        (b"text\nprofit\n", "text/csv; charset=utf-8", 200),
    ],
)
def test_content_types_are_mlflows(two_models: Server, content: bytes, kind: str, status: int) -> None:
    with two_models.client() as http:
        response = http.post("/models/headlines/invocations", content=content, headers={"content-type": kind})

    assert response.status_code == status
    shape = response.headers["content-type"].partition(";")[0]
    assert shape == ("text/plain" if status == 415 else "application/json")


def test_one_model_needs_no_name_and_two_do(one_model: Server, two_models: Server) -> None:
    body = {"inputs": [UP]}
    unnamed = invoke(two_models, body, "/invocations")

    assert labels(invoke(one_model, body, "/invocations").json()["predictions"]) == ["positive"]
    assert unnamed.status_code == 400
    assert "which model? served: headlines, topics" in unnamed.json()["message"]
    assert invoke(two_models, body, "/invocations?model=topics").status_code == 200
    assert invoke(two_models, body, "/invocations", **{"x-model": "topics"}).status_code == 200
    unknown = invoke(two_models, body, "/invocations?model=nobody")
    assert (unknown.status_code, unknown.json()["error_code"]) == (404, "RESOURCE_DOES_NOT_EXIST")


@pytest.mark.parametrize("path", ["/ping", "/health"])
def test_a_server_whose_models_answer_is_healthy(one_model: Server, path: str) -> None:
    with one_model.client() as http:
        response = http.get(path)

    assert (response.status_code, response.text) == (200, "\n")


def test_a_server_whose_model_does_not_answer_is_not_healthy(tmp_path: Path) -> None:
    store = BundleStore(tmp_path / "bundles")
    bundles.wordpieces(store, "headlines")
    with running(["serve"], tmp_path) as server, server.client() as http:
        store.change_aliases("headlines", lambda aliases: aliases.model_copy(update={"unloaded": True}))
        until = time.monotonic() + 30
        while http.get("/ping").status_code == 200 and time.monotonic() < until:
            time.sleep(0.1)
        refused = http.post("/models/headlines/invocations", json={"inputs": [UP]})

        assert [http.get(path).status_code for path in ("/ping", "/health")] == [503, 503]
        assert (refused.status_code, refused.json()["error_code"]) == (503, "TEMPORARILY_UNAVAILABLE")
        assert refused.headers["retry-after"] == "1"


def test_limits_and_the_key_are_kept(with_key: Server) -> None:
    key = {"authorization": f"Bearer {KEY}"}
    too_many = invoke(with_key, {"inputs": [UP] * 21}, "/invocations", **key)
    too_large = invoke(with_key, {"inputs": ["a " * 6_000]}, "/invocations", **key)

    assert invoke(with_key, {"inputs": [UP]}, "/invocations").status_code == 401
    assert labels(invoke(with_key, {"inputs": [UP]}, "/invocations", **key).json()["predictions"]) == ["positive"]
    assert (too_many.status_code, too_large.status_code) == (413, 413)
    assert too_many.json()["error_code"] == too_large.json()["error_code"] == "BAD_REQUEST"


def test_curl_sends_csv(two_models: Server) -> None:
    command = ["curl", "-s", f"{two_models.url}/invocations?model=topics", "-H", "Content-Type: text/csv"]
    done = subprocess.run([*command, "--data-binary", f"text\n{UP}\n"], capture_output=True, text=True, check=True)

    assert labels(json.loads(done.stdout)["predictions"]) == ["positive"]
