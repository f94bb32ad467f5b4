import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from exporters.layouts import recognise
from exporters.quantize import dynamic_int8
from exporters.ready import draft_ready
from tests.exporters.models import EVALUATION, LABELS, tiny_bert
from tidegate.devices import choose
from tidegate.errors import UnsupportedSource
from tidegate.session import Session

TEXTS = [text for text, _ in EVALUATION]


@pytest.fixture
def ready(tmp_path: Path) -> Path:
    """What `optimum-cli export onnx` leaves behind."""
    from exporters.convert import to_onnx

    checkpoint, folder = tiny_bert(tmp_path / "m"), tmp_path / "ready"
    folder.mkdir()
    to_onnx(recognise(checkpoint), folder, trust_pickle=False)
    for name in ("config.json", "tokenizer_config.json"):
        (folder / name).write_text((checkpoint / name).read_text())
    return folder


def test_an_exported_model_is_taken_as_it_is(ready: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    draft = draft_ready(recognise(ready), out)
    assert draft.labels == LABELS
    assert (draft.variant.name, draft.variant.max_batch_size) == ("fp32", 64)
    assert draft.preprocessing.model_dump()["max_tokens"] == 48
    assert (out / "model.onnx").read_bytes() == (ready / "model.onnx").read_bytes()
    assert draft.predict(TEXTS).std(axis=0).min() > 0.01


def test_an_exported_model_without_embeddings_gets_them_beside_the_same_logits(ready: Path, tmp_path: Path) -> None:
    graph = onnx.load(str(ready / "model.onnx"))
    names = [entry.name for entry in graph.graph.input]
    onnx.save(onnx.utils.Extractor(graph).extract_model(names, ["logits"]), str(ready / "model.onnx"))
    out = tmp_path / "out"
    out.mkdir()
    draft = draft_ready(recognise(ready), out)
    assert [(spec.name, spec.shape) for spec in draft.outputs] == [("logits", (-1, 3)), ("embedding", (-1, 64))]
    ids = np.array([[2, 9, 8, 3], [2, 7, 3, 0]])
    known = {"input_ids": ids, "attention_mask": (ids > 0).astype(np.int64), "token_type_ids": np.zeros_like(ids)}
    feeds = {name: known[name] for name in names}
    before, after = (Session.open(folder / "model.onnx", choose("cpu", ()), 1).run(feeds) for folder in (ready, out))
    np.testing.assert_array_equal(before.first, after.first)
    assert before.embedding is None
    assert after.embedding is not None
    assert after.embedding.shape == (2, 64)


def test_a_graph_that_was_quantized_dynamically_is_served_one_text_a_run(ready: Path, tmp_path: Path) -> None:
    next(dynamic_int8(ready, []))
    (ready / "model.int8.onnx").replace(ready / "model.onnx")
    out = tmp_path / "out"
    out.mkdir()
    draft = draft_ready(recognise(ready), out)
    assert (draft.variant.name, draft.variant.precision, draft.variant.max_batch_size) == ("int8", "int8", 1)
    assert draft.rewrites == ()
    together = draft.predict(TEXTS)
    np.testing.assert_allclose(draft.predict(TEXTS[:1])[0], together[0], atol=1e-6)


@pytest.mark.parametrize("id2label", [{}, {"0": "a"}, {"0": "a", "2": "b"}, {"x": "a", "y": "b"}, None])
def test_labels_that_cannot_be_counted_are_refused(ready: Path, tmp_path: Path, id2label: object) -> None:
    (ready / "config.json").write_text(json.dumps({"id2label": id2label}))
    with pytest.raises(UnsupportedSource, match="id2label"):
        draft_ready(recognise(ready), tmp_path)


def test_inputs_that_nobody_can_feed_are_refused_by_name(ready: Path, tmp_path: Path) -> None:
    pixels = helper.make_tensor_value_info("pixel_values", TensorProto.FLOAT, ["batch", 3])
    out = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 3])
    graph = helper.make_graph([helper.make_node("Identity", ["pixel_values"], ["logits"])], "g", [pixels], [out])
    onnx.save(helper.make_model(graph), str(ready / "model.onnx"))
    with pytest.raises(UnsupportedSource, match="pixel_values"):
        draft_ready(recognise(ready), tmp_path)
    (ready / "model.onnx").write_bytes(b"\x00broken")
    with pytest.raises(UnsupportedSource, match="cannot be read as an ONNX model"):
        draft_ready(recognise(ready), tmp_path)


def rewrite_config(ready: Path, **changes: object) -> None:
    config = json.loads((ready / "config.json").read_text())
    (ready / "config.json").write_text(json.dumps(config | changes))


@pytest.mark.parametrize("pad_id", [1, None])
def test_a_roberta_loses_the_positions_before_its_first(ready: Path, tmp_path: Path, pad_id: int | None) -> None:
    rewrite_config(ready, model_type="roberta", max_position_embeddings=514, pad_token_id=pad_id)
    preprocessing = draft_ready(recognise(ready), tmp_path).preprocessing.model_dump()
    assert (preprocessing["max_tokens"], preprocessing["pad_id"]) == (512, 1)


@pytest.mark.parametrize("problem", ["multi_label_classification", "regression"])
def test_another_task_is_refused_by_name(ready: Path, tmp_path: Path, problem: str) -> None:
    rewrite_config(ready, problem_type=problem)
    with pytest.raises(UnsupportedSource, match=problem):
        draft_ready(recognise(ready), tmp_path)
