"""V2 over gRPC beyond what the clients have in common: codes, deadlines, streams, cancelled calls, keys, the end."""

import asyncio
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import numpy as np
import pytest
import tritonclient.grpc
from tritonclient.grpc import model_config_pb2, service_pb2, service_pb2_grpc

from serving.v2 import messages
from serving.v2.port import open_port
from tests import bundles
from tests.faults.faults import until
from tests.protocols.v2_clients import ANSWERS, CALLS, KEY, UP, Client, check_recorded, grpc_address
from tests.protocols.v2_clients import v2_locked as v2_locked
from tests.protocols.v2_clients import v2_server as v2_server
from tests.servers import TIDEGATE, Server, environment, running, tidegate
from tests.serving.apps import Running, gateway
from tidegate.bundle_store import BundleStore
from tidegate.engine import Engine
from tidegate.preprocess import Encoded

Code = grpc.StatusCode


def text_request(*texts: str, model: str = "headlines", **fields: Any) -> Any:
    """A question with typed contents, as plain stubs make it."""
    contents = service_pb2.InferTensorContents(bytes_contents=[text.encode() for text in texts])
    tensor = service_pb2.ModelInferRequest.InferInputTensor(
        name="text", datatype="BYTES", shape=[len(texts)], contents=contents
    )
    return service_pb2.ModelInferRequest(model_name=model, inputs=[tensor], **fields)


def infer(address: str, request: Any, metadata: Sequence[tuple[str, str]] = (), timeout: float = 30) -> Any:
    CALLS.append(("stub", "ModelInfer"))
    with grpc.insecure_channel(address) as channel:
        return service_pb2_grpc.GRPCInferenceServiceStub(channel).ModelInfer(
            request, timeout=timeout, metadata=metadata
        )


def code_of(error: "pytest.ExceptionInfo[grpc.RpcError]") -> Any:
    return error.value.code()


def described(descriptor: Any) -> dict[str, tuple[int, int, bool, str]]:
    """Fields of a message: number, type, repeated, and the message's name."""
    return {
        field.name: (
            field.number,
            field.type,
            field.is_repeated,
            (field.message_type or field.enum_type).full_name if field.message_type or field.enum_type else "",
        )
        for field in descriptor.fields
    }


@pytest.mark.parametrize("name", messages.MESSAGES)
def test_every_message_is_that_of_tritons_client(name: str) -> None:
    outer, *inner = name.split(".")
    theirs = getattr(service_pb2 if hasattr(service_pb2, outer) else model_config_pb2, outer).DESCRIPTOR
    for step in inner:
        theirs = theirs.nested_types_by_name[step]
    known = described(theirs)
    ours = described(messages.message(name).DESCRIPTOR)
    assert ours == {field: known[field] for field in ours}
    left_out = {"ModelConfig", "ModelInput", "ModelOutput", "ModelStatistics"}  # what is not told is not defined
    assert name in left_out or ours == known


def test_the_datatypes_of_a_configuration_are_numbered_as_theirs() -> None:
    theirs = {value.name: value.number for value in model_config_pb2.DataType.DESCRIPTOR.values}
    assert {f"TYPE_{name}": number for number, name in enumerate(messages.DATA_TYPES)} == theirs


@pytest.mark.slow
def test_typed_contents_are_answered_with_typed_contents(v2_server: Server) -> None:
    answer = infer(grpc_address(v2_server), text_request(*ANSWERS, id="7"))
    found = {output.name: output for output in answer.outputs}
    assert [label.decode() for label in found["label"].contents.bytes_contents] == list(ANSWERS.values())
    assert list(found["abstained"].contents.bool_contents) == [False] * 3
    assert (list(found["scores"].shape), len(found["scores"].contents.fp32_contents)) == ([3, 3], 9)
    assert (answer.id, answer.model_version, len(answer.raw_output_contents)) == ("7", "1", 0)


@pytest.mark.slow
def test_typed_integers_go_through_the_graph(v2_server: Server) -> None:
    def tensor(name: str, values: list[int]) -> Any:
        contents = service_pb2.InferTensorContents(int64_contents=values)
        return service_pb2.ModelInferRequest.InferInputTensor(
            name=name, datatype="INT64", shape=[1, 2], contents=contents
        )

    inputs = [tensor("input_ids", [9, 8]), tensor("attention_mask", [1, 1])]
    [output] = infer(
        grpc_address(v2_server), service_pb2.ModelInferRequest(model_name="headlines-tensors", inputs=inputs)
    ).outputs
    assert (list(output.shape), int(np.argmax(output.contents.fp32_contents))) == ([1, 3], 2)


def broken(**fields: Any) -> Any:
    request = text_request(UP)
    for name, value in fields.items():
        setattr(request.inputs[0], name, value)
    return request


def with_raw(*raw: bytes, keep: bool = False) -> Any:
    request = text_request(UP)
    if not keep:
        request.inputs[0].ClearField("contents")
    request.raw_input_contents.extend(raw)
    return request


def shaped(*shape: int) -> Any:
    request = text_request(UP)
    del request.inputs[0].shape[:]
    request.inputs[0].shape.extend(shape)
    return request


@pytest.mark.slow
@pytest.mark.parametrize(
    ("request_", "code", "words"),
    [
        (text_request(UP, model="nobody"), Code.NOT_FOUND, "no model 'nobody'"),
        (text_request(UP, model_version="9"), Code.NOT_FOUND, "version 9"),
        (text_request("   "), Code.INVALID_ARGUMENT, "the text is empty"),
        (text_request(), Code.INVALID_ARGUMENT, "shape of 'text' holds 0"),
        (broken(datatype="INT64"), Code.INVALID_ARGUMENT, "has datatype 'INT64'"),
        (broken(datatype="BF16"), Code.INVALID_ARGUMENT, "has datatype 'BF16'"),
        (broken(name="words"), Code.INVALID_ARGUMENT, "no input 'words'"),
        (shaped(-1), Code.INVALID_ARGUMENT, "shape of 'text' holds -1"),
        (shaped(5), Code.INVALID_ARGUMENT, "holds 1 elements; its shape says 5"),
        (shaped(2**62), Code.INVALID_ARGUMENT, "shape of 'text' holds"),
        (shaped(2**16, 2**16), Code.INVALID_ARGUMENT, "the model takes [-1]"),
        (with_raw(b"", b""), Code.INVALID_ARGUMENT, "2 raw contents for 1 inputs"),
        (with_raw(b"\x09\0\0\0gain"), Code.INVALID_ARGUMENT, "says it has 9 bytes; 4 are left"),
        (with_raw(b"\x04\0\0\0gain", keep=True), Code.INVALID_ARGUMENT, "typed and raw"),
    ],
)
def test_what_is_wrong_is_told_with_its_code_and_its_name(
    v2_server: Server, request_: Any, code: Any, words: str
) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        infer(grpc_address(v2_server), request_)
    assert code_of(caught) is code
    assert words in (caught.value.details() or "")


@pytest.mark.slow
def test_the_calls_own_deadline_holds(v2_server: Server) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        infer(grpc_address(v2_server), text_request(*[UP] * 1000), timeout=0.001)
    assert code_of(caught) in (Code.DEADLINE_EXCEEDED, Code.RESOURCE_EXHAUSTED)
    assert infer(grpc_address(v2_server), text_request(UP)).model_name == "headlines"


@pytest.mark.slow
@pytest.mark.parametrize("packing", [grpc.Compression.Gzip, grpc.Compression.Deflate])
def test_a_message_is_bounded_packed_or_not(v2_locked: Server, packing: Any) -> None:
    metadata = [("authorization", f"Bearer {KEY}")]
    for compression in (None, packing):
        with grpc.insecure_channel(grpc_address(v2_locked), compression=compression) as channel:
            stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
            with pytest.raises(grpc.RpcError) as caught:
                stub.ModelInfer(text_request("profit " * 100_000), metadata=metadata)
            assert code_of(caught) is Code.RESOURCE_EXHAUSTED
            assert stub.ModelInfer(text_request(UP), metadata=metadata).model_name == "headlines"


@pytest.mark.slow
def test_a_stream_answers_each_request_and_goes_on_after_an_error(v2_server: Server) -> None:
    answers: queue.Queue[tuple[Any, Any]] = queue.Queue()
    texts = Client("grpc", v2_server)
    with tritonclient.grpc.InferenceServerClient(grpc_address(v2_server)) as client:
        client.start_stream(lambda result, error: answers.put((result, error)))
        for number, (model, text) in enumerate([("headlines", UP), ("nobody", UP), ("headlines", "loss falls")]):
            CALLS.append(("grpc", "async_stream_infer"))
            client.async_stream_infer(model, [texts.text_input([text])], request_id=str(number))
        got = [answers.get(timeout=20) for _ in range(3)]
        client.stop_stream()
    assert [error is None for _, error in got] == [True, False, True]
    assert "no model 'nobody'" in str(got[1][1])
    assert [result.as_numpy("label")[0] for result, _ in got if result] == [b"positive", b"negative"]


@pytest.mark.slow
def test_a_key_reaches_as_far_as_its_role(tmp_path: Path) -> None:
    bundles.wordpieces(BundleStore(tmp_path / "bundles"), "headlines")
    made = tidegate("keys", "create", "app", "--role", "predict", "--home", tmp_path)
    key = next(word for word in made.stdout.split() if word.startswith("tg_"))
    with running(["serve", "--grpc-port", "0"], tmp_path) as server:
        metadata = [("authorization", f"Bearer {key}")]
        assert infer(grpc_address(server), text_request(UP), metadata).model_name == "headlines"
        with grpc.insecure_channel(grpc_address(server)) as channel:
            stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
            assert stub.RepositoryIndex(service_pb2.RepositoryIndexRequest(), metadata=metadata).models
            for sent, code in ((metadata, Code.PERMISSION_DENIED), ([], Code.UNAUTHENTICATED)):
                with pytest.raises(grpc.RpcError) as caught:
                    stub.RepositoryModelUnload(
                        service_pb2.RepositoryModelUnloadRequest(model_name="headlines"), metadata=sent
                    )
                assert code_of(caught) is code


@pytest.mark.slow
def test_without_a_key_what_a_proxy_hands_on_is_refused(v2_server: Server) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        infer(grpc_address(v2_server), text_request(UP), [("x-forwarded-for", "192.0.2.1")])
    assert code_of(caught) is Code.PERMISSION_DENIED


@pytest.mark.slow
def test_a_server_that_leaves_says_so_serves_on_and_finishes_what_it_took(tmp_path: Path) -> None:
    bundles.wordpieces(BundleStore(tmp_path / "bundles"), "headlines")
    with running(["serve", "--grpc-port", "0"], tmp_path, TIDEGATE_LAME_DUCK_SECONDS="2") as server:
        address = grpc_address(server)
        with grpc.insecure_channel(address) as channel:
            stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
            assert stub.ServerReady(service_pb2.ServerReadyRequest()).ready is True
            server.process.send_signal(signal.SIGTERM)
            time.sleep(0.5)
            assert stub.ServerReady(service_pb2.ServerReadyRequest()).ready is False
            assert stub.ServerLive(service_pb2.ServerLiveRequest()).live is True
            answered = 0
            with pytest.raises(grpc.RpcError) as caught:  # noqa: PT012  # at last
                while True:
                    stub.ModelInfer(text_request(UP), timeout=10)
                    answered += 1
            assert code_of(caught) is Code.UNAVAILABLE
            assert answered
        server.process.wait(timeout=20)
        assert server.process.returncode == 0


@pytest.mark.slow
def test_workers_share_the_port(tmp_path: Path) -> None:
    bundles.wordpieces(BundleStore(tmp_path / "bundles"), "headlines")
    with running(["serve", "--grpc-port", "0", "--workers", "2"], tmp_path) as server:
        address = grpc_address(server)
        until(lambda: "".join(server.stderr).count(f"gRPC on {address}") == 2)  # the first was ready, one waits for it
        for _ in range(12):  # each channel is a connection that the kernel gives to one of them
            assert infer(address, text_request(UP)).model_name == "headlines"


@pytest.mark.slow
def test_a_port_that_is_taken_is_told_at_once(tmp_path: Path) -> None:
    bundles.wordpieces(BundleStore(tmp_path / "bundles"), "headlines")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = tidegate("serve", "--grpc-port", str(port), "--port", "0", "--home", tmp_path, check=False)
    assert done.returncode == 2
    assert f"cannot listen on 127.0.0.1:{port} for gRPC" in " ".join(done.stderr.split())
    done = tidegate("serve", "--grpc-port", "4711", "--port", "4711", "--home", tmp_path, check=False)
    assert (done.returncode, "cannot be both" in " ".join(done.stderr.split())) == (2, True)


@pytest.mark.slow
def test_who_wants_no_grpc_does_not_load_it() -> None:
    code = "import sys, serving.app, tidegate.cli.gateway; sys.exit('grpc' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, env=environment()).returncode == 0
    assert TIDEGATE[0] == sys.executable


@asynccontextmanager
async def open_here(home: Path, **settings: Any) -> AsyncIterator[tuple[Running, Any]]:
    """A gateway with a gRPC port in this process, and a stub of ours for it."""
    async with (
        gateway(home, **settings) as running,
        open_port(running.app.state.gateway, 0) as port,
        grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel,
    ):
        yield running, service_pb2_grpc.GRPCInferenceServiceStub(channel)


def hold(g: Running, model: str) -> Callable[[], None]:
    """Have a model's tokenizer wait; returns what lets it go on."""
    gate = threading.Event()
    engine = g.app.state.gateway.repository.get(model).engine
    encode = engine.encode

    class Gated(Engine):
        def encode(self, texts: Sequence[str]) -> list[Encoded]:
            if not gate.wait(20):
                raise TimeoutError
            rows: list[Encoded] = encode(texts)
            return rows

    engine.__class__ = Gated
    return gate.set


async def eventually(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < until, "it never came to be"
        await asyncio.sleep(0.005)


def test_a_call_that_is_cancelled_gives_its_place_back(tmp_path: Path) -> None:
    async def main() -> None:
        async with open_here(tmp_path, max_queued=2) as (g, stub):
            figure = g.registry.get_sample_value
            in_flight = ("tidegate_requests_in_flight", {"model": "wordpieces"})
            left = ("tidegate_requests_total", {"model": "wordpieces", "outcome": "499"})
            release = hold(g, "wordpieces")
            calls = [stub.ModelInfer(text_request(UP, model="wordpieces")) for _ in range(2)]
            waiting = [asyncio.ensure_future(call) for call in calls]
            await eventually(lambda: figure(*in_flight) == 2)
            for call in calls:
                call.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)
            await eventually(lambda: figure(*in_flight) == 0 and figure(*left) == 2)
            release()
            answer = await stub.ModelInfer(text_request(UP, model="wordpieces"))
            assert answer.model_name == "wordpieces"

    asyncio.run(main())


def test_a_server_that_stops_finishes_what_it_took_and_takes_no_more(tmp_path: Path) -> None:
    async def main() -> None:
        async with gateway(tmp_path, drain_seconds=10) as g:
            opened = open_port(g.app.state.gateway, 0)
            port = await opened.__aenter__()
            async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
                stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
                release = hold(g, "wordpieces")
                taken = asyncio.ensure_future(stub.ModelInfer(text_request(UP, model="wordpieces")))
                in_flight = ("tidegate_requests_in_flight", {"model": "wordpieces"})
                await eventually(lambda: g.registry.get_sample_value(*in_flight) == 1)
                leaving = asyncio.create_task(opened.__aexit__(None, None, None))
                await asyncio.sleep(0.05)
                with pytest.raises(grpc.aio.AioRpcError) as caught:
                    await stub.ModelInfer(text_request(UP, model="wordpieces"))
                assert caught.value.code() is Code.UNAVAILABLE
                release()
                assert (await taken).model_name == "wordpieces"
                await leaving

    asyncio.run(main())


def test_an_idle_stream_does_not_hold_up_the_end(tmp_path: Path) -> None:
    async def main() -> None:
        async with gateway(tmp_path, drain_seconds=60) as g:
            opened = open_port(g.app.state.gateway, 0)
            port = await opened.__aenter__()
            async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
                stream = service_pb2_grpc.GRPCInferenceServiceStub(channel).ModelStreamInfer()
                await stream.write(text_request(UP, model="wordpieces"))
                assert (await stream.read()).infer_response.model_name == "wordpieces"
                await asyncio.wait_for(opened.__aexit__(None, None, None), 10)
                with pytest.raises(grpc.aio.AioRpcError) as caught:
                    await stream.read()
                assert caught.value.code() is Code.UNAVAILABLE

    asyncio.run(main())


def test_a_fault_of_ours_is_told_without_its_words(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with open_here(tmp_path) as (g, stub):
            g.app.state.gateway.repository.get("wordpieces").manifest.__dict__["labels"] = None  # breaks what reads it
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await stub.ModelMetadata(service_pb2.ModelMetadataRequest(name="wordpieces"))
            assert (caught.value.code(), "its log has the cause" in (caught.value.details() or "")) == (
                Code.INTERNAL,
                True,
            )

    asyncio.run(main())
    assert "TypeError" in caplog.text


@pytest.mark.slow
def test_enough_calls_were_recorded(request: pytest.FixtureRequest) -> None:
    check_recorded(request, ("stub",), 15)
