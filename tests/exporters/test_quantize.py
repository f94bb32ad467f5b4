from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from exporters.convert import Draft, to_onnx
from exporters.embeddings import compact_embeddings
from exporters.layouts import recognise
from exporters.quantize import blockwise_int8, dynamic_int8
from tests.exporters.models import EVALUATION, tiny_bert
from tidegate.bundle import TokenizerPreprocessing, Variant
from tidegate.devices import choose
from tidegate.errors import UnsupportedSource
from tidegate.preprocess import collate
from tidegate.session import Session
from tidegate.tasks import probabilities
from tidegate.wordpieces import TokenizerPreprocessor

TEXTS = [text for text, _ in EVALUATION]


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Draft, Path]:
    folder = tmp_path_factory.mktemp("bundle")
    layout = recognise(tiny_bert(tmp_path_factory.mktemp("model")))
    return to_onnx(layout, folder, trust_pickle=False), folder


def answers(
    draft: Draft, folder: Path, variant: Variant, size: int
) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    session = Session.open(folder / variant.file, choose("cpu", ()), 1)
    assert isinstance(draft.preprocessing, TokenizerPreprocessing)
    preprocessor = TokenizerPreprocessor(folder / "tokenizer.json", draft.preprocessing, session.inputs)
    rows = preprocessor.encode(TEXTS)
    batches = [rows[start : start + size] for start in range(0, len(rows), size)]
    outputs = [session.run(collate(batch, preprocessor.pad_values)) for batch in batches]
    return probabilities(np.concatenate(outputs), draft.postprocessing)


@pytest.mark.parametrize(("quantize", "batch"), [(dynamic_int8, 1), (blockwise_int8, 64)])
def test_int8_graphs_are_smaller_and_close(
    exported: tuple[Draft, Path], quantize: Callable[[Path], Variant], batch: int
) -> None:
    draft, folder = exported
    variant = quantize(folder)
    assert (variant.precision, variant.max_batch_size, variant.one_thread_runs) == ("int8", batch, True)
    assert (folder / variant.file).stat().st_size < 0.6 * (folder / "model.onnx").stat().st_size
    assert all(file.is_file() for file in folder.iterdir())  # no scratch folder is left for publishing to trip over
    assert np.abs(answers(draft, folder, variant, 1) - draft.predict(TEXTS)).mean() < 0.05


def test_blockwise_answers_do_not_depend_on_batch_mates(exported: tuple[Draft, Path]) -> None:
    draft, folder = exported
    variant = blockwise_int8(folder)
    np.testing.assert_allclose(answers(draft, folder, variant, 1), answers(draft, folder, variant, 32), atol=1e-4)


def test_a_graph_that_cannot_be_quantized_is_unsupported_by_name(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"not a graph")
    for quantize, name in ((dynamic_int8, "int8"), (blockwise_int8, "int8-blockwise")):
        with pytest.raises(UnsupportedSource, match=f"variant {name} cannot be made"):
            quantize(tmp_path)


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
    out = Session.open(tmp_path / "model.onnx", choose("cpu", ()), 1).run({"ids": ids})
    assert (np.abs(out[0] - table) <= np.abs(table).max(axis=1, keepdims=True) / 250).all()
