"""Triton's four clients, unmodified, behind one face, and the servers that they ask; every call is recorded.

The asynchronous ones are driven from `asyncio.run`, a connection a call. `CALLS` holds (client, method) of each call.
"""

import asyncio
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc
import tritonclient.grpc.aio
import tritonclient.http
import tritonclient.http.aio
from numpy.typing import NDArray

from tests import bundles
from tests.servers import Server, running
from tidegate.bundle_store import BundleStore

KEY = "a key that nobody may see"
UP, DOWN, FLAT = "profit rises", "loss falls", "the company met analysts on monday"
ANSWERS = {UP: "positive", DOWN: "negative", FLAT: "neutral"}
CLIENTS = ("http", "http.aio", "grpc", "grpc.aio")
CALLS: list[tuple[str, str]] = []


@dataclass(frozen=True)
class Client:
    """One of Triton's clients; its methods are this one's, and answer dictionaries where gRPC has messages."""

    kind: str
    server: Server

    @property
    def module(self) -> Any:
        return tritonclient.http if self.kind.startswith("http") else tritonclient.grpc

    def __getattr__(self, method: str) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            CALLS.append((self.kind, method))
            if self.kind.startswith("grpc") and method.startswith("get_"):
                options["as_json"] = True
            answer = self._call(method, arguments, options)
            return answer["models"] if method == "get_model_repository_index" and isinstance(answer, dict) else answer

        return call

    def infer_texts(self, model: str, texts: Sequence[str | bytes], **options: Any) -> Any:
        """Ask about texts, in binary."""
        return self.infer(model, [self.text_input(texts)], **options)

    def text_input(self, texts: Sequence[str | bytes], **form: Any) -> Any:
        return self.input("text", np.array(texts, dtype=object), "BYTES", **form)

    def input(self, name: str, array: NDArray[Any], datatype: str, **form: Any) -> Any:
        tensor = self.module.InferInput(name, list(array.shape), datatype)
        tensor.set_data_from_numpy(array, **form)
        return tensor

    def output(self, name: str, **form: Any) -> Any:
        return self.module.InferRequestedOutput(name, **form)

    def _call(self, method: str, arguments: Sequence[Any], options: dict[str, Any]) -> Any:
        address = self.server.url.removeprefix("http://") if self.kind.startswith("http") else grpc_address(self.server)
        if not self.kind.endswith("aio"):
            with self.module.InferenceServerClient(address) as client:
                return getattr(client, method)(*arguments, **options)

        async def ask() -> Any:
            async with self.module.aio.InferenceServerClient(address) as client:
                return await getattr(client, method)(*arguments, **options)

        return asyncio.run(ask())


def grpc_address(server: Server) -> str:
    """Where a server answers gRPC, from what it logged."""
    found = re.search(r"gRPC on (\S+)", "".join(server.stderr))
    assert found, "the server logged no gRPC port"
    return found[1]


@pytest.fixture(scope="session")
def v2_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """`headlines` has a tokenizer, `topics` counts words, `vectors` embeds."""
    store = BundleStore(tmp_path_factory.mktemp("v2") / "bundles")
    bundles.wordpieces(store, "headlines")
    bundles.sentiment(store, "topics", threshold=0.999, fallback="unsure")
    bundles.embedder(store, "vectors")
    with running(["serve", "--grpc-port", "0"], store.root.parent) as server:
        yield server


@pytest.fixture(scope="session")
def v2_locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """`headlines`, for those who hold the key; 20 texts a request, 10 kB."""
    store = BundleStore(tmp_path_factory.mktemp("v2-locked") / "bundles")
    bundles.wordpieces(store, "headlines")
    limits = {"TIDEGATE_MAX_INPUTS": "20", "TIDEGATE_MAX_BODY_BYTES": "10000"}
    with running(["serve", "--grpc-port", "0"], store.root.parent, TIDEGATE_API_KEY=KEY, **limits) as server:
        yield server


@pytest.fixture(params=CLIENTS)
def client(request: pytest.FixtureRequest, v2_server: Server) -> Client:
    return Client(request.param, v2_server)


@pytest.fixture(params=CLIENTS)
def stranger(request: pytest.FixtureRequest, v2_locked: Server) -> Client:
    """A client of the server that asks for a key."""
    return Client(request.param, v2_locked)


def check_recorded(request: pytest.FixtureRequest, kinds: Sequence[str], least: int) -> None:
    """The calls that these clients made, at least so many; when only a part of the tests runs, nothing is asked."""
    if request.config.option.keyword or any("::" in argument for argument in request.config.args):
        pytest.skip("only a part of the tests was asked for")
    made = [method for kind, method in CALLS if kind in kinds]
    assert len(made) >= least, f"{len(made)} calls by {', '.join(kinds)}"
