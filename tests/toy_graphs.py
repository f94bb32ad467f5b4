"""The graphs and the tokenizer inside the toy bundles of `tests.bundles`: onnx made by hand, in milliseconds."""

from collections.abc import Sequence

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

Scores = np.ndarray[tuple[int, ...], np.dtype[np.float64]]

NEGATIVE = ("falls", "fell", "warning", "loss")
POSITIVE = ("rises", "profit", "strong", "growth")
NEUTRAL = ("the", "company", "met", "analysts", "on", "monday", "sales", "shares", "after")
WORDS = NEGATIVE + POSITIVE + NEUTRAL


def word_scores() -> Scores:
    """(classes, words): +1 for the words of a class, -1 for those of the others."""
    groups: Sequence[Sequence[str]] = (NEGATIVE, NEUTRAL, POSITIVE)
    return np.array([[1.0 if word in group else -1.0 for word in WORDS] for group in groups])


def tokenizer() -> Tokenizer:
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *WORDS]
    tokenizer = Tokenizer(models.WordLevel({word: index for index, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return tokenizer


def batch_dependent(model: onnx.ModelProto) -> onnx.ModelProto:
    """Half of each answer is the mean over the batch: right for a text alone, wrong in company."""
    nodes = [
        helper.make_node("ReduceMean", ["logits"], ["company"], axes=[0], keepdims=1),
        helper.make_node("Add", ["logits", "company"], ["mixed"]),
    ]
    model.graph.node.extend(nodes)
    model.graph.output[0].name = "mixed"
    return model


def mean_embedding_graph(scores: Scores | None = None) -> onnx.ModelProto:
    scores = word_scores() if scores is None else scores
    table = np.vstack([np.zeros((4, 3)), scores.T * 6.0]).astype(np.float32)  # (tokens, classes)
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["embedded"]),  # (batch, tokens, classes)
        helper.make_node("Cast", ["attention_mask"], ["mask"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["mask", "axis_one"], ["row"]),  # (batch, 1, tokens)
        helper.make_node("MatMul", ["row", "embedded"], ["summed"]),  # (batch, 1, classes)
        helper.make_node("Squeeze", ["summed", "axis_one"], ["total"]),
        helper.make_node("ReduceSum", ["mask", "axis_one"], ["length"], keepdims=1),
        helper.make_node("Div", ["total", "length"], ["logits"]),
    ]
    graph = helper.make_graph(
        nodes,
        "mean_embedding",
        [
            helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "tokens"])
            for name in ("input_ids", "attention_mask")
        ],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 3])],
        [numpy_helper.from_array(table, "table"), numpy_helper.from_array(np.array([1], dtype=np.int64), "axis_one")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    return model
