from pathlib import Path

import numpy as np
import pytest
import torch

from exporters.checkpoint import draft_checkpoint
from exporters.convert import Draft, to_onnx
from exporters.encoders import longest_input
from exporters.layouts import Layout, recognise
from tests.exporters.models import EVALUATION, LABELS, tiny_bert, tiny_tokenizer
from tidegate.bundle import TokenizerPreprocessing
from tidegate.devices import choose
from tidegate.errors import UnsupportedSource, UntrustedPickle
from tidegate.preprocess import collate
from tidegate.session import Session
from tidegate.tasks import probabilities
from tidegate.wordpieces import TokenizerPreprocessor

TEXTS = [*(text for text, _ in EVALUATION), "", "unseen wörds 日本", "profit " * 100]


def answers(draft: Draft, folder: Path) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """The exported graph's probabilities, through the runtime that serves."""
    session = Session.open(folder / draft.variant.file, choose("cpu", ()), 1)
    assert isinstance(draft.preprocessing, TokenizerPreprocessing)
    preprocessor = TokenizerPreprocessor(folder / "tokenizer.json", draft.preprocessing, session.inputs)
    return probabilities(
        session.run(collate(preprocessor.encode(TEXTS), preprocessor.pad_values)).first, draft.postprocessing
    )


def test_the_graph_answers_as_the_pytorch_model_does_in_one_padded_batch(tmp_path: Path) -> None:
    folder = tmp_path / "bundle"
    folder.mkdir()
    draft = to_onnx(recognise(tiny_bert(tmp_path / "m")), folder, trust_pickle=False)
    expected = draft.predict(TEXTS)
    assert draft.labels == LABELS
    assert expected.std(axis=0).min() > 0.01  # a model that always says the same would prove nothing
    np.testing.assert_allclose(answers(draft, folder), expected, atol=1e-5)
    assert sorted(file.name for file in folder.iterdir()) == ["model.onnx", "tokenizer.json"]


def test_weights_in_a_pickle_need_trust(tmp_path: Path) -> None:
    layout = recognise(tiny_bert(tmp_path / "m", safe=False))
    with pytest.raises(UntrustedPickle, match=r"pytorch_model\.bin.*--trust-pickle"):
        draft_checkpoint(layout, tmp_path, trust_pickle=False)
    assert draft_checkpoint(layout, tmp_path, trust_pickle=True).labels == LABELS


def test_models_that_are_no_classifiers_are_refused(tmp_path: Path) -> None:
    from transformers import BertConfig, BertForMaskedLM

    config = BertConfig(
        vocab_size=300, hidden_size=16, num_hidden_layers=1, num_attention_heads=1, intermediate_size=16
    )
    BertForMaskedLM(config).save_pretrained(tmp_path)
    tiny_tokenizer().save_pretrained(tmp_path)
    with pytest.raises(UnsupportedSource, match="BertForMaskedLM"):
        draft_checkpoint(Layout("transformers", tmp_path, tmp_path), tmp_path, trust_pickle=False)


@pytest.mark.parametrize("problem", ["multi_label_classification", "regression"])
def test_other_problems_are_refused_by_name(tmp_path: Path, problem: str) -> None:
    folder = tiny_bert(tmp_path / "m")
    config = (folder / "config.json").read_text()
    (folder / "config.json").write_text(config.replace('"model_type"', f'"problem_type": "{problem}", "model_type"'))
    with pytest.raises(UnsupportedSource, match=problem):
        draft_checkpoint(recognise(folder), tmp_path, trust_pickle=False)


def test_a_damaged_checkpoint_is_refused(tmp_path: Path) -> None:
    folder = tiny_bert(tmp_path / "m")
    (folder / "model.safetensors").write_bytes(b"nothing")
    with pytest.raises(UnsupportedSource, match="transformers cannot load"):
        draft_checkpoint(recognise(folder), tmp_path, trust_pickle=False)


@pytest.mark.parametrize(
    ("model_type", "stated", "positions", "expected"),
    [
        ("bert", 128, 512, 128),
        ("bert", int(1e30), 512, 512),
        ("roberta", int(1e30), 514, 512),
        ("deberta-v2", int(1e30), None, 512),
        ("bert", 8192, 48, 48),
    ],
)
def test_the_longest_input_is_what_both_tokenizer_and_positions_allow(
    model_type: str, stated: int, positions: int | None, expected: int
) -> None:
    assert longest_input(model_type, stated, positions, pad_id=1) == expected


def test_prediction_keeps_the_order_of_the_texts(tmp_path: Path) -> None:
    draft = draft_checkpoint(recognise(tiny_bert(tmp_path / "m")), tmp_path, trust_pickle=False)
    with torch.inference_mode():
        one_by_one = np.concatenate([draft.predict([text]) for text in TEXTS])
    np.testing.assert_allclose(draft.predict(TEXTS), one_by_one, atol=1e-5)
