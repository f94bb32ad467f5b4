"""OpenAI's embeddings: asked by the `openai` SDK, sync and async, and by curl, answered as OpenAI does."""

import asyncio
import base64
import json
import subprocess
from typing import Any

import numpy as np
import openai
import pytest

from tests.protocols.embedders import DOWN, FLAT, KEY, LONG, UP
from tests.protocols.embedders import embedding_server as embedding_server
from tests.protocols.embedders import locked_embedder as locked_embedder
from tests.servers import Server

pytestmark = pytest.mark.slow

INPUTS = (UP, [UP], [UP, DOWN], [FLAT, UP, DOWN, UP])


def client(server: Server, **options: Any) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{server.url}/v1", api_key=options.pop("api_key", "none"), **options)


def vectors_of(server: Server, texts: list[str]) -> list[list[float]]:
    """What the bundle answers by Tidegate's own route."""
    with server.client() as http:
        answer: list[list[float]] = http.post("/models/embedder/predict", json={"inputs": texts}).json()
    return answer


@pytest.mark.parametrize("sent", INPUTS, ids=str)
@pytest.mark.parametrize("encoding", ["float", "base64", None])
def test_the_sdk_reads_the_vectors_of_the_bundle(embedding_server: Server, sent: Any, encoding: Any) -> None:
    texts = [sent] if isinstance(sent, str) else sent
    options = {} if encoding is None else {"encoding_format": encoding}
    with client(embedding_server) as sdk:
        answer = sdk.embeddings.create(model="embedder", input=sent, **options)

    assert (answer.object, answer.model) == ("list", "embedder")
    assert [(row.object, row.index) for row in answer.data] == [("embedding", n) for n in range(len(texts))]
    found = [row.embedding for row in answer.data]
    if encoding == "base64":  # asked for by name, the SDK hands it on as it came
        found = [np.frombuffer(base64.b64decode(str(row)), "<f4").tolist() for row in found]
    np.testing.assert_allclose(found, vectors_of(embedding_server, texts), atol=1e-7)
    assert answer.usage.prompt_tokens == answer.usage.total_tokens == sum(len(text.split()) + 2 for text in texts)


@pytest.mark.parametrize("sent", INPUTS, ids=str)
@pytest.mark.parametrize("encoding", ["float", None])
def test_the_async_sdk_reads_the_same(embedding_server: Server, sent: Any, encoding: Any) -> None:
    texts = [sent] if isinstance(sent, str) else sent

    async def ask() -> Any:
        async with openai.AsyncOpenAI(base_url=f"{embedding_server.url}/v1", api_key="none") as sdk:
            options = {} if encoding is None else {"encoding_format": encoding}
            return await sdk.embeddings.create(model="embedder", input=sent, **options)

    found = [row.embedding for row in asyncio.run(ask()).data]
    np.testing.assert_allclose(found, vectors_of(embedding_server, texts), atol=1e-7)


def test_forty_callers_at_once_get_each_their_own(embedding_server: Server) -> None:
    texts = [UP, DOWN, FLAT, f"{UP} {FLAT}"] * 10

    async def ask() -> list[Any]:
        async with openai.AsyncOpenAI(base_url=f"{embedding_server.url}/v1", api_key="none") as sdk:
            return await asyncio.gather(*(sdk.embeddings.create(model="embedder", input=text) for text in texts))

    found = [answer.data[0].embedding for answer in asyncio.run(ask())]
    np.testing.assert_allclose(found, vectors_of(embedding_server, texts), atol=1e-6)


@pytest.mark.parametrize("encoding", ["float", "base64"])
@pytest.mark.parametrize("dimensions", [1, 2, 3])
def test_dimensions_cut_vectors_and_keep_their_length_one(
    embedding_server: Server, dimensions: int, encoding: Any
) -> None:
    with embedding_server.client() as http:
        sent = {"model": "embedder", "input": UP, "dimensions": dimensions, "encoding_format": encoding}
        [row] = http.post("/v1/embeddings", json=sent).json()["data"]
    found = row["embedding"]
    if encoding == "base64":
        found = np.frombuffer(base64.b64decode(found), "<f4")
    whole = np.array(vectors_of(embedding_server, [UP])[0][:dimensions])
    np.testing.assert_allclose(found, whole / np.linalg.norm(whole), atol=1e-6)


def test_long_texts_are_cut_and_counted_as_cut(embedding_server: Server) -> None:
    with client(embedding_server) as sdk:
        answer = sdk.embeddings.create(model="embedder", input=LONG, user="somebody")

    assert answer.usage.total_tokens == 64


@pytest.mark.parametrize(
    ("change", "param", "words"),
    [
        ({"input": []}, "input", "the list is empty"),
        ({"input": ""}, "input", "the text is empty"),
        ({"input": ["", UP]}, "input", "the text is empty"),
        ({"input": [7, 8]}, "input", "token arrays are not taken"),
        ({"input": [[7, 8], [9]]}, "input", "token arrays are not taken"),
        ({"input": [UP, 7]}, "input", "expected a text, got a number"),
        ({"dimensions": 4}, "dimensions", "from 1 to 3"),
        ({"dimensions": 0}, "dimensions", "from 1 to 3"),
        ({"encoding_format": "int8"}, "encoding_format", "'int8'"),
        ({"model": ""}, "model", "model is missing"),
        ({"model": "headlines"}, None, "is for text-classification"),
        ({"extra_body": {"prompt": "x"}}, "prompt", "unknown key 'prompt'"),
    ],
)
def test_faults_are_bad_requests_that_name_the_parameter(
    embedding_server: Server, change: dict[str, Any], param: str | None, words: str
) -> None:
    request: dict[str, Any] = {"model": "embedder", "input": UP} | change
    with client(embedding_server) as sdk, pytest.raises(openai.BadRequestError) as caught:
        sdk.embeddings.create(**request)

    assert caught.value.status_code == 400
    assert (caught.value.type, caught.value.param) == ("invalid_request_error", param)
    assert words in str(caught.value)


def test_a_model_that_is_not_served_is_not_found(embedding_server: Server) -> None:
    with client(embedding_server) as sdk, pytest.raises(openai.NotFoundError) as caught:
        sdk.embeddings.create(model="text-embedding-3-small", input=UP)

    assert (caught.value.code, caught.value.param) == ("model_not_found", "model")


def test_models_are_listed_and_described(embedding_server: Server) -> None:
    with client(embedding_server) as sdk:
        listed = {model.id: model for model in sdk.models.list()}
        one = sdk.models.retrieve("embedder")
        with pytest.raises(openai.NotFoundError):
            sdk.models.retrieve("nobody")

    assert listed.keys() == {"embedder", "headlines"}
    assert (one.id, one.object, one.owned_by) == ("embedder", "model", "tidegate")
    assert one.created == listed["embedder"].created > 0


def test_the_key_is_asked_for_and_taken(locked_embedder: Server) -> None:
    with client(locked_embedder, api_key=KEY) as sdk:
        assert len(sdk.embeddings.create(model="embedder", input=UP).data[0].embedding) == 3
    with client(locked_embedder, api_key="another") as sdk, pytest.raises(openai.AuthenticationError):
        sdk.embeddings.create(model="embedder", input=UP)


@pytest.mark.parametrize(
    ("sent", "status", "words"),
    [
        ([UP] * 21, 413, "21 texts and 20 may come"),
        ("a " * 6_000, 413, "more than 10000 bytes"),
        ("a" * 300, 400, "200 are the most"),
    ],
)
def test_limits_are_kept(locked_embedder: Server, sent: Any, status: int, words: str) -> None:
    with client(locked_embedder, api_key=KEY) as sdk, pytest.raises(openai.APIStatusError) as caught:
        sdk.embeddings.create(model="embedder", input=sent)

    assert caught.value.status_code == status
    assert words in str(caught.value)


@pytest.mark.parametrize(("content", "kind"), [(b"{", "application/json"), (b"{}", "text/plain")])
def test_what_cannot_be_read_is_told_in_openais_words(embedding_server: Server, content: bytes, kind: str) -> None:
    with embedding_server.client() as http:
        refused = http.post("/v1/embeddings", content=content, headers={"content-type": kind})

    assert refused.status_code == (400 if kind == "application/json" else 415)
    assert refused.json()["error"].keys() == {"message", "type", "param", "code"}


def test_curl(embedding_server: Server) -> None:
    sent = json.dumps({"model": "embedder", "input": UP})
    command = ["curl", "-sS", f"{embedding_server.url}/v1/embeddings", "-H", "content-type: application/json"]
    answer = json.loads(subprocess.run([*command, "-d", sent], capture_output=True, check=True).stdout)

    assert answer["data"][0]["embedding"] == vectors_of(embedding_server, [UP])[0]
