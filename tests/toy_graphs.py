"""The graphs and the tokenizer inside the toy bundles of `tests.bundles`: onnx made by hand, in milliseconds."""

from collections.abc import Sequence

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from exporters.pooling import append_mean
from tidegate.session import EMBEDDING

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


TOPICS = 8  # width of the second output
_TOPICS = np.random.default_rng(0).normal(size=(4 + len(WORDS), TOPICS)).astype(np.float32)  # (tokens, topics)


def with_topics(model: onnx.ModelProto) -> onnx.ModelProto:
    """A second output, `embedding`: the mean of a random vector a token."""
    graph = model.graph
    graph.initializer.append(numpy_helper.from_array(_TOPICS, "topics"))
    graph.node.append(helper.make_node("Gather", ["topics", "input_ids"], ["topic_of_token"]))
    append_mean(graph, "topic_of_token", EMBEDDING)
    graph.output.append(helper.make_tensor_value_info(EMBEDDING, TensorProto.FLOAT, ["batch", TOPICS]))
    return model


def topic(tokens: str) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """What `embedding` answers to tokens, (TOPICS,)."""
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *WORDS]
    mean: np.ndarray[tuple[int, ...], np.dtype[np.float32]] = _TOPICS[[words.index(t) for t in tokens.split()]].mean(0)
    return mean


HANGS, RAISES = "growth", "loss"  # words that the samples do not hold
_HANG_STEPS = 1_500_000  # some seconds: a run that never ended would stay behind when the test is over


def brittle(model: onnx.ModelProto) -> onnx.ModelProto:
    """Takes seconds over a text that holds `HANGS`, and onnxruntime raises on one that holds `RAISES`."""
    number = {word: index for index, word in enumerate(WORDS, 4)}
    nodes = []
    for name, word, times in (("hangs", HANGS, _HANG_STEPS), ("raises", RAISES, 1_000)):
        model.graph.initializer.extend(
            numpy_helper.from_array(np.array(value, dtype=np.int64), f"{name}_{what}")
            for what, value in (("word", number[word]), ("times", times))
        )
        nodes += [
            helper.make_node("Equal", ["input_ids", f"{name}_word"], [f"{name}_where"]),
            helper.make_node("Cast", [f"{name}_where"], [f"{name}_found"], to=TensorProto.INT64),
            helper.make_node("ReduceMax", [f"{name}_found"], [f"{name}_any"], keepdims=0),
            helper.make_node("Mul", [f"{name}_any", f"{name}_times"], [f"{name}_count"]),
        ]
    model.graph.initializer.extend(
        [
            numpy_helper.from_array(np.eye(64, dtype=np.float32), "eye"),
            numpy_helper.from_array(np.zeros(1, dtype=np.float32), "only"),
            numpy_helper.from_array(np.float32(0), "zero"),
        ]
    )
    nodes += [
        helper.make_node("Loop", ["hangs_count", "", "eye"], ["looped"], body=_loop_body()),
        helper.make_node("ReduceSum", ["looped"], ["summed_loop"], keepdims=0),
        helper.make_node("Gather", ["only", "raises_count"], ["gathered"]),
        helper.make_node("Add", ["summed_loop", "gathered"], ["faults"]),
        helper.make_node("Mul", ["faults", "zero"], ["nothing"]),
        helper.make_node("Add", ["logits", "nothing"], ["answered"]),
    ]
    model.graph.node.extend(nodes)
    model.graph.output[0].name = "answered"
    return model


def _loop_body() -> onnx.GraphProto:
    """One step: the matrix times the identity; more would be optimised away, less would end too soon."""
    matrix = ("before", "after")
    before, after = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [64, 64]) for name in matrix)
    return helper.make_graph(
        [
            helper.make_node("MatMul", ["before", "eye"], ["after"]),
            helper.make_node("Identity", ["going"], ["goes_on"]),
        ],
        "step",
        [
            helper.make_tensor_value_info("step_number", TensorProto.INT64, []),
            helper.make_tensor_value_info("going", TensorProto.BOOL, []),
            before,
        ],
        [helper.make_tensor_value_info("goes_on", TensorProto.BOOL, []), after],
    )


def embedding_graph() -> onnx.ModelProto:
    """The word scores of `mean_embedding_graph` as vectors of length 1."""
    model = mean_embedding_graph()
    normalise = [
        helper.make_node("Mul", ["logits", "logits"], ["squares"]),
        helper.make_node("ReduceSum", ["squares", "axis_one"], ["energy"], keepdims=1),
        helper.make_node("Sqrt", ["energy"], ["length_of"]),
        helper.make_node("Max", ["length_of", "least"], ["divisor"]),
        helper.make_node("Div", ["logits", "divisor"], ["embedding"]),
    ]
    model.graph.initializer.append(numpy_helper.from_array(np.float32(1e-12), "least"))
    model.graph.node.extend(normalise)
    model.graph.output[0].name = "embedding"
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
