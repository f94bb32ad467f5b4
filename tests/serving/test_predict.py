"""`POST /models/{m}/predict`: what it answers, and what it refuses, with which words."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from serving.codec import decode_question
from serving.schemas import DetailedPredictions, PredictRequest
from tests import bundles, toy_graphs
from tests.serving.apps import Running, on_gateway
from tidegate.bundle_store import BundleStore
from tidegate.devices import choose
from tidegate.engine import Engine
from tidegate.errors import RequestError
from tidegate.settings import Settings

URL = "/models/sentiment/predict"
JSON = {"content-type": "application/json"}


def test_one_text_gets_one_ranking_best_first_with_its_headers(tmp_path: Path) -> None:
    async def scenario(g: Running) -> None:
        response = await g.client.post(URL, json={"inputs": "profit rises"})

        assert response.status_code == 200
        [ranking] = response.json()
        assert ranking[0]["label"] == "positive"
        assert {entry["label"] for entry in ranking} == set(bundles.LABELS)
        scores = [entry["score"] for entry in ranking]
        assert scores == sorted(scores, reverse=True)
        assert response.headers["x-model-version"] == "1"
        assert response.headers["x-variant"] == "fp32"
        assert response.headers["x-prediction-id"] == g.monitor.records[0].id
        timing = dict(part.split(";dur=") for part in response.headers["server-timing"].split(", "))
        assert list(timing) == ["queue", "tokenize", "infer"]
        assert all(float(value) >= 0 for value in timing.values())

    on_gateway(tmp_path, scenario)


def test_a_list_is_answered_in_order_with_details(tmp_path: Path) -> None:
    async def scenario(g: Running) -> None:
        texts = ["profit rises", "loss falls", "the company met analysts"]
        response = await g.client.post(URL, json={"inputs": texts, "parameters": {"details": True, "top_k": 2}})

        body = DetailedPredictions.model_validate(response.json())
        assert (body.model, body.version) == ("sentiment", 1)
        assert [p.label for p in body.predictions] == ["positive", "negative", "neutral"]
        request_id = response.headers["x-prediction-id"]
        assert [p.id for p in body.predictions] == [f"{request_id}.{n}" for n in range(3)]
        assert all(len(p.scores) == 2 and p.scores[p.label] == p.score for p in body.predictions)
        assert [record.text for record in g.monitor.records] == texts
        assert [record.id for record in g.monitor.records] == [p.id for p in body.predictions]

    on_gateway(tmp_path, scenario)


def test_a_record_tells_monitoring_all_it_wants(tmp_path: Path) -> None:
    async def scenario(g: Running) -> None:
        await g.client.post("/models/wordpieces/predict", json={"inputs": "profit zebra rises"})

        [record] = g.monitor.records
        assert (record.model, record.version, record.variant) == ("wordpieces", 1, "fp32")
        assert (record.text, record.label, record.abstained) == ("profit zebra rises", "positive", False)
        row = record.row
        assert (row.length, row.words, row.unknown, row.truncated) == (5, 3, 1, False)
        assert row.arrays["input_ids"].shape == (5,)
        assert record.embedding is not None
        np.testing.assert_allclose(record.embedding, toy_graphs.topic("[CLS] profit [UNK] rises [SEP]"), atol=1e-6)
        assert record.score == max(record.scores)
        assert len(record.scores) == 3

    on_gateway(tmp_path, scenario)


def test_below_the_threshold_the_fallback_label_leads(tmp_path: Path) -> None:
    bundles.sentiment(BundleStore(tmp_path / "bundles"), threshold=0.999, fallback="unsure")

    async def scenario(g: Running) -> None:
        plain = await g.client.post(URL, json={"inputs": "zebra", "parameters": {"top_k": 1}})
        detailed = await g.client.post(URL, json={"inputs": "zebra", "parameters": {"details": True}})

        assert [entry["label"] for entry in plain.json()[0]] == ["unsure"]
        [answer] = detailed.json()["predictions"]
        assert (answer["label"], answer["abstained"]) == ("unsure", True)
        assert set(answer["scores"]) == {"unsure", *bundles.LABELS}

    on_gateway(tmp_path, scenario)


def test_two_hundred_callers_at_once_get_what_the_engine_says(tmp_path: Path) -> None:
    async def scenario(g: Running) -> None:
        texts = [" ".join([a, b, *["the"] * (index % 30)]) for index, (a, b) in enumerate(_pairs())][:200]
        bundle = g.app.state.gateway.repository.get("wordpieces").bundle
        expected = Engine.open(bundle, choose("cpu", [])).classify(texts)

        async def ask(text: str) -> list[float]:
            answer = (await g.client.post("/models/wordpieces/predict", json={"inputs": text})).json()[0]
            scores = {entry["label"]: entry["score"] for entry in answer}
            return [scores[label] for label in bundles.LABELS]

        answers = await asyncio.gather(*(ask(text) for text in texts))

        assert len(texts) == 200
        np.testing.assert_allclose(np.array(answers), expected, atol=1e-6)
        batches = g.registry.get_sample_value("tidegate_batch_rows_count", {"model": "wordpieces"})
        assert batches is not None
        assert batches < 200  # they were batched

    on_gateway(tmp_path, scenario)


def test_a_list_as_long_as_allowed_is_answered(tmp_path: Path) -> None:
    async def scenario(g: Running) -> None:
        response = await g.client.post(URL, json={"inputs": ["profit", "loss"] * 512, "parameters": {"top_k": 1}})

        assert [ranking[0]["label"] for ranking in response.json()] == ["positive", "negative"] * 512

    on_gateway(tmp_path, scenario)


def test_texts_of_any_script_length_and_kind_are_answered(tmp_path: Path) -> None:
    texts = ["利益が増えた", "🚀" * 500, "a\x00b", "\u202eltr", "x" * 100_000, "profit " * 14_000, "é", "\ufffd"]

    async def scenario(g: Running) -> None:
        for model in ("sentiment", "wordpieces"):
            response = await g.client.post(f"/models/{model}/predict", json={"inputs": texts})

            assert len(response.json()) == len(texts)

    on_gateway(tmp_path, scenario)


BAD_BODIES: list[tuple[str, bytes, int, str]] = [
    ("nothing", b"", 400, "not JSON"),
    ("broken json", b'{"inputs": ', 400, "not JSON"),
    ("two documents", b'{"inputs": "a"} {}', 400, "not JSON"),
    ("not a number", b'{"inputs": NaN}', 400, "not JSON"),
    ("invalid utf-8", b'{"inputs": "\xff\xfe"}', 400, "not JSON in UTF-8"),
    ("utf-16", '{"inputs": "a"}'.encode("utf-16"), 400, "not JSON in UTF-8"),
    ("half a surrogate pair", b'{"inputs": "\\ud800"}', 400, "surrogate"),
    ("a hundred thousand brackets", b"[" * 100_000, 400, "not JSON"),
    ("deep but closed", b'{"inputs": ' + b"[" * 900 + b"]" * 900 + b"}", 422, "/inputs/0: the input is a list"),
    ("a list", b'["a"]', 422, "expected a JSON object, got a list"),
    ("null", b"null", 422, "got null"),
    ("no inputs", b"{}", 422, "/inputs: inputs is missing"),
    ("inputs null", b'{"inputs": null}', 422, "/inputs: inputs is null"),
    ("a number", b'{"inputs": 3}', 422, "/inputs: inputs is a number"),
    ("an object", b'{"inputs": {"a": 1}}', 422, "/inputs: inputs is an object"),
    ("no texts", b'{"inputs": []}', 422, "at least one text"),
    ("a number among texts", b'{"inputs": ["a", 3]}', 422, "/inputs/1: the input is a number, not a text"),
    ("a boolean among texts", b'{"inputs": [true]}', 422, "/inputs/0: the input is a boolean"),
    ("empty text", b'{"inputs": ""}', 422, "/inputs: the text is empty"),
    ("blank text in a list", '{"inputs": ["a", " \\n\\t\u2003"]}'.encode(), 422, "/inputs/1: the text is empty"),
    ("too long a text", b'{"inputs": "' + b"x" * 100_001 + b'"}', 422, "/inputs: the text has 100001 characters"),
    ("unknown key", b'{"inputs": "a", "options": {}}', 422, "/options: unknown key 'options'"),
    ("very long key", b'{"inputs": "a", "' + b"k" * 50_000 + b'": {}}', 422, "unknown key 'kkk"),
    ("unknown parameter", b'{"inputs": "a", "parameters": {"topk": 1}}', 422, "/parameters/topk: unknown key"),
    ("top_k of zero", b'{"inputs": "a", "parameters": {"top_k": 0}}', 422, "/parameters/top_k: top_k must be"),
    ("top_k true", b'{"inputs": "a", "parameters": {"top_k": true}}', 422, "/parameters/top_k"),
    ("top_k a fraction", b'{"inputs": "a", "parameters": {"top_k": 1.5}}', 422, "/parameters/top_k"),
    ("details a text", b'{"inputs": "a", "parameters": {"details": "yes"}}', 422, "/parameters/details: details is a"),
    ("parameters a list", b'{"inputs": "a", "parameters": [1]}', 422, "/parameters: expected a JSON object"),
    ("ten thousand texts", orjson.dumps({"inputs": ["a"] * 10_000}), 413, "10000 texts and 1024 may"),
    ("ten megabytes", b'{"inputs": "' + b"x" * 10_000_000 + b'"}', 413, "more than 2000000 bytes"),
]


def test_bad_bodies_get_a_clear_problem_of_the_right_kind(tmp_path: Path) -> None:
    async def scenario(g: Running) -> None:
        for name, body, status, words in BAD_BODIES:
            response = await g.client.post(URL, content=body, headers=JSON)

            assert response.status_code == status, name
            assert response.headers["content-type"] == "application/problem+json", name
            problem = response.json()
            assert words in problem["detail"], name
            assert len(response.content) < 700, name
            assert (problem["type"], problem["status"], problem["instance"]) == ("about:blank", status, URL), name
            if status == 422 and problem["detail"].startswith("/"):
                assert problem["detail"].startswith(f"{problem['pointer']}: "), name
        assert g.monitor.records == []

    on_gateway(tmp_path, scenario)


def test_a_body_without_a_length_is_cut_off_at_the_limit(tmp_path: Path) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 100_000
            yield b"x" * 100_000

    async def scenario(g: Running) -> None:
        response = await g.client.post(URL, content=endless(), headers=JSON)

        assert response.status_code == 413
        assert sent <= 2_200_000

    on_gateway(tmp_path, scenario)


def test_a_declared_length_above_the_limit_is_refused_before_a_byte_is_read(tmp_path: Path) -> None:
    async def scenario(g: Running) -> None:
        headers = [(b"host", b"localhost"), (b"content-type", b"application/json"), (b"content-length", b"2000001")]
        scope = {"type": "http", "method": "POST", "path": URL, "query_string": b"", "headers": headers}
        sent: list[Any] = []

        async def receive() -> Any:
            raise AssertionError("the body was read")

        async def send(message: Any) -> None:
            sent.append(message)

        await g.app(scope, receive, send)

        assert sent[0]["status"] == 413

    on_gateway(tmp_path, scenario)


def test_a_body_that_lies_about_its_length_is_cut_off_too(tmp_path: Path) -> None:
    async def scenario(g: Running) -> None:
        response = await g.client.post(URL, content=b"x" * 3_000_000, headers=JSON | {"content-length": "10"})

        assert response.status_code == 413

    on_gateway(tmp_path, scenario)


@pytest.mark.parametrize(
    ("method", "path", "headers", "status", "words"),
    [
        ("POST", "/models/none/predict", JSON, 404, "no model 'none' is served; served: sentiment, wordpieces"),
        ("POST", f"/models/{'x' * 5_000}/predict", JSON, 404, "no model 'xxx"),
        ("POST", "/models/..%2Fx/predict", JSON, 404, "nothing is served at this address"),
        ("GET", URL, {}, 405, "does not take GET"),
        ("POST", URL, {}, 415, "content-type is ''"),
        ("POST", URL, {"content-type": "text/plain"}, 415, "send application/json"),
        ("POST", URL, {"content-type": "application/x-www-form-urlencoded"}, 415, "send application/json"),
        ("POST", URL, JSON | {"content-encoding": "gzip"}, 415, "uncompressed"),
        ("POST", URL, JSON | {"x-deadline-ms": "soon"}, 400, "x-deadline-ms is 'soon'"),
        ("POST", URL, JSON | {"x-deadline-ms": "0"}, 400, "1 or more"),
        ("POST", URL, JSON | {"x-deadline-ms": "-5"}, 400, "x-deadline-ms"),
        ("POST", URL, JSON | {"x-deadline-ms": "9" * 5_000}, 400, "x-deadline-ms"),
        ("GET", "/nowhere", {}, 404, "see /docs"),
    ],
)
def test_bad_requests_get_a_clear_problem(
    tmp_path: Path, method: str, path: str, headers: dict[str, str], status: int, words: str
) -> None:
    async def scenario(g: Running) -> None:
        response = await g.client.request(method, path, content=b'{"inputs": "a"}', headers=headers)

        assert response.status_code == status
        assert response.headers["content-type"] == "application/problem+json"
        assert words in response.json()["detail"]
        assert len(response.content) < 700

    on_gateway(tmp_path, scenario)


def test_a_charset_and_capitals_in_the_content_type_are_fine(tmp_path: Path) -> None:
    async def scenario(g: Running) -> None:
        headers = {"content-type": "Application/JSON; charset=utf-8"}
        response = await g.client.post(URL, content=b'{"inputs": "profit", "parameters": null}', headers=headers)

        assert response.status_code == 200

    on_gateway(tmp_path, scenario)


def test_more_texts_than_the_queue_could_ever_hold_are_too_many(tmp_path: Path) -> None:
    async def scenario(g: Running) -> None:
        response = await g.client.post(URL, json={"inputs": ["a"] * 20})

        assert response.status_code == 413

    on_gateway(tmp_path, scenario, max_queued=10)


def test_callers_beyond_the_queue_are_told_when_to_come_back(tmp_path: Path) -> None:
    async def scenario(g: Running) -> None:
        asked = [g.client.post(URL, json={"inputs": ["a"] * 10}) for _ in range(20)]
        responses = await asyncio.gather(*asked)

        shed = [response for response in responses if response.status_code == 429]
        assert shed
        assert all(response.status_code == 200 for response in responses if response not in shed)
        assert all(int(response.headers["retry-after"]) >= 1 for response in shed)
        labels = {"model": "sentiment", "reason": "queue_full"}
        assert g.registry.get_sample_value("tidegate_shed_total", labels) == len(shed)

    on_gateway(tmp_path, scenario, max_queued=10)


json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats(-2, 2) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["inputs", "x"]), inner, max_size=2),
    max_leaves=6,
)
bodies = json_values | st.fixed_dictionaries(
    {},
    optional={
        "inputs": st.text(max_size=5) | st.lists(st.text(max_size=5) | st.integers(), max_size=4) | json_values,
        "parameters": json_values
        | st.fixed_dictionaries(
            {}, optional={"top_k": st.integers(-2, 4) | json_values, "details": st.booleans() | json_values}
        ),
        "more": st.none(),
    },
)


@given(body=bodies)
@settings(max_examples=400)
def test_the_hot_decoder_accepts_what_the_documented_schema_accepts(body: Any) -> None:
    try:
        PredictRequest.model_validate(body)
        documented = True
    except ValidationError:
        documented = False
    try:
        decode_question(body, Settings())
        accepted = True
    except RequestError as error:
        accepted = False
        if "is empty" in str(error) or "surrogate" in str(error) or "empty list" in str(error):
            return  # a schema cannot say these

    assert accepted == documented


def _pairs() -> list[tuple[str, str]]:
    return [(a, b) for a in bundles.WORDS for b in bundles.WORDS]
