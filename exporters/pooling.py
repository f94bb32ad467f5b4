"""Pooling: how the vectors of a text's tokens become the one vector of the text, as an encoder's own folder says.

Used by `sentence_encoder`: `read_pooling` reads a sentence-transformers layout (modules.json), `pool` does in PyTorch
what the source does, and `append_pooling` makes it the end of an ONNX graph, so that what serves needs no code for it.
`append_mean` alone is what `embedding_output` appends to a classifier.
Limits: mean or first token, then perhaps length 1; another module (a dense layer, say) is refused by name. A plain
checkpoint says nothing: mean, not normalised.
Source: sentence-transformers, modules Transformer, Pooling and Normalize (epsilons included).
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tidegate.errors import UnsupportedSource

OUTPUT = "embedding"
MEAN = "pool_mean"  # the matrix product that takes the mean; nobody gains by quantizing it
_MODULES = "modules.json"
_EPSILON_LENGTH = 1e-12


@dataclass(frozen=True, slots=True)
class Pooling:
    """What follows an encoder.

    Attributes:
        encoder: folder of the encoder itself.
        mode: mean over a text's tokens, or its first token.
        normalised: the vector is brought to length 1.
        max_tokens: longer texts are truncated, specials included; None when the folder does not say.
    """

    encoder: Path
    mode: Literal["mean", "cls"] = "mean"
    normalised: bool = False
    max_tokens: int | None = None


def read_pooling(folder: Path) -> Pooling:
    """What the folder of an encoder says about pooling.

    Raises:
        UnsupportedSource: a module, a pooling or a prompt that cannot be expressed.
    """
    if not (folder / _MODULES).is_file():
        return Pooling(folder)
    try:
        modules = [
            (str(entry["type"]).rpartition(".")[2], folder / entry["path"]) for entry in _json(folder / _MODULES)
        ]
    except (KeyError, TypeError) as error:
        raise UnsupportedSource(f"{folder / _MODULES} is no list of modules: {error!r}") from None
    names = [name for name, _ in modules]
    if names not in (["Transformer", "Pooling"], ["Transformer", "Pooling", "Normalize"]):
        raise UnsupportedSource(
            f"{folder} is {' -> '.join(names) or 'empty'}; Transformer -> Pooling (-> Normalize) can be exported"
        )
    _check_prompts(folder)
    settings = _json(modules[0][1] / "sentence_bert_config.json")
    if settings.get("do_lower_case"):
        raise UnsupportedSource(f"{folder} lower-cases texts before its tokenizer; let the tokenizer do that")
    return Pooling(modules[0][1], _mode(modules[1][1]), len(names) == 3, settings.get("max_seq_length"))


def _mode(folder: Path) -> Literal["mean", "cls"]:
    """The one pooling mode; older releases wrote a switch for each, newer ones its name."""
    config = _json(folder / "config.json")
    switches = {"pooling_mode_mean_tokens": "mean", "pooling_mode_cls_token": "cls"}
    on = [switches.get(key, key) for key, value in config.items() if key.startswith("pooling_mode_") and value is True]
    modes = on or [str(config.get("pooling_mode"))]
    if modes == ["mean"]:
        return "mean"
    if modes == ["cls"]:
        return "cls"
    raise UnsupportedSource(f"{folder} pools by {' and '.join(modes)}; mean or cls, one of them, can be exported")


def _check_prompts(folder: Path) -> None:
    config = _json(folder / "config_sentence_transformers.json")
    name = config.get("default_prompt_name")
    if name and (config.get("prompts") or {}).get(name):
        raise UnsupportedSource(
            f"{folder} puts the prompt {name!r} before each text; set default_prompt_name to null, callers can send it"
        )


def _json(file: Path) -> Any:
    """A JSON file of the folder; an empty object where there is none."""
    if not file.is_file():
        return {}
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UnsupportedSource(f"{file} is not JSON: {error}") from None


def pool(hidden: Any, mask: Any, pooling: Pooling) -> Any:
    """In PyTorch: (batch, tokens, dim) and (batch, tokens) to (batch, dim)."""
    import torch

    if pooling.mode == "cls":
        vectors = hidden[:, 0]
    else:
        weights = mask.unsqueeze(-1).to(hidden.dtype)  # (batch, tokens, 1)
        vectors = (hidden * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=1)
    return torch.nn.functional.normalize(vectors, dim=1, eps=_EPSILON_LENGTH) if pooling.normalised else vectors


def append_pooling(model: onnx.ModelProto, pooling: Pooling, dimensions: int) -> None:
    """Let a graph that answers hidden states, (batch, tokens, dim), answer one vector a text, (batch, dim)."""
    graph = model.graph
    hidden = graph.output[0].name
    pooled = "pooled" if pooling.normalised else OUTPUT
    if pooling.mode == "cls":
        _append(graph, [helper.make_node("Gather", [hidden, "pool_first"], [pooled], "pool_gather", axis=1)])
    else:
        append_mean(graph, hidden, pooled)
    if pooling.normalised:
        _append(graph, _normalise())
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["batch_size", dimensions]))


def append_mean(graph: onnx.GraphProto, hidden: str, output: str) -> None:
    """Append the mean of `hidden`, (batch, tokens, dim), over a text's tokens, padding left out, as `output`.

    One product of weights and vectors: no copy of `hidden` is made, and the weights, 1 / tokens, keep float16 in range.
    The product has four axes so that `quantize.fused` still counts three matrix products that read the same layer.
    """
    _append(
        graph,
        [
            helper.make_node("Cast", ["attention_mask"], ["pool_mask"], "pool_cast", to=TensorProto.FLOAT),
            helper.make_node("ReduceSum", ["pool_mask", "pool_axis_one"], ["pool_count"], "pool_count", keepdims=1),
            helper.make_node("Max", ["pool_count", "pool_least_tokens"], ["pool_tokens"], "pool_max_tokens"),
            helper.make_node("Div", ["pool_mask", "pool_tokens"], ["pool_shares"], "pool_div"),  # (batch, tokens)
            helper.make_node("Unsqueeze", ["pool_shares", "pool_axes"], ["pool_weights"], "pool_unsqueeze_weights"),
            helper.make_node("Unsqueeze", [hidden, "pool_axis_one"], ["pool_hidden"], "pool_unsqueeze_hidden"),
            helper.make_node("MatMul", ["pool_weights", "pool_hidden"], [MEAN], MEAN),
            helper.make_node("Squeeze", [MEAN, "pool_axes"], [output], "pool_squeeze"),  # (batch, dim)
        ],
    )


def _append(graph: onnx.GraphProto, nodes: Sequence[onnx.NodeProto]) -> None:
    """Append nodes and the constants that they are the first to read."""
    constants = {
        "pool_axis_one": np.array([1]),
        "pool_axes": np.array([1, 2]),
        "pool_first": np.array(0),
        "pool_least_tokens": np.array(1, np.float32),
        "pool_least_length": np.array(_EPSILON_LENGTH, np.float32),
    }
    read = {name for node in nodes for name in node.input} - {tensor.name for tensor in graph.initializer}
    graph.initializer.extend(numpy_helper.from_array(a, name) for name, a in constants.items() if name in read)
    graph.node.extend(nodes)


def _normalise() -> list[onnx.NodeProto]:
    return [
        helper.make_node("Mul", ["pooled", "pooled"], ["pool_squares"], "pool_square"),
        helper.make_node("ReduceSum", ["pool_squares", "pool_axis_one"], ["pool_energy"], "pool_energy", keepdims=1),
        helper.make_node("Sqrt", ["pool_energy"], ["pool_norm"], "pool_sqrt"),
        helper.make_node("Max", ["pool_norm", "pool_least_length"], ["pool_length"], "pool_max_length"),
        helper.make_node("Div", ["pooled", "pool_length"], [OUTPUT], "pool_normalise"),
    ]
