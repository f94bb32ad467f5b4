"""Open Inference Protocol V2, asked by Triton's clients: HTTP and gRPC, synchronous and asyncio, all four alike."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from tritonclient.utils import InferenceServerException

from tests.protocols.v2_clients import ANSWERS, CLIENTS, DOWN, FLAT, KEY, UP, Client, check_recorded
from tests.protocols.v2_clients import client as client
from tests.protocols.v2_clients import stranger as stranger
from tests.protocols.v2_clients import v2_locked as v2_locked
from tests.protocols.v2_clients import v2_server as v2_server

pytestmark = [
    pytest.mark.slow,
    # Triton's asyncio client leaves the answers of is_..._ready unread, and aiohttp complains of their connections.
    pytest.mark.filterwarnings("ignore:Unclosed connection:ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

IDS = np.array([[2, 9, 8, 3], [2, 5, 4, 3]], dtype=np.int64)  # [CLS] profit rises [SEP]; [CLS] fell falls [SEP]
STATUSES = {400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 404: "NOT_FOUND", 413: "INVALID_ARGUMENT"}
STATUSES |= {422: "INVALID_ARGUMENT", 503: "UNAVAILABLE", 504: "DEADLINE_EXCEEDED"}


def labels(result: Any, output: str = "label") -> list[str]:
    return [label.decode() if isinstance(label, bytes) else label for label in result.as_numpy(output)]


def tensor_inputs(client: Client, ids: Any = IDS, **form: Any) -> list[Any]:
    mask = np.ones_like(ids)
    return [client.input("input_ids", ids, "INT64", **form), client.input("attention_mask", mask, "INT64", **form)]


def check_refused(client: Client, caught: "pytest.ExceptionInfo[InferenceServerException]", status: int) -> None:
    told = caught.value.status()
    assert told == (str(status) if client.kind.startswith("http") else f"StatusCode.{STATUSES[status]}")


def test_the_server_says_what_it_is_and_that_it_is_ready(client: Client) -> None:
    assert client.is_server_live() is True
    assert client.is_server_ready() is True
    about = client.get_server_metadata()
    assert about["name"] == "tidegate"
    assert {"binary_tensor_data", "model_repository", "statistics"} <= set(about["extensions"])


@pytest.mark.parametrize("version", ["", "1"])
@pytest.mark.parametrize("model", ["headlines", "headlines-tensors", "topics", "vectors"])
def test_a_model_is_ready(client: Client, model: str, version: str) -> None:
    assert client.is_model_ready(model, version) is True


def test_a_version_that_is_not_there_is_not_ready(client: Client) -> None:
    assert client.is_model_ready("headlines", "7") is False


def tensors(described: Any) -> dict[str, tuple[str, list[int]]]:
    return {each["name"]: (each["datatype"], [int(size) for size in each["shape"]]) for each in described}


@pytest.mark.parametrize("version", ["", "1"])
def test_metadata_names_inputs_and_outputs(client: Client, version: str) -> None:
    about = client.get_model_metadata("headlines", version)
    assert (about["name"], about["versions"], about["platform"]) == ("headlines", ["1"], "onnxruntime_onnx")
    assert tensors(about["inputs"]) == {"text": ("BYTES", [-1])}
    assert tensors(about["outputs"]) == {
        "label": ("BYTES", [-1]),
        "score": ("FP32", [-1]),
        "abstained": ("BOOL", [-1]),
        "scores": ("FP32", [-1, 3]),
        "labels": ("BYTES", [3]),
        "id": ("BYTES", [-1]),
    }


def test_metadata_of_a_graph_is_its_own(client: Client) -> None:
    about = client.get_model_metadata("headlines-tensors")
    assert tensors(about["inputs"]) == {"input_ids": ("INT64", [-1, -1]), "attention_mask": ("INT64", [-1, -1])}
    assert tensors(about["outputs"]) == {"logits": ("FP32", [-1, 3])}
    assert tensors(client.get_model_metadata("topics-tensors")["inputs"]) == {
        "indices": ("INT64", [-1, -1]),
        "values": ("FP32", [-1, -1]),
    }


def test_the_configuration_is_that_of_a_model_without_batches_of_its_own(client: Client) -> None:
    config = client.get_model_config("headlines")
    config = config.get("config", config)
    assert config["name"] == "headlines"
    assert config.get("max_batch_size", 0) == 0
    assert [(each["name"], each["data_type"]) for each in config["input"]] == [("text", "TYPE_STRING")]


def test_the_index_has_every_model_twice(client: Client) -> None:
    index = client.get_model_repository_index()
    assert {each["name"] for each in index} == {
        name + suffix for name in ("headlines", "topics", "vectors") for suffix in ("", "-tensors")
    }
    assert all(each["state"] == "READY" and each["version"] == "1" for each in index)


@pytest.mark.parametrize("text", ANSWERS)
@pytest.mark.parametrize("model", ["headlines", "topics"])
def test_a_text_gets_its_label(client: Client, model: str, text: str) -> None:
    result = client.infer_texts(model, [text])
    assert result.get_response() is not None
    assert labels(result, "labels") == ["negative", "neutral", "positive"]
    scores = result.as_numpy("scores")
    best = labels(result, "labels")[int(scores[0].argmax())]
    assert best == ANSWERS[text]
    assert result.as_numpy("score") == pytest.approx(scores.max(axis=1))
    abstained = bool(result.as_numpy("abstained")[0])
    assert labels(result) == ["unsure" if abstained else best]


def test_a_batch_is_answered_in_its_order_as_a_vector_or_a_column(client: Client) -> None:
    texts = [UP, DOWN, FLAT, UP]
    assert labels(client.infer_texts("headlines", texts)) == [ANSWERS[text] for text in texts]
    column = client.input("text", np.array([[text] for text in texts], dtype=object), "BYTES")
    assert labels(client.infer("headlines", [column])) == [ANSWERS[text] for text in texts]


def test_bytes_are_texts_in_utf8(client: Client) -> None:
    assert labels(client.infer_texts("headlines", ["profit rises, größer".encode()])) == ["positive"]


def test_only_the_outputs_that_are_wanted_come(client: Client) -> None:
    result = client.infer_texts("headlines", [UP], outputs=[client.output("score"), client.output("label")])
    assert result.as_numpy("score").dtype == np.float32
    assert labels(result) == ["positive"]
    assert result.as_numpy("scores") is None


def test_the_answer_repeats_the_id_and_names_model_and_version(client: Client) -> None:
    answer = client.infer_texts("headlines", [UP], request_id="job 7", model_version="1").get_response()
    if not isinstance(answer, dict):
        answer = {"id": answer.id, "model_name": answer.model_name, "model_version": answer.model_version}
    assert (answer["id"], answer["model_name"], answer["model_version"]) == ("job 7", "headlines", "1")


def test_priority_and_timeout_are_taken(client: Client) -> None:
    assert labels(client.infer_texts("headlines", [UP], priority=1, timeout=5_000_000)) == ["positive"]


def test_a_timeout_that_nobody_could_keep_is_refused_at_once_or_answered_504(client: Client) -> None:
    with pytest.raises(InferenceServerException) as caught:
        client.infer_texts("headlines", [UP] * 1000, timeout=1)
    assert caught.value.status() in ("429", "504", "StatusCode.DEADLINE_EXCEEDED", "StatusCode.RESOURCE_EXHAUSTED")


def test_an_embedding_has_its_dimensions(client: Client) -> None:
    [described] = [each for each in client.get_model_metadata("vectors")["outputs"] if each["name"] == "embedding"]
    vectors = client.infer_texts("vectors", [UP, DOWN, UP]).as_numpy("embedding")
    assert vectors.shape == (3, int(described["shape"][1]))
    assert vectors[0] == pytest.approx(vectors[2])
    assert not np.allclose(vectors[0], vectors[1])


def test_tensors_go_through_the_graph_as_they_are(client: Client) -> None:
    logits = client.infer("headlines-tensors", tensor_inputs(client)).as_numpy("logits")
    assert (logits.shape, logits.dtype) == ((2, 3), np.float32)
    assert [["negative", "neutral", "positive"][row] for row in logits.argmax(axis=1)] == ["positive", "negative"]


def test_more_rows_than_a_batch_holds_are_run_in_pieces_and_answered_in_order(client: Client) -> None:
    ids = np.tile(IDS, (150, 1))
    logits = client.infer("headlines-tensors", tensor_inputs(client, ids)).as_numpy("logits")
    assert logits.shape == (300, 3)
    assert np.array_equal(logits, np.tile(logits[:2], (150, 1)))


def test_tensors_of_floats_and_integers_together(client: Client) -> None:
    inputs = [
        client.input("indices", np.array([[5]], dtype=np.int64), "INT64"),
        client.input("values", np.array([[1.0]], dtype=np.float32), "FP32"),
    ]
    [output] = client.get_model_metadata("topics-tensors")["outputs"]
    probabilities = client.infer("topics-tensors", inputs).as_numpy(output["name"])
    assert probabilities.shape == (1, 3)
    assert probabilities.sum() == pytest.approx(1.0, abs=1e-5)
    assert probabilities.argmax() == 2  # word 5 is one of the good ones


def test_statistics_count_what_was_answered(client: Client) -> None:
    def read(model: str, version: str = "") -> dict[str, Any]:
        [stats] = client.get_inference_statistics(model, version)["model_stats"]
        assert isinstance(stats, dict)
        return stats

    before = read("headlines")
    client.infer_texts("headlines", [UP, DOWN])
    after = read("headlines", "1")
    assert int(after["inference_count"]) == int(before["inference_count"]) + 2
    assert int(after["inference_stats"]["success"]["count"]) == int(before["inference_stats"]["success"]["count"]) + 1
    assert int(after["last_inference"]) >= int(before["last_inference"])
    assert {each["name"] for each in client.get_inference_statistics()["model_stats"]} >= {"topics", "topics-tensors"}


@pytest.mark.parametrize("name", ["topics", "topics-tensors"])
def test_a_model_is_unloaded_and_loaded_again(client: Client, name: str) -> None:
    client.unload_model(name)
    assert client.is_model_ready("topics") is False
    assert client.is_model_ready("topics-tensors") is False
    [entry] = [each for each in client.get_model_repository_index() if each["name"] == "topics"]
    assert (entry["state"], entry["reason"]) == ("UNAVAILABLE", "unloaded")
    with pytest.raises(InferenceServerException, match="is unloaded") as caught:
        client.infer_texts("topics", [UP])
    check_refused(client, caught, 503)
    client.load_model(name)
    assert client.is_model_ready("topics") is True
    assert labels(client.infer_texts("topics", [UP]), "labels") == ["negative", "neutral", "positive"]


def test_what_is_not_there_is_not_found(client: Client) -> None:
    calls: tuple[Callable[[], Any], ...] = (
        lambda: client.infer_texts("nobody", [UP]),
        lambda: client.infer_texts("nobody-tensors", [UP]),
        lambda: client.infer_texts("headlines", [UP], model_version="7"),
        lambda: client.get_model_metadata("nobody"),
        lambda: client.get_model_metadata("headlines", "x"),
        lambda: client.get_inference_statistics("nobody"),
        lambda: client.load_model("nobody"),
        lambda: client.load_model("no such name"),
        lambda: client.unload_model("nobody"),
    )
    for call in calls:
        with pytest.raises(InferenceServerException) as caught:
            call()
        check_refused(client, caught, 404)


@pytest.mark.parametrize(
    ("config", "files"), [("{}", None), ("{}", {"file:1/model.onnx": b"graph"})], ids=["configuration", "files"]
)
def test_a_load_that_brings_its_own_model_is_refused(client: Client, config: str, files: Any) -> None:
    with pytest.raises(InferenceServerException, match="exported and verified") as caught:
        client.load_model("headlines", config=config, files=files)
    check_refused(client, caught, 400)


@pytest.mark.parametrize("datatype", ["INT8", "INT32", "UINT64", "FP16", "FP32", "FP64", "BOOL"])
def test_another_datatype_than_the_models_is_refused_by_name(client: Client, datatype: str) -> None:
    dtype = {"INT8": "i1", "INT32": "i4", "UINT64": "u8", "FP16": "f2", "FP32": "f4", "FP64": "f8", "BOOL": "?"}
    ids = client.input("input_ids", IDS.astype(dtype[datatype]), datatype)
    mask = client.input("attention_mask", np.ones_like(IDS), "INT64")
    with pytest.raises(InferenceServerException, match=f"'input_ids' has datatype '{datatype}'.*INT64") as caught:
        client.infer("headlines-tensors", [ids, mask])
    check_refused(client, caught, 400)


def test_inputs_that_are_missing_unknown_or_there_twice_are_refused(client: Client) -> None:
    ids, mask = tensor_inputs(client)
    for inputs, words in (
        ([ids], "'attention_mask' is missing"),
        ([ids, mask, ids], "'input_ids' is there twice"),
        ([ids, client.text_input([UP])], "no input 'text'"),
    ):
        with pytest.raises(InferenceServerException, match=words) as caught:
            client.infer("headlines-tensors", inputs)
        check_refused(client, caught, 400)


def test_an_output_that_the_model_does_not_have_is_refused(client: Client) -> None:
    with pytest.raises(InferenceServerException, match="no output 'logits'; the model gives: label") as caught:
        client.infer_texts("headlines", [UP], outputs=[client.output("logits")])
    check_refused(client, caught, 400)


def test_a_classification_is_refused(client: Client) -> None:
    with pytest.raises(InferenceServerException, match="classification") as caught:
        client.infer_texts("headlines", [UP], outputs=[client.output("scores", class_count=2)])
    check_refused(client, caught, 400)


def test_shapes_that_do_not_fit_are_refused(client: Client) -> None:
    for inputs, words, status in (
        ([client.input("text", np.full((2, 2), UP, dtype=object), "BYTES")], r"is \[2, 2\]; the model takes", 400),
        ([client.text_input(["  "])], "the text is empty", 422),
        ([client.text_input([b"\xff\xfe"])], "not UTF-8", 400),
        ([client.text_input([UP] * 2000)], "2000 texts", 413),
    ):
        with pytest.raises(InferenceServerException, match=words) as caught:
            client.infer("headlines", inputs)
        check_refused(client, caught, status)


def test_tensors_that_the_graph_cannot_run_are_the_callers_fault_and_harm_nobody(client: Client) -> None:
    with pytest.raises(InferenceServerException, match="could not run these tensors") as caught:
        client.infer("headlines-tensors", tensor_inputs(client, np.array([[10**9]], dtype=np.int64)))
    check_refused(client, caught, 422)
    assert "/" not in caught.value.message().replace("/inputs", "")
    ids, mask = tensor_inputs(client)[0], tensor_inputs(client, IDS[:1])[1]
    with pytest.raises(InferenceServerException, match="differ in their rows") as caught:
        client.infer("headlines-tensors", [ids, mask])
    check_refused(client, caught, 422)
    with pytest.raises(InferenceServerException, match="rows of 5000 values") as caught:
        client.infer("headlines-tensors", tensor_inputs(client, np.ones((1, 5000), dtype=np.int64)))
    check_refused(client, caught, 413)
    assert client.infer("headlines-tensors", tensor_inputs(client)).as_numpy("logits").shape == (2, 3)


def test_without_the_key_only_health_is_told(stranger: Client) -> None:
    assert stranger.is_server_live() is True
    assert stranger.is_server_ready() is True
    calls: tuple[Callable[[], Any], ...] = (
        stranger.get_server_metadata,
        stranger.get_model_repository_index,
        lambda: stranger.get_model_metadata("headlines"),
        lambda: stranger.infer_texts("headlines", [UP]),
        lambda: stranger.infer_texts("headlines", [UP], headers={"authorization": "Bearer another"}),
        lambda: stranger.unload_model("headlines"),
    )
    for call in calls:
        with pytest.raises(InferenceServerException, match="key") as caught:
            call()
        check_refused(stranger, caught, 401)


def test_with_the_key_everything_is_answered(stranger: Client) -> None:
    for headers in ({"authorization": f"Bearer {KEY}"}, {"x-api-key": KEY}):
        assert labels(stranger.infer_texts("headlines", [UP], headers=headers)) == ["positive"]
        assert stranger.get_model_metadata("headlines", headers=headers)["name"] == "headlines"


def test_the_limits_are_those_of_every_protocol(stranger: Client) -> None:
    headers = {"authorization": f"Bearer {KEY}"}
    with pytest.raises(InferenceServerException, match="holds 21 texts") as caught:
        stranger.infer_texts("headlines", [UP] * 21, headers=headers)
    check_refused(stranger, caught, 413)
    with pytest.raises(InferenceServerException) as caught:
        stranger.infer_texts("headlines", ["profit " * 2000], headers=headers)
    assert caught.value.status() in ("413", "StatusCode.RESOURCE_EXHAUSTED")  # grpc's own code for a long message


def test_enough_calls_were_recorded(request: pytest.FixtureRequest) -> None:
    check_recorded(request, CLIENTS, 250)
