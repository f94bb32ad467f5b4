"""The second output: the mean of the middle layer, in every variant, beside logits that stay what they were."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from exporters.convert import Draft, Rewrite, to_onnx
from exporters.embedding_output import aligned, append_embedding
from exporters.invariant import invariant_int8
from exporters.layouts import recognise
from exporters.quantize import dynamic_int8, fused, half
from tests.exporters.models import EVALUATION, tiny_bert
from tests.toy_graphs import mean_embedding_graph
from tidegate.bundle import TokenizerPreprocessing, Variant
from tidegate.devices import choose
from tidegate.preprocess import Feeds, collate
from tidegate.session import EMBEDDING, Outputs, Session
from tidegate.wordpieces import TokenizerPreprocessor

TEXTS = [text for text, _ in EVALUATION]
Exported = tuple[Draft, Path, Path]


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    folder, run = tmp_path_factory.mktemp("bundle"), tiny_bert(tmp_path_factory.mktemp("model"))
    return to_onnx(recognise(run), folder, trust_pickle=False), folder, run


def feeds(draft: Draft, folder: Path, size: int) -> Sequence[Feeds]:
    assert isinstance(draft.preprocessing, TokenizerPreprocessing)
    names = [spec.name for spec in draft.inputs]
    encoder = TokenizerPreprocessor(folder / "tokenizer.json", draft.preprocessing, names)
    rows = encoder.encode(TEXTS)
    return [collate(rows[start : start + size], encoder.pad_values) for start in range(0, len(rows), size)]


def run(draft: Draft, folder: Path, file: Path, size: int) -> Outputs:
    session = Session.open(file, choose("cpu", ()), 1)
    parts = [session.run(feed) for feed in feeds(draft, folder, size)]
    embeddings = [part.embedding for part in parts if part.embedding is not None]
    return Outputs(np.concatenate([part.first for part in parts]), np.concatenate(embeddings) if embeddings else None)


def middle_of_source(run: Path) -> NDArray[np.float32]:
    """The mean over a text's tokens of what leaves the first of two layers, in PyTorch."""
    from transformers import AutoTokenizer, BertForSequenceClassification

    model = BertForSequenceClassification.from_pretrained(run).eval()
    batch = AutoTokenizer.from_pretrained(run)(TEXTS, padding=True, return_tensors="pt")
    with torch.inference_mode():
        hidden = model(**batch, output_hidden_states=True).hidden_states[1]  # (texts, tokens, dim)
    weights = batch["attention_mask"].unsqueeze(-1)
    mean: NDArray[np.float32] = ((hidden * weights).sum(dim=1) / weights.sum(dim=1)).numpy()
    return mean


@pytest.mark.parametrize("size", [1, 7, 60])
def test_the_embedding_is_the_mean_of_the_middle_layer_however_texts_are_batched(exported: Exported, size: int) -> None:
    draft, folder, source = exported
    embedding = run(draft, folder, folder / "model.onnx", size).embedding
    assert embedding is not None
    np.testing.assert_allclose(embedding, middle_of_source(source), atol=1e-5)
    assert [(spec.name, spec.shape) for spec in draft.outputs] == [("logits", (-1, 3)), (EMBEDDING, (-1, 64))]


@pytest.mark.parametrize(
    ("rewrite", "size", "tolerance"),
    [(fused, 16, 1e-5), (dynamic_int8, 1, 0.2), (invariant_int8, 16, 0.2), (half, 16, 0.01)],
)
def test_every_variant_has_it_and_answers_what_it_would_without(
    exported: Exported, tmp_path: Path, rewrite: Rewrite, size: int, tolerance: float
) -> None:
    draft, folder, _ = exported
    calibration = feeds(draft, folder, 1)[:20]
    variant = next(iter(rewrite(folder, calibration)))
    bare = onnx.load(str(folder / "model.onnx"))
    first = onnx.utils.Extractor(bare).extract_model([spec.name for spec in draft.inputs], ["logits"])
    onnx.save(first, str(tmp_path / "model.onnx"))
    (tmp_path / "tokenizer.json").write_bytes((folder / "tokenizer.json").read_bytes())
    next(iter(rewrite(tmp_path, calibration)))

    with_it = run(draft, folder, folder / variant.file, size)
    without = run(draft, folder, tmp_path / variant.file, size)
    exact = run(draft, folder, folder / "model.onnx", size).embedding

    assert without.embedding is None
    np.testing.assert_array_equal(with_it.first, without.first)
    assert exact is not None
    assert with_it.embedding is not None
    assert np.abs(with_it.embedding - exact).mean() < tolerance * exact.std()


@pytest.mark.parametrize(("rewrite", "size"), [(dynamic_int8, 1), (invariant_int8, 16)])
def test_rounding_moves_single_embeddings_and_not_their_mean(exported: Exported, rewrite: Rewrite, size: int) -> None:
    draft, folder, _ = exported
    calibration = feeds(draft, folder, 1)
    variant = next(iter(rewrite(folder, calibration)))
    before = run(draft, folder, folder / variant.file, size)
    assert list(aligned([variant], folder, calibration)) == [variant]
    after = run(draft, folder, folder / variant.file, size)
    exact = run(draft, folder, folder / "model.onnx", size).embedding

    np.testing.assert_array_equal(after.first, before.first)
    assert exact is not None
    assert before.embedding is not None
    assert after.embedding is not None
    np.testing.assert_allclose(after.embedding.mean(axis=0), exact.mean(axis=0), atol=1e-4)
    assert np.abs(before.embedding.mean(axis=0) - exact.mean(axis=0)).max() > 1e-3


def test_what_has_no_embedding_is_not_aligned(exported: Exported, tmp_path: Path) -> None:
    draft, folder, _ = exported
    for name in ("model.onnx", "model.int8.onnx"):
        onnx.save(mean_embedding_graph(), str(tmp_path / name))
    before = (tmp_path / "model.int8.onnx").read_bytes()
    variant = Variant(name="int8", file="model.int8.onnx", precision="int8")
    texts = [{name: feed[name] for name in ("input_ids", "attention_mask")} for feed in feeds(draft, folder, 1)]
    texts = [{name: np.minimum(array, 20) for name, array in text.items()} for text in texts]

    assert list(aligned([variant], tmp_path, texts)) == [variant]
    assert list(aligned([draft.variant], folder, [])) == [draft.variant]
    assert (tmp_path / "model.int8.onnx").read_bytes() == before


def test_fusing_still_finds_the_attention_of_the_layer_that_is_read(exported: Exported) -> None:
    _, folder, _ = exported
    (variant,) = fused(folder, [])
    graph = onnx.load(str(folder / variant.file)).graph
    assert sum(node.op_type == "MultiHeadAttention" for node in graph.node) == 1


def test_a_graph_that_has_it_is_left_as_it_is(exported: Exported) -> None:
    draft, folder, _ = exported
    model = onnx.load(str(folder / "model.onnx"))
    before = model.SerializeToString(deterministic=True)
    assert list(append_embedding(model)) == list(draft.outputs[1:])
    assert model.SerializeToString(deterministic=True) == before


def flattened_attention() -> onnx.ModelProto:
    """Queries, keys and values of a tensor whose texts and tokens are one axis: no mean over tokens can be taken."""
    dense = [helper.make_node("MatMul", ["flat", f"w{index}"], [f"h{index}"]) for index in range(3)]
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["hidden"]),
        helper.make_node("Reshape", ["hidden", "shape"], ["flat"]),
        *dense,
        helper.make_node("Sum", ["h0", "h1", "h2"], ["logits"]),
    ]
    weights = {f"w{index}": np.eye(4, dtype=np.float32) for index in range(3)}
    weights |= {"table": np.ones((9, 4), np.float32), "shape": np.array([-1, 4])}
    graph = helper.make_graph(
        nodes,
        "flat",
        [
            helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "tokens"])
            for name in ("input_ids", "attention_mask")
        ],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["rows", 4])],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


@pytest.mark.parametrize("make", [mean_embedding_graph, flattened_attention])
def test_a_graph_without_attention_to_read_goes_without(make: type[onnx.ModelProto]) -> None:
    model = make()
    before = model.SerializeToString(deterministic=True)
    assert append_embedding(model) == ()
    assert model.SerializeToString(deterministic=True) == before


def test_without_an_attention_mask_padding_cannot_be_told_from_text(exported: Exported) -> None:
    _, folder, _ = exported
    model = onnx.load(str(folder / "model.onnx"))
    del model.graph.output[1:]
    next(entry for entry in model.graph.input if entry.name == "attention_mask").name = "mask"
    assert append_embedding(model) == ()
