"""V2 over HTTP in all its forms: JSON and binary both ways, packed bodies, raw requests, curl; and what is refused."""

import gzip
import json
import struct
import subprocess
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tritonclient.utils import InferenceServerException

from tests.protocols.v2_clients import ANSWERS, CALLS, DOWN, KEY, UP, Client, check_recorded
from tests.protocols.v2_clients import v2_locked as v2_locked
from tests.protocols.v2_clients import v2_server as v2_server
from tests.servers import Server
from tests.serving.apps import Running, on_gateway

HTTP = ("http", "http.aio")
INFER = "/v2/models/wordpieces/infer"
TENSORS = "/v2/models/wordpieces-tensors/infer"


@pytest.fixture(params=HTTP)
def client(request: pytest.FixtureRequest, v2_server: Server) -> Client:
    return Client(request.param, v2_server)


def curl(url: str, *arguments: str, body: bytes = b"") -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of what curl got."""
    CALLS.append(("curl", url.rpartition("/")[2]))
    data = ["--data-binary", "@-"] if body else []
    done = subprocess.run(
        ["curl", "-s", "-i", "--max-time", "30", *arguments, *data, url], input=body, capture_output=True, check=True
    )
    head, _, content = done.stdout.partition(b"\r\n\r\n")
    status, *lines = head.decode("latin-1").split("\r\n")
    pairs = [line.partition(": ") for line in lines]
    return int(status.split()[1]), {name.lower(): value for name, _, value in pairs}, content


def packed_texts(*texts: bytes) -> bytes:
    return b"".join(struct.pack("<I", len(text)) + text for text in texts)


def tensor(name: str, shape: Sequence[Any], datatype: str, **rest: Any) -> dict[str, Any]:
    return {"name": name, "shape": list(shape), "datatype": datatype, **rest}


def ask(*inputs: dict[str, Any], **rest: Any) -> bytes:
    return json.dumps({"inputs": inputs, **rest}).encode()


TEXT = tensor("text", [1], "BYTES", data=[UP])
IDS = tensor("input_ids", [1, 2], "INT64", data=[9, 8])
MASK = tensor("attention_mask", [1, 2], "INT64", data=[1, 1])


@pytest.mark.slow
@pytest.mark.parametrize("answered", ["in binary", "in JSON", "as it comes"])
@pytest.mark.parametrize("binary", [True, False], ids=["binary", "JSON"])
@pytest.mark.parametrize("packing", [None, "gzip", "deflate"])
@pytest.mark.parametrize("unpacking", [None, "gzip", "deflate"])
def test_every_form_of_question_and_answer(
    client: Client, answered: str, binary: bool, packing: str | None, unpacking: str | None
) -> None:
    texts = list(ANSWERS) * 20
    names = ("label", "scores", "abstained")
    outputs = (
        None if answered == "as it comes" else [client.output(n, binary_data=answered == "in binary") for n in names]
    )
    result = client.infer(
        "headlines",
        [client.text_input(texts, binary_data=binary)],
        outputs=outputs,
        request_compression_algorithm=packing,
        response_compression_algorithm=unpacking,
    )
    labels = [each.decode() if isinstance(each, bytes) else each for each in result.as_numpy("label")]
    assert labels == [ANSWERS[text] for text in texts]
    assert result.as_numpy("scores").shape == (60, 3)
    assert result.as_numpy("scores").dtype == np.float32
    assert result.as_numpy("abstained").dtype == np.bool_
    assert ("parameters" in result.get_output("scores")) == (answered != "in JSON")


@pytest.mark.slow
@pytest.mark.parametrize("binary", [True, False], ids=["binary", "JSON"])
def test_the_same_tensors_get_the_same_logits_in_either_form(client: Client, binary: bool) -> None:
    ids = np.array([[2, 9, 8, 3]], dtype=np.int64)
    inputs = [
        client.input("input_ids", ids, "INT64", binary_data=binary),
        client.input("attention_mask", np.ones_like(ids), "INT64", binary_data=binary),
    ]
    wanted = [client.output("logits", binary_data=not binary)]
    logits = client.infer("headlines-tensors", inputs, outputs=wanted).as_numpy("logits")
    assert np.array_equal(logits, client.infer("headlines-tensors", inputs).as_numpy("logits"))


@pytest.mark.slow
def test_curl_asks_about_the_server(v2_server: Server) -> None:
    url = v2_server.url
    assert curl(f"{url}/v2/health/live")[::2] == (200, b'{"live":true}')
    assert curl(f"{url}/v2/health/ready")[::2] == (200, b'{"ready":true}')
    assert json.loads(curl(f"{url}/v2")[2])["name"] == "tidegate"
    assert json.loads(curl(f"{url}/v2/models/headlines/ready")[2]) == {"name": "headlines", "ready": True}
    assert json.loads(curl(f"{url}/v2/models/headlines/versions/1")[2])["versions"] == ["1"]
    assert curl(f"{url}/v2/models/headlines/versions/1/ready")[0] == 200
    assert curl(f"{url}/v2/models/headlines/versions/9/ready")[0] == 503
    assert curl(f"{url}/v2/models/headlines/versions/1/config")[0] == 200
    assert curl(f"{url}/v2/models/headlines/versions/1/stats")[0] == 200
    assert curl(f"{url}/v2/models/headlines/versions/9/stats")[0] == 404
    index = json.loads(curl(f"{url}/v2/repository/index", body=b'{"ready": true}')[2])
    assert [each["name"] for each in index][:2] == ["headlines", "headlines-tensors"]
    assert json.loads(curl(f"{url}/v2/repository/index", "-X", "POST")[2]) == index


@pytest.mark.slow
@pytest.mark.parametrize(
    "kind", ["application/json", "application/octet-stream", "Application/JSON; charset=utf-8", ""]
)
def test_curl_sends_json_under_any_name_that_clients_use(v2_server: Server, kind: str) -> None:
    status, headers, content = curl(
        f"{v2_server.url}/v2/models/headlines/infer", "-H", f"content-type:{kind}", body=ask(TEXT, id="7")
    )
    document = json.loads(content)
    assert (status, headers["content-type"], document["id"]) == (200, "application/json", "7")
    outputs = {each["name"]: each["data"] for each in document["outputs"]}
    assert outputs["label"] == ["positive"]
    assert outputs["abstained"] == [False]
    assert headers["x-prediction-id"] == outputs["id"][0]
    assert headers["x-model-version"] == document["model_version"] == "1"


@pytest.mark.slow
def test_a_raw_request_is_nothing_but_the_text_and_is_answered_in_binary(v2_server: Server) -> None:
    status, headers, content = curl(
        f"{v2_server.url}/v2/models/headlines/infer", "-H", "Inference-Header-Content-Length: 0", body=DOWN.encode()
    )
    length = int(headers["inference-header-content-length"])
    outputs = json.loads(content[:length])["outputs"]
    assert (status, headers["content-type"]) == (200, "application/octet-stream")
    assert outputs[0] == tensor("label", [1], "BYTES", parameters={"binary_data_size": 12})
    assert content[length : length + 12] == packed_texts(b"negative")
    assert len(content) == length + sum(each["parameters"]["binary_data_size"] for each in outputs)


@pytest.mark.slow
def test_an_answer_is_packed_when_that_is_asked_for_and_worth_it(v2_server: Server) -> None:
    url, accept = f"{v2_server.url}/v2/models/headlines/infer", "accept-encoding: br, gzip;q=0.5, deflate"
    many = ask(tensor("text", [50], "BYTES", data=[UP] * 50))
    plain, packed = curl(url, body=many), curl(url, "-H", accept, body=many)
    assert packed[1]["content-encoding"] == "gzip"
    assert len(packed[2]) < len(plain[2])
    assert len(json.loads(gzip.decompress(packed[2]))["outputs"][0]["data"]) == 50
    assert "content-encoding" not in curl(url, "-H", "accept-encoding: gzip;q=0, br", body=many)[1]
    assert "content-encoding" not in curl(url, "-H", accept, body=ask(TEXT, outputs=[{"name": "label"}]))[1]


@pytest.mark.slow
@pytest.mark.parametrize("path", ["/v2", "/v2/models/headlines", "/v2/models/stats", "/v2/models/headlines/config"])
def test_who_has_no_key_is_told_in_the_protocols_words(v2_locked: Server, path: str) -> None:
    status, headers, content = curl(v2_locked.url + path)
    assert (status, headers["content-type"], headers["www-authenticate"]) == (401, "application/json", "Bearer")
    assert "key" in json.loads(content)["error"]
    assert curl(v2_locked.url + path, "-H", f"authorization: Bearer {KEY}")[0] == 200


@pytest.mark.slow
def test_a_long_body_is_refused_packed_or_not(v2_locked: Server) -> None:
    url, key = f"{v2_locked.url}/v2/models/headlines/infer", ("-H", f"authorization: Bearer {KEY}")
    bomb = ask(tensor("text", [1], "BYTES", data=["profit " * 1_000_000]))
    for coding, body in (("identity", bomb), ("gzip", gzip.compress(bomb)), ("deflate", zlib.compress(bomb))):
        status, _, content = curl(url, *key, "-H", f"content-encoding: {coding}", "-H", "expect:", body=body)
        assert (status, "10000 bytes" in json.loads(content)["error"]) == (413, True)


@pytest.mark.slow
def test_triton_clients_show_the_error_of_any_address(v2_server: Server) -> None:
    client = Client("http", v2_server)
    with pytest.raises(InferenceServerException, match="nothing is served at this address") as caught:
        client.get_trace_settings("headlines")
    assert caught.value.status() == "404"


@pytest.mark.slow
def test_enough_calls_were_recorded(request: pytest.FixtureRequest) -> None:
    check_recorded(request, (*HTTP, "curl"), 120)


FAULTS: dict[str, tuple[str, bytes, int, str]] = {
    "no JSON": (INFER, b"{", 400, "not JSON"),
    "no object": (INFER, b"[]", 400, "must be a JSON object"),
    "no inputs": (INFER, b"{}", 400, "inputs must be a list"),
    "empty inputs": (INFER, ask(), 400, "inputs must be a list"),
    "id is a number": (INFER, ask(TEXT, id=7), 400, "id is a number"),
    "parameters are a list": (INFER, ask(TEXT, parameters=[]), 400, "parameters must be"),
    "outputs are a string": (INFER, ask(TEXT, outputs="label"), 400, "outputs is a string"),
    "output without a name": (INFER, ask(TEXT, outputs=[{}]), 400, "output 0 needs a name"),
    "timeout is a text": (INFER, ask(TEXT, parameters={"timeout": "soon"}), 400, "parameter timeout is 'soon'"),
    "timeout is negative": (INFER, ask(TEXT, parameters={"timeout": -1}), 400, "parameter timeout is '-1'"),
    "priority is a fraction": (INFER, ask(TEXT, parameters={"priority": 1.5}), 400, "parameter priority"),
    "no name": (INFER, ask({"shape": [1], "datatype": "BYTES", "data": [UP]}), 400, "needs a name and a datatype"),
    "no shape": (INFER, ask({"name": "text", "datatype": "BYTES", "data": [UP]}), 400, "shape of 'text' must be"),
    "no data": (INFER, ask(tensor("text", [1], "BYTES")), 400, "data of 'text' must be a list"),
    "data is a text": (INFER, ask(tensor("text", [1], "BYTES", data=UP)), 400, "must be a list"),
    "data are numbers": (INFER, ask(tensor("text", [1], "BYTES", data=[7])), 400, "element 0 of 'text' is no text"),
    "too little data": (INFER, ask(tensor("text", [2], "BYTES", data=[UP])), 400, "holds 1 elements; its shape says 2"),
    "too much data": (INFER, ask(tensor("text", [1], "BYTES", data=[UP, UP])), 400, "holds 2 elements"),
    "shape with a zero": (INFER, ask(tensor("text", [0], "BYTES", data=[])), 400, "shape of 'text' holds 0"),
    "negative shape": (INFER, ask(tensor("text", [-1], "BYTES", data=[UP])), 400, "shape of 'text' holds -1"),
    "shape of fractions": (INFER, ask(tensor("text", [1.0], "BYTES", data=[UP])), 400, "shape of 'text' holds 1.0"),
    "shape of truths": (INFER, ask(tensor("text", [True], "BYTES", data=[UP])), 400, "shape of 'text' holds True"),
    "shape beyond reason": (INFER, ask(tensor("text", [2**62], "BYTES", data=[UP])), 400, "shape of 'text' holds"),
    "product that overflows": (
        TENSORS,
        ask(tensor("input_ids", [2**31 - 1, 2**31 - 1], "INT64", data=[1]), MASK),
        400,
        "send 461168601",
    ),
    "many dimensions": (INFER, ask(tensor("text", [1] * 99, "BYTES", data=[UP])), 400, "at most 8"),
    "another rank": (
        TENSORS,
        ask(tensor("input_ids", [2], "INT64", data=[9, 8]), MASK),
        400,
        "the model takes [-1, -1]",
    ),
    "a datatype of no kind": (INFER, ask(tensor("text", [1], "TEXT", data=[UP])), 400, "has datatype 'TEXT'"),
    "fractions for integers": (TENSORS, ask({**IDS, "data": [9.0, 8.0]}, MASK), 400, "no list of INT64 values"),
    "truths for integers": (TENSORS, ask({**IDS, "data": [True, False]}, MASK), 400, "no list of INT64 values"),
    "texts for integers": (TENSORS, ask({**IDS, "data": ["9", "8"]}, MASK), 400, "no list of INT64 values"),
    "nothing for integers": (TENSORS, ask({**IDS, "data": [None, 8]}, MASK), 400, "no list of INT64 values"),
    "beyond INT64": (TENSORS, ask({**IDS, "data": [2**63, 2**63]}, MASK), 400, "beyond INT64"),
    "uneven lists": (TENSORS, ask({**IDS, "data": [[9], [8, 7]]}, MASK), 400, "no list of INT64 values"),
    "another nesting": (TENSORS, ask({**IDS, "data": [[9], [8]]}, MASK), 400, "holds data of shape [2, 1]"),
    "deep lists": (
        TENSORS,
        INFER.encode()[:0]
        + b'{"inputs":[{"name":"input_ids","shape":[1,2],"datatype":"INT64","data":'
        + b"[" * 900
        + b"]" * 900
        + b"}]}",
        400,
        "",
    ),
    "shared memory": (
        INFER,
        ask(tensor("text", [1], "BYTES", parameters={"shared_memory_region": "r"})),
        400,
        "shared memory",
    ),
    "shared memory for an output": (
        INFER,
        ask(TEXT, outputs=[{"name": "label", "parameters": {"shared_memory_region": "r"}}]),
        400,
        "shared memory",
    ),
    "size and data": (INFER, ask({**TEXT, "parameters": {"binary_data_size": 3}}), 400, "without data beside it"),
    "no such model": ("/v2/models/nobody/infer", ask(TEXT), 404, "no model 'nobody'"),
    "no such version": ("/v2/models/wordpieces/versions/9/infer", ask(TEXT), 404, "version 9"),
    "a version that is a word": ("/v2/models/wordpieces/versions/new/infer", ask(TEXT), 404, "no version 'new'"),
    "no such address": ("/v2/models/wordpieces/guess", ask(TEXT), 404, "nothing is served"),
    "an index of a list": ("/v2/repository/index", b"[]", 400, "must be a JSON object"),
    "an index that may be ready": ("/v2/repository/index", b'{"ready":"perhaps"}', 400, "ready must be"),
    "a load with a list": ("/v2/repository/models/wordpieces/load", b'{"parameters":[]}', 400, "parameters must be"),
    "a load with a file": (
        "/v2/repository/models/wordpieces/load",
        b'{"parameters":{"file:x":"eA=="}}',
        400,
        "'file:x'",
    ),
    "a load from outside": ("/v2/repository/models/..%2F..%2Fetc/load", b"{}", 404, ""),
}


def test_what_is_wrong_is_told_with_its_status_and_its_name(tmp_path: Path) -> None:
    async def scenario(g: Running) -> None:
        for fault, (path, body, status, words) in FAULTS.items():
            response = await g.client.post(path, content=body)
            assert (fault, response.status_code) == (fault, status)
            document = response.json()
            assert (fault, document.keys()) == (fault, {"error"})
            assert words in document["error"], fault
            assert response.headers["content-type"] == "application/json"
        assert (await g.client.post(INFER, content=ask(TEXT))).status_code == 200
        assert (await g.client.post(TENSORS, content=ask(IDS, MASK))).status_code == 200

    on_gateway(tmp_path, scenario)


# The body, its header's value (or how many bytes fewer than the body are JSON), and what is told.
BINARY_FAULTS: dict[str, tuple[bytes, str | int, str]] = {
    "longer than the body": (ask(TEXT), "9999", "and the body has"),
    "no number": (ask(TEXT), "many", "is 'many'"),
    "negative": (ask(TEXT), "-1", "is '-1'"),
    "in the middle of the JSON": (ask(TEXT), "5", "not JSON"),
    "nothing behind": (ask(tensor("text", [1], "BYTES", parameters={"binary_data_size": 8})), 0, "0 are left"),
    "more behind than said": (
        ask(tensor("text", [1], "BYTES", parameters={"binary_data_size": 8})) + packed_texts(b"profit"),
        10,
        "2 bytes behind the JSON belong to no input",
    ),
    "bytes behind JSON data": (ask(TEXT) + b"more", 4, "4 bytes behind the JSON belong to no input"),
    "negative size": (
        ask(tensor("text", [1], "BYTES", parameters={"binary_data_size": -1})),
        0,
        "binary_data_size of 'text'",
    ),
    "size of a fraction": (
        ask(tensor("text", [1], "BYTES", parameters={"binary_data_size": 1.5})),
        0,
        "binary_data_size of 'text'",
    ),
    "an element that lies": (
        ask(tensor("text", [1], "BYTES", parameters={"binary_data_size": 8})) + b"\xff\xff\xff\xffgain",
        8,
        "says it has 4294967295 bytes; 4 are left",
    ),
    "half a length": (
        ask(tensor("text", [2], "BYTES", parameters={"binary_data_size": 10})) + packed_texts(b"gain") + b"\0\0",
        10,
        "ends in the middle of the length",
    ),
    "more elements than the shape": (
        ask(tensor("text", [1], "BYTES", parameters={"binary_data_size": 16})) + packed_texts(b"gain", b"loss"),
        16,
        "bytes left after the 1 elements",
    ),
    "fewer elements than the shape": (
        ask(tensor("text", [3], "BYTES", parameters={"binary_data_size": 16})) + packed_texts(b"gain", b"loss"),
        16,
        "holds 2 elements; its shape says 3",
    ),
}


def test_binary_headers_that_lie_are_told(tmp_path: Path) -> None:
    async def scenario(g: Running) -> None:
        for fault, (body, length, words) in BINARY_FAULTS.items():
            sent = str(len(body) - length) if isinstance(length, int) else length
            response = await g.client.post(INFER, content=body, headers={"inference-header-content-length": sent})
            assert (fault, response.status_code) == (fault, 400)
            assert words in response.json()["error"], (fault, response.text)
        short = ask(tensor("input_ids", [1, 2], "INT64", parameters={"binary_data_size": 12}), MASK)
        headers = {"inference-header-content-length": str(len(short))}
        response = await g.client.post(TENSORS, content=short + b"x" * 12, headers=headers)
        assert response.json()["error"] == "'input_ids' has 12 bytes of data; its shape and datatype say 16"

    on_gateway(tmp_path, scenario)


@pytest.mark.parametrize(
    ("coding", "body", "status", "words"),
    [
        ("gzip", b"no gzip", 400, "not what its content-encoding says"),
        ("deflate", zlib.compress(ask(TEXT))[:-3], 400, "cut short"),
        ("gzip", gzip.compress(ask(TEXT), mtime=0) + b"more", 400, "something follows"),
        ("gzip", gzip.compress(ask(TEXT), mtime=0) * 2, 400, "something follows"),
        ("br", ask(TEXT), 415, "send gzip, deflate or none"),
    ],
)
def test_packed_bodies_that_are_damaged_are_told(
    tmp_path: Path, coding: str, body: bytes, status: int, words: str
) -> None:
    async def scenario(g: Running) -> None:
        response = await g.client.post(INFER, content=body, headers={"content-encoding": coding})
        assert response.status_code == status
        assert words in response.json()["error"]

    on_gateway(tmp_path, scenario)


def test_a_raw_request_is_refused_where_the_model_has_several_inputs(tmp_path: Path) -> None:
    async def scenario(g: Running) -> None:
        response = await g.client.post(TENSORS, content=b"12345678", headers={"inference-header-content-length": "0"})
        assert response.status_code == 400
        assert "this one takes 2" in response.json()["error"]

    on_gateway(tmp_path, scenario)


def test_predictions_by_v2_are_recorded_and_take_feedback_like_any_other(tmp_path: Path) -> None:
    async def scenario(g: Running) -> None:
        document = (await g.client.post(INFER, content=ask(TEXT))).json()
        [prediction_id] = next(each["data"] for each in document["outputs"] if each["name"] == "id")
        assert [(record.id, record.text) for record in g.monitor.records] == [(prediction_id, UP)]
        correction = {"prediction_id": prediction_id, "label": "neutral"}
        assert (await g.client.post("/models/wordpieces/feedback", json=correction)).status_code == 201

    on_gateway(tmp_path, scenario)


def test_a_graphs_own_tensors_are_not_recorded(tmp_path: Path) -> None:
    async def scenario(g: Running) -> None:
        assert (await g.client.post(TENSORS, content=ask(IDS, MASK))).status_code == 200
        assert g.monitor.records == []

    on_gateway(tmp_path, scenario)


def test_what_is_refused_is_counted(tmp_path: Path) -> None:
    async def scenario(g: Running) -> None:
        def count(model: str, outcome: str) -> float:
            labels = {"model": model, "outcome": outcome}
            return g.registry.get_sample_value("tidegate_requests_total", labels) or 0.0

        await g.client.post(INFER, content=b"{")
        await g.client.post(INFER, content=ask(tensor("text", [2], "BYTES", data=[UP])))
        await g.client.post("/v2/models/nobody/infer", content=ask(TEXT))
        await g.client.post(INFER, content=ask(TEXT))
        assert (count("wordpieces", "400"), count("", "404"), count("wordpieces", "200")) == (2, 1, 1)

    on_gateway(tmp_path, scenario)


def test_nothing_is_ready_while_models_load(tmp_path: Path) -> None:
    async def scenario(g: Running) -> None:
        ready = await g.client.get("/v2/health/ready")
        if ready.status_code == 503:  # they may already have
            assert ready.json() == {"ready": False}
        assert (await g.client.get("/v2/health/live")).json() == {"live": True}

    on_gateway(tmp_path, scenario, ready=False)


def test_a_server_about_to_leave_is_not_ready(tmp_path: Path) -> None:
    async def scenario(g: Running) -> None:
        assert (await g.client.get("/v2/health/ready")).status_code == 200
        g.app.state.gateway.leaving.set()
        assert (await g.client.get("/v2/health/ready")).status_code == 503
        assert (await g.client.post(INFER, content=ask(TEXT))).status_code == 200

    on_gateway(tmp_path, scenario)
