from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from exporters.convert import Draft, Rewrite, to_onnx
from exporters.embeddings import compact_embeddings
from exporters.first_token import keep_one_token
from exporters.fold import fold_constants
from exporters.int8_graph import dense_layers
from exporters.invariant import calibrate, invariant_int8, most_sensitive
from exporters.layouts import recognise
from exporters.quantize import dynamic_int8, for_gpus, fused, half
from tests.exporters.models import EVALUATION, tiny_bert
from tidegate.bundle import TokenizerPreprocessing, Variant
from tidegate.devices import choose
from tidegate.errors import UnsupportedSource
from tidegate.preprocess import Feeds, collate
from tidegate.session import Session
from tidegate.tasks import probabilities
from tidegate.wordpieces import TokenizerPreprocessor

TEXTS = [text for text, _ in EVALUATION]


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Draft, Path]:
    folder = tmp_path_factory.mktemp("bundle")
    layout = recognise(tiny_bert(tmp_path_factory.mktemp("model")))
    return to_onnx(layout, folder, trust_pickle=False), folder


def preprocessor(draft: Draft, folder: Path) -> TokenizerPreprocessor:
    assert isinstance(draft.preprocessing, TokenizerPreprocessing)
    names = [spec.name for spec in draft.inputs]
    return TokenizerPreprocessor(folder / "tokenizer.json", draft.preprocessing, names)


def calibration(draft: Draft, folder: Path) -> Sequence[Feeds]:
    encoder = preprocessor(draft, folder)
    return [collate([row], encoder.pad_values) for row in encoder.encode(TEXTS[:20])]


def answers(draft: Draft, folder: Path, variant: Variant, size: int) -> NDArray[np.float64]:
    session = Session.open(folder / variant.file, choose("cpu", ()), 1)
    encoder = preprocessor(draft, folder)
    rows = encoder.encode(TEXTS)
    batches = [rows[start : start + size] for start in range(0, len(rows), size)]
    feeds = [collate(batch, {name: encoder.pad_values[name] for name in session.inputs}) for batch in batches]
    return probabilities(np.concatenate([session.run(feed).first for feed in feeds]), draft.postprocessing)


@pytest.mark.parametrize(("rewrite", "batch"), [(dynamic_int8, 1), (invariant_int8, 64)])
def test_int8_graphs_are_smaller_and_close(exported: tuple[Draft, Path], rewrite: Rewrite, batch: int) -> None:
    draft, folder = exported
    variant = next(iter(rewrite(folder, calibration(draft, folder))))
    assert (variant.precision, variant.max_batch_size, variant.one_thread_runs) == ("int8", batch, True)
    assert (folder / variant.file).stat().st_size < 0.6 * (folder / "model.onnx").stat().st_size
    assert all(file.is_file() for file in folder.iterdir())  # no scratch folder is left for publishing to trip over
    assert np.abs(answers(draft, folder, variant, 1) - draft.predict(TEXTS)).mean() < 0.05


def test_invariant_answers_do_not_depend_on_batch_mates_and_dynamic_ones_do(exported: tuple[Draft, Path]) -> None:
    draft, folder = exported
    feeds = calibration(draft, folder)

    def difference(rewrite: Rewrite) -> float:
        variant = next(iter(rewrite(folder, feeds)))
        return float(np.abs(answers(draft, folder, variant, 1) - answers(draft, folder, variant, 32)).max())

    assert difference(invariant_int8) < 1e-4
    assert difference(dynamic_int8) > 1e-3


def test_what_stays_in_float32_brings_the_answers_nearer_to_the_source(exported: tuple[Draft, Path]) -> None:
    draft, folder = exported
    source = draft.predict(TEXTS)
    errors = [
        np.abs(answers(draft, folder, variant, 8) - source).mean()
        for variant in invariant_int8(folder, calibration(draft, folder))
    ]

    assert len(errors) == 4
    assert errors[-1] < errors[0]


def test_layers_are_ranked_by_the_harm_that_quantizing_them_does(exported: tuple[Draft, Path]) -> None:
    draft, folder = exported
    model, feeds = onnx.load(str(folder / "model.onnx")), calibration(draft, folder)

    ranked = most_sensitive(model, calibrate(model, feeds), feeds[:8])

    names = [name for group in ranked for name in group]
    assert sorted(names) == sorted(layer.name for layer in dense_layers(model.graph))
    assert {len(group) for group in ranked} == {1, 3}  # query, key and value read the same activation


def test_fusing_changes_no_answer(exported: tuple[Draft, Path]) -> None:
    draft, folder = exported
    (variant,) = fused(folder, [])
    graph = onnx.load(str(folder / variant.file)).graph
    # The last layer, which is computed for one token, is no pattern that onnxruntime knows.
    assert sum(node.op_type == "MultiHeadAttention" for node in graph.node) == 1
    np.testing.assert_allclose(answers(draft, folder, variant, 16), draft.predict(TEXTS), atol=1e-5)


def test_half_precision_is_half_the_size_and_close_and_takes_and_answers_the_same_types(
    exported: tuple[Draft, Path],
) -> None:
    draft, folder = exported
    (variant,) = half(folder, [])
    before, after = (onnx.load(str(folder / name)).graph for name in ("model.onnx", variant.file))

    assert variant.precision == "fp16"
    assert (folder / variant.file).stat().st_size < 0.6 * (folder / "model.onnx").stat().st_size
    assert [(t.name, t.type.tensor_type.elem_type) for t in (*after.input, *after.output)] == [
        (t.name, t.type.tensor_type.elem_type) for t in (*before.input, *before.output)
    ]
    np.testing.assert_allclose(answers(draft, folder, variant, 16), draft.predict(TEXTS), atol=1e-2)


def test_half_precision_is_made_only_where_a_gpu_can_measure_it() -> None:
    assert for_gpus(["CPUExecutionProvider"]) == ()
    assert for_gpus(["CUDAExecutionProvider", "CPUExecutionProvider"]) == (half,)


def test_the_last_layer_is_computed_for_one_token_with_the_same_answers(exported: tuple[Draft, Path]) -> None:
    draft, folder = exported
    graph = onnx.load(str(folder / "model.onnx")).graph

    gathered = [node.output[0] for node in graph.node if node.op_type == "Gather" and "_one_token" in node.output[0]]

    assert len(gathered) == 2  # what attention answers, and the residual beside it
    np.testing.assert_allclose(answers(draft, folder, draft.variant, 16), draft.predict(TEXTS), atol=1e-5)


def test_what_follows_from_shapes_that_never_change_is_folded_and_answers_stay(exported: tuple[Draft, Path]) -> None:
    draft, folder = exported
    model = onnx.load(str(folder / "model.onnx"))

    assert fold_constants(model) >= 2 * 6  # a layer's scale of attention
    assert not any(node.op_type == "Sqrt" for node in model.graph.node)

    onnx.checker.check_model(model)
    onnx.save(model, str(folder / "folded.onnx"))
    folded = draft.variant.model_copy(update={"file": "folded.onnx"})
    np.testing.assert_allclose(answers(draft, folder, folded, 16), answers(draft, folder, draft.variant, 16), atol=1e-6)


def test_a_graph_that_reads_every_token_is_left_as_it_is() -> None:
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["x", "w"], ["h"]),
            helper.make_node("ReduceMean", ["h"], ["y"], axes=[1], keepdims=0),
        ],
        "mean",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", "tokens", 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 4])],
        [numpy_helper.from_array(np.eye(4, dtype=np.float32), "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    before = model.SerializeToString()

    assert keep_one_token(model) == 0
    assert model.SerializeToString() == before


def test_a_graph_that_cannot_be_rewritten_is_unsupported_by_name(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"not a graph")
    rewrites: list[tuple[Rewrite, str]] = [
        (dynamic_int8, "int8"),
        (invariant_int8, "int8-invariant"),
        (fused, "fused"),
        (half, "fp16"),
    ]
    for rewrite, name in rewrites:
        with pytest.raises(UnsupportedSource, match=f"variant {name} cannot be made"):
            list(rewrite(tmp_path, []))


def test_embedding_rows_keep_their_own_scale_beside_a_huge_one(tmp_path: Path) -> None:
    table = np.random.default_rng(0).normal(size=(1200, 8)).astype(np.float32)
    table[7] *= 1000  # one scale for the whole table would round every other row to 0
    model = helper.make_model(
        helper.make_graph(
            [helper.make_node("Gather", ["table", "ids"], ["out"])],
            "embedding",
            [helper.make_tensor_value_info("ids", TensorProto.INT64, ["batch", "tokens"])],
            [helper.make_tensor_value_info("out", TensorProto.FLOAT, ["batch", "tokens", 8])],
            [numpy_helper.from_array(table, "table")],
        ),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )
    compact_embeddings(model)
    onnx.checker.check_model(model)
    onnx.save(model, str(tmp_path / "model.onnx"))
    ids = np.arange(1200).reshape(1, -1)
    out = Session.open(tmp_path / "model.onnx", choose("cpu", ()), 1).run({"ids": ids}).first
    assert (np.abs(out[0] - table) <= np.abs(table).max(axis=1, keepdims=True) / 250).all()
