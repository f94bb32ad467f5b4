import asyncio
import base64
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from monitoring.features import Seen
from monitoring.reference import load_reference
from serving.rollout import difference
from tests import bundles
from tests.serving.apps import Running, on_gateway
from tidegate.bundle import Manifest
from tidegate.bundle_store import BundleStore
from tidegate.tasks import Answer

UP, DOWN = "profit rises", "loss falls"
LONG = " ".join(["profit"] * 100)


def store(home: Path) -> BundleStore:
    found = BundleStore(home / "bundles")
    bundles.embedder(found)
    return found


def on_embedder(home: Path, scenario: Any, **options: Any) -> None:
    store(home)
    on_gateway(home, scenario, **options)


async def ask(running: Running, body: Any, path: str = "/models/embedder/predict") -> httpx.Response:
    return await running.client.post(path, json=body)


def test_texts_become_vectors_in_hugging_faces_shape(tmp_path: Path) -> None:
    async def scenario(running: Running) -> None:
        one, two = await ask(running, {"inputs": UP}), await ask(running, {"inputs": [UP, DOWN]})
        assert [len(row) for row in one.json()] == [3]
        assert one.json()[0] == two.json()[0]
        assert np.linalg.norm(two.json(), axis=1) == pytest.approx([1.0, 1.0], abs=1e-6)
        assert np.dot(*two.json()) < 0
        for header in ("x-prediction-id", "x-model-version", "x-variant", "server-timing"):
            assert one.headers[header]

    on_embedder(tmp_path, scenario)


def test_a_batch_of_callers_gets_each_its_own_vector(tmp_path: Path) -> None:
    texts = bundles.headlines(60, seed=4)

    async def scenario(running: Running) -> None:
        alone = [(await ask(running, {"inputs": text})).json()[0] for text in texts]
        together = await asyncio.gather(*(ask(running, {"inputs": text}) for text in texts))
        np.testing.assert_allclose([answer.json()[0] for answer in together], alone, atol=1e-6)

    on_embedder(tmp_path, scenario)


def test_dimensions_cut_vectors_and_bring_them_to_length_one(tmp_path: Path) -> None:
    async def scenario(running: Running) -> None:
        whole = (await ask(running, {"inputs": UP})).json()[0]
        [cut] = (await ask(running, {"inputs": UP, "dimensions": 2})).json()
        np.testing.assert_allclose(cut, np.array(whole[:2]) / np.linalg.norm(whole[:2]), atol=1e-6)
        inside = await ask(running, {"inputs": UP, "parameters": {"dimensions": 2}})
        assert inside.json() == [cut]

    on_embedder(tmp_path, scenario)


def test_details_name_each_vector(tmp_path: Path) -> None:
    async def scenario(running: Running) -> None:
        answer = (await ask(running, {"inputs": [UP, DOWN], "parameters": {"details": True}})).json()
        assert (answer["model"], answer["version"]) == ("embedder", 1)
        assert [len(row["embedding"]) for row in answer["predictions"]] == [3, 3]
        assert answer["predictions"][1]["id"].endswith(".1")

    on_embedder(tmp_path, scenario)


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({}, 422, "inputs is missing"),
        ({"inputs": []}, 422, "empty list"),
        ({"inputs": " "}, 422, "the text is empty"),
        ({"inputs": [1, 2]}, 422, "token ids are not taken"),
        ({"inputs": [[1, 2]]}, 422, "token ids are not taken"),
        ({"inputs": {"source_sentence": UP}}, 422, "sentences, a list of texts"),
        ({"inputs": UP, "parameters": {"top_k": 2}}, 422, "unknown key 'top_k'"),
        ({"inputs": UP, "parameters": False}, 422, "expected a JSON object"),
        ({"inputs": UP, "dimensions": 0}, 422, "from 1 to 3"),
        ({"inputs": UP, "dimensions": 4}, 422, "from 1 to 3"),
        ({"inputs": UP, "dimensions": True}, 422, "from 1 to 3"),
        ({"inputs": UP, "normalize": False}, 422, "length 1 only"),
        ({"inputs": UP, "normalize": "yes"}, 422, "true or false"),
        ({"inputs": UP, "prompt_name": "query"}, 422, "put the prompt into the text"),
        ({"inputs": UP, "truncation_direction": "left"}, 422, "'left'"),
        ({"inputs": UP, "encoding_format": "base64"}, 422, "'float'"),
        ({"inputs": UP, "encoding_format": 7}, 422, "a number"),
        ({"inputs": [UP, LONG], "truncate": False}, 413, "text 1 has more tokens"),
        ({"inputs": UP, "nonsense": 1}, 422, "unknown key 'nonsense'"),
        ([UP], 422, "expected a JSON object"),
    ],
)
def test_what_cannot_be_embedded_is_refused_with_the_reason(tmp_path: Path, body: Any, status: int, words: str) -> None:
    async def scenario(running: Running) -> None:
        refused = await ask(running, body)
        assert refused.status_code == status
        assert words in refused.json()["detail"]

    on_embedder(tmp_path, scenario)


def test_what_only_labels_have_is_refused_with_the_reason(tmp_path: Path) -> None:
    async def scenario(running: Running) -> None:
        feedback = await ask(running, {"prediction_id": "x", "label": "positive"}, "/models/embedder/feedback")
        assert feedback.status_code == 422
        assert "there is none to correct" in feedback.json()["detail"]
        for path, body in (
            ("/tei/embedder/predict", {"inputs": UP}),
            ("/v1/models/embedder:predict", {"instances": [UP]}),
            ("/models/embedder/invocations", {"inputs": [UP]}),
        ):
            refused = await ask(running, body, path)
            assert refused.status_code in (400, 422)
            assert "embedder' is for embedding" in refused.text

    on_embedder(tmp_path, scenario)


def test_card_and_description_say_what_the_vectors_are(tmp_path: Path) -> None:
    async def scenario(running: Running) -> None:
        described = (await running.client.get("/models/embedder")).json()
        assert (described["task"], described["labels"]) == ("embedding", [])
        assert described["embedding"] == {"dimensions": 3, "pooling": "mean", "normalised": True}
        card = (await running.client.get("/models/embedder/card")).text
        assert "a vector of 3 numbers, length 1, mean pooling" in card
        assert "Worst cosine" in card
        assert "no vectors are recorded" in card
        assert "Labels" not in card

    on_embedder(tmp_path, scenario)


def test_records_of_vectors_have_no_label_and_the_vector_beside_the_text(tmp_path: Path) -> None:
    bundle = bundles.embedder(BundleStore(tmp_path / "bundles"))

    async def scenario(running: Running) -> None:
        vectors = (await ask(running, {"inputs": [UP, LONG]})).json()
        first, second = running.monitor.records
        assert (first.label, first.scores, first.score) == ("", (), 0.0)
        assert (first.row.length, second.row.truncated) == (4, True)
        assert first.embedding is not None
        np.testing.assert_allclose(first.embedding, vectors[0], atol=1e-6)
        reference = load_reference(bundle)
        assert reference.summarise(running.monitor.records, Seen()).sums.shape == reference.summary.sums.shape

    on_gateway(tmp_path, scenario)


@pytest.mark.parametrize(
    ("champion", "challenger", "agreed", "shift"),
    [
        ([1.0, 0.0], [2.0, 0.0], True, 0.0),
        ([1.0, 0.0], [0.6, 0.8], False, -0.4),
        ([0.0, 0.0], [0.0, 0.0], False, -1.0),
        ([1.0, 0.0], [1.0, 0.0, 0.0], False, 0.0),  # of other dimensions, of another task: no shift to speak of
        (Answer("a", 0.5, False, (0.5, 0.5)), [1.0], False, 0.0),
    ],
)
def test_versions_are_compared_by_cosine(champion: Any, challenger: Any, agreed: bool, shift: float) -> None:
    found = difference(champion, challenger)
    assert found[0] is agreed
    assert found[1] == pytest.approx(shift)


def test_a_shadow_of_an_embedder_is_counted(tmp_path: Path) -> None:
    found = store(tmp_path)
    shadow = bundles.embedder(found)
    found.set_alias("embedder", "champion", 1)
    found.set_alias("embedder", "shadow", shadow.manifest.version)

    async def scenario(running: Running) -> None:
        for _ in range(5):
            assert (await ask(running, {"inputs": [UP, DOWN]})).headers["x-model-version"] == "1"
        for _ in range(100):
            versions = (await running.client.get("/models/embedder/traffic")).json()["versions"]
            seen = next(version for version in versions if version["role"] == "shadow")
            if seen["compared"] == 10:
                break
            await asyncio.sleep(0.02)
        assert (seen["compared"], seen["agreement"]) == (10, 1.0)
        assert seen["score_distance"] == pytest.approx(0.0, abs=1e-6)

    on_gateway(tmp_path, scenario)


def test_a_version_of_another_task_never_answers_in_the_wrong_shape(tmp_path: Path) -> None:
    found = store(tmp_path)
    classifier = bundles.wordpieces(found, "embedder")
    found.set_alias("embedder", "champion", 1)
    found.set_alias("embedder", "canary", classifier.manifest.version, 100.0)

    async def scenario(running: Running) -> None:
        refused = await ask(running, {"inputs": UP})
        assert refused.status_code == 503
        assert "is not for embedding" in refused.json()["detail"]
        assert (await ask(running, {"model": "embedder", "input": UP}, "/v1/embeddings")).status_code == 503

    on_gateway(tmp_path, scenario)


def test_v2_gives_vectors_as_one_tensor(tmp_path: Path) -> None:
    async def scenario(running: Running) -> None:
        sent = {"inputs": [{"name": "text", "datatype": "BYTES", "shape": [2], "data": [UP, DOWN]}]}
        answer = (await ask(running, sent, "/v2/models/embedder/infer")).json()
        outputs = {output["name"]: output for output in answer["outputs"]}
        assert outputs.keys() == {"embedding", "id"}
        assert outputs["embedding"]["shape"] == [2, 3]
        expected = (await ask(running, {"inputs": [UP, DOWN]})).json()
        np.testing.assert_allclose(outputs["embedding"]["data"], np.array(expected).ravel(), atol=1e-6)

    on_embedder(tmp_path, scenario)


def test_openai_vectors_in_base64_are_those_in_floats(tmp_path: Path) -> None:
    async def scenario(running: Running) -> None:
        sent = {"model": "embedder", "input": [UP, DOWN]}
        floats = (await ask(running, sent, "/v1/embeddings")).json()
        packed = (await ask(running, sent | {"encoding_format": "base64"}, "/v1/embeddings")).json()
        for one, other in zip(floats["data"], packed["data"], strict=True):
            unpacked = np.frombuffer(base64.b64decode(other["embedding"]), "<f4")
            assert unpacked.tolist() == np.array(one["embedding"], np.float32).tolist()  # to the last bit
        assert floats["usage"] == {"prompt_tokens": 8, "total_tokens": 8}

    on_embedder(tmp_path, scenario)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"embedding": None}, "says what its vectors are"),
        ({"labels": ["a", "b"]}, "has no labels"),
        ({"postprocessing": {"activation": "softmax"}}, "no activation"),
        ({"task": "text-classification"}, "two labels or more"),
        ({"task": "translation"}, "task"),
    ],
)
def test_a_manifest_that_does_not_fit_its_task_is_refused(tmp_path: Path, change: Any, message: str) -> None:
    manifest = bundles.embedder(BundleStore(tmp_path / "bundles")).manifest
    with pytest.raises(ValueError, match=message):
        Manifest.model_validate(manifest.model_dump(mode="json") | change)


def test_manifests_from_before_embeddings_still_load(tmp_path: Path) -> None:
    document = bundles.wordpieces(BundleStore(tmp_path / "bundles")).manifest.model_dump(mode="json")
    del document["embedding"]
    for evidence in document["evidence"]:
        del evidence["mean_cosine"], evidence["worst_cosine"]
    assert Manifest.model_validate(document).task == "text-classification"
