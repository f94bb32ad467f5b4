"""A fuzzer for V2: shapes, datatypes, sizes and binary headers that lie; nothing it sends is answered with a 5xx.

Against the app in this process, whose errors are answers; gRPC's messages go to the functions behind the port.
"""

import asyncio
import contextlib
import gzip
import json
import struct
import zlib
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from serving.caller import ANYONE
from serving.v2 import rpc_codec, specs
from serving.v2.infer import Asked, infer
from serving.v2.messages import message
from serving.v2.tensors import BYTES, DTYPES
from tests.serving.apps import Running, gateway
from tidegate.errors import TidegateError

FUZZ = settings(max_examples=250, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)

MODELS = ("wordpieces", "sentiment")
PATHS = [
    f"/v2/models/{model}{suffix}{version}/infer"
    for model in MODELS
    for suffix in ("", "-tensors")
    for version in ("", "/versions/1")
]
words = st.sampled_from(["profit rises", "loss", "", " ", "\x00", "größer", "😀", "a" * 3000]) | st.text(max_size=20)
numbers = st.integers(-(2**70), 2**70) | st.integers(-3, 20) | st.floats(allow_nan=False, allow_infinity=False)
scalars = st.none() | st.booleans() | numbers | words
anything = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(words, inner, max_size=3), max_leaves=8
)
dimensions = st.sampled_from([0, 1, 1, 2, 3, 4, -1, 2**16, 2**31, 2**32, 2**63, 2**64])
datatypes = st.sampled_from([*DTYPES, BYTES, "BF16", "int64", ""])
names = st.sampled_from(["text", "input_ids", "attention_mask", "indices", "values", "logits", "label", ""]) | words
parameters = st.dictionaries(
    st.sampled_from(["timeout", "priority", "binary_data_output", "binary_data_size", "binary_data", "content_type"]),
    anything,
    max_size=3,
)
# Mostly right, so that many get past the first check.
RIGHT: dict[str, list[dict[str, Any]]] = {
    "wordpieces": [{"name": "text", "shape": [2], "datatype": "BYTES", "data": ["profit", "loss"]}],
    "sentiment": [{"name": "text", "shape": [1, 1], "datatype": "BYTES", "data": [["profit"]]}],
    "wordpieces-tensors": [
        {"name": "input_ids", "shape": [1, 2], "datatype": "INT64", "data": [9, 8]},
        {"name": "attention_mask", "shape": [1, 2], "datatype": "INT64", "data": [[1, 1]]},
    ],
    "sentiment-tensors": [
        {"name": "indices", "shape": [2, 1], "datatype": "INT64", "data": [[5], [1]]},
        {"name": "values", "shape": [2, 1], "datatype": "FP32", "data": [1, 0.5]},
    ],
}


def changed(fields: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    """A tensor with some of its fields replaced by others, wrong in kind or in value, or left out."""
    others = st.fixed_dictionaries(
        {},
        optional={
            "name": names | anything,
            "datatype": datatypes | anything,
            "shape": st.lists(dimensions, max_size=4) | anything,
            "data": st.lists(scalars, max_size=6) | st.lists(st.lists(numbers, max_size=3), max_size=3) | anything,
            "parameters": parameters | anything,
        },
    )
    gone = st.sets(st.sampled_from(sorted(fields)), max_size=1)
    return st.tuples(others, gone).map(lambda both: {k: v for k, v in (fields | both[0]).items() if k not in both[1]})


FAULTS = (
    "none",
    "none",
    "tensor",
    "tensor",
    "tensors",
    "document",
    "length",
    "size",
    "cut",
    "more",
    "coding",
    "deadline",
)
EXTRAS = {
    "id": words | anything,
    "parameters": parameters | anything,
    "outputs": st.lists(st.fixed_dictionaries({"name": names}, optional={"parameters": parameters})) | anything,
}


def in_binary(tensor: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
    """A tensor that is right, with its data behind the JSON."""
    values = np.array(tensor["data"]).reshape(-1)
    if tensor["datatype"] == BYTES:
        data = b"".join(struct.pack("<I", len(text.encode())) + text.encode() for text in values)
    else:
        data = values.astype(DTYPES[tensor["datatype"]]).tobytes()
    about = {key: value for key, value in tensor.items() if key != "data"}
    return about | {"parameters": {"binary_data_size": len(data)}}, data


@st.composite
def requests(draw: st.DrawFn) -> tuple[str, bytes, dict[str, str]]:
    """A request that is right but for one fault, sometimes none: of a tensor, a header, a size, the coding."""
    path, fault = draw(st.sampled_from(PATHS)), draw(st.sampled_from(FAULTS))
    inputs, behind = [dict(tensor) for tensor in RIGHT[path.split("/")[3]]], b""
    if draw(st.booleans()):
        pairs = [in_binary(tensor) for tensor in inputs]
        inputs, behind = [about for about, _ in pairs], b"".join(data for _, data in pairs)
    where = draw(st.integers(0, len(inputs) - 1))
    if fault == "tensor":
        inputs[where] = draw(changed(inputs[where]))
    elif fault == "tensors":
        again = draw(st.lists(st.sampled_from(inputs), max_size=1))
        inputs = [*draw(st.permutations(inputs)), *again]
    elif fault == "size":
        inputs[where]["parameters"] = {"binary_data_size": draw(st.integers(-3, 40) | anything)}
    document = {"inputs": inputs} | (draw(st.fixed_dictionaries({}, optional=EXTRAS)) if fault == "document" else {})
    header = json.dumps(document).encode()
    body = header + behind
    headers = {"inference-header-content-length": str(len(header))} if behind or draw(st.booleans()) else {}
    headers |= draw(
        st.fixed_dictionaries({}, optional={"accept-encoding": st.sampled_from(["gzip", "gzip;q=0", ",;"])})
    )
    if fault == "length":
        wrong = st.integers(-2, len(body) + 2).map(str) | st.sampled_from(["x", "9" * 30, "0"])
        headers["inference-header-content-length"] = draw(wrong)
    elif fault == "cut":
        body = body[: draw(st.integers(0, len(body)))]
    elif fault == "more":
        body += draw(st.binary(min_size=1, max_size=20))
    elif fault == "deadline":
        headers["x-deadline-ms"] = draw(st.sampled_from(["1", "5000", "0", "soon"]))
        headers["x-priority"] = draw(st.sampled_from(["high", "low", "?"]))
    elif fault == "coding":
        headers["content-encoding"] = draw(st.sampled_from(["gzip", "deflate", "br"]))
        body = draw(st.sampled_from([gzip.compress(body), zlib.compress(body), body, gzip.compress(body)[:-4]]))
    return path, body, headers


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[asyncio.Runner, Running]]:
    """A gateway on a loop that lives as long as this module's tests."""
    with asyncio.Runner() as runner:
        opened = gateway(tmp_path_factory.mktemp("fuzz"))
        running = runner.run(opened.__aenter__())
        yield runner, running
        runner.run(opened.__aexit__(None, None, None))


def check(response: httpx.Response) -> None:
    assert response.status_code in (200, 400, 404, 413, 415, 422, 429, 504), response.text
    assert (
        response.status_code != 504
        or "x-deadline-ms" in response.request.headers
        or b"timeout" in response.request.content
    )
    if response.status_code != 200:
        assert response.json().keys() == {"error"}
        return
    length = response.headers.get("inference-header-content-length")
    document = json.loads(response.content[: int(length)] if length else response.content)
    sizes = [tensor.get("parameters", {}).get("binary_data_size", 0) for tensor in document["outputs"]]
    assert len(response.content) == (int(length) + sum(sizes) if length else len(response.content))


@FUZZ
@given(sent=requests())
def test_no_question_is_answered_with_a_fault_of_the_servers(
    served: tuple[asyncio.Runner, Running], sent: tuple[str, bytes, dict[str, str]]
) -> None:
    runner, g = served
    path, body, headers = sent
    check(runner.run(g.client.post(path, content=body, headers=headers)))


@FUZZ
@given(body=st.binary(max_size=60), length=st.none() | st.integers(0, 70), path=st.sampled_from(PATHS))
def test_no_bytes_are_answered_with_a_fault_of_the_servers(
    served: tuple[asyncio.Runner, Running], body: bytes, length: int | None, path: str
) -> None:
    runner, g = served
    headers = {} if length is None else {"inference-header-content-length": str(length)}
    check(runner.run(g.client.post(path, content=body, headers=headers)))


@settings(FUZZ, max_examples=100)
@given(
    document=st.fixed_dictionaries({}, optional={"ready": anything, "parameters": parameters | anything}) | anything,
    path=st.sampled_from(["/v2/repository/index", "/v2/repository/models/wordpieces/load"]),
)
def test_no_question_about_the_repository_is_answered_with_a_fault_of_the_servers(
    served: tuple[asyncio.Runner, Running], document: Any, path: str
) -> None:
    runner, g = served
    response = runner.run(g.client.post(path, json=document))
    assert response.status_code in (200, 400), response.text
    assert response.status_code == 200 or response.json().keys() == {"error"}


@settings(FUZZ, max_examples=100)
@given(name=words, version=words | st.integers().map(str))
def test_no_name_is_answered_with_a_fault_of_the_servers(
    served: tuple[asyncio.Runner, Running], name: str, version: str
) -> None:
    runner, g = served
    for path in (f"/v2/models/{name}", f"/v2/models/{name}/versions/{version}/stats", f"/v2/models/wordpieces/{name}"):
        try:
            response = runner.run(g.client.get(httpx.URL("http://localhost", path=path)))
        except httpx.InvalidURL:
            continue
        assert response.status_code < 500, response.text


class Refusal(Exception):
    """A fault of the caller's, told as one."""


@st.composite
def calls(draw: st.DrawFn) -> Any:
    """A message with typed or raw contents that is right but for some faults, sometimes none."""
    model = draw(st.sampled_from(sorted(RIGHT)))
    call = message("ModelInferRequest")(model_name=model, id=draw(words))
    typed = draw(st.booleans())
    for right in RIGHT[model]:
        shape, datatype, name = right["shape"], right["datatype"], right["name"]
        fault = draw(st.sampled_from(["none", "none", "none", "shape", "datatype", "name", "data"]))
        small = st.integers(-2, 4) | st.sampled_from([2**31, 2**62, -(2**63)])
        shape = draw(st.lists(small, max_size=9)) if fault == "shape" else shape
        name = draw(names) if fault == "name" else name
        datatype = draw(datatypes) if fault == "datatype" else datatype
        call.inputs.add(name=name, datatype=datatype, shape=shape)
        if not typed:
            lie = st.binary(max_size=24)
            call.raw_input_contents.append(draw(lie) if fault == "data" else in_binary(right)[1])
        if typed or draw(st.integers(0, 9)) == 0:
            contents = call.inputs[-1].contents
            field = {"BYTES": "bytes_contents", "INT64": "int64_contents", "FP32": "fp32_contents"}[right["datatype"]]
            values = [v.encode() if isinstance(v, str) else v for v in np.array(right["data"]).reshape(-1).tolist()]
            getattr(contents, field).extend(values)
            if fault == "data":
                contents.int64_contents.extend(draw(st.lists(st.integers(-(2**63), 2**63 - 1), max_size=4)))
                contents.fp32_contents.extend(draw(st.lists(st.floats(width=32), max_size=3)))
                contents.bytes_contents.extend(draw(st.lists(st.binary(max_size=9), max_size=3)))
    for name in draw(st.just([]) | st.lists(names, max_size=2)):
        call.outputs.add(name=name)
    return call


@FUZZ
@given(call=calls())
def test_no_message_is_answered_with_a_fault_of_the_servers(served: tuple[asyncio.Runner, Running], call: Any) -> None:
    runner, g = served
    served_gateway = g.app.state.gateway

    async def answer() -> None:
        try:
            await attempt()
        except TidegateError as error:
            if error.status in (400, 413, 422):
                raise Refusal from error
            raise

    async def attempt() -> None:
        target = specs.target_of(served_gateway.repository, call.model_name)
        found = await infer(served_gateway, Asked(target, None, None, ANYONE), rpc_codec.decode(call))
        fields = rpc_codec.encode(found, raw=bool(call.raw_input_contents))
        assert message("ModelInferResponse")(**fields).SerializeToString()

    with contextlib.suppress(Refusal):
        runner.run(answer())
