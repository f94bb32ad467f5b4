"""An ONNX classifier that somebody exported already: model.onnx + tokenizer.json + config.json (id2label).

The file itself is the source model that variants are compared with, run one text at a time, so that a graph
which was quantized dynamically before shows its own answers and not those of its batch-mates. Such a graph is
served as it is, one text a run; another one gets the output `embedding` where it shows attention. Limits: inputs among
input_ids, attention_mask, token_type_ids; first output logits; no external data files.
"""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from exporters.convert import GRAPH, Draft
from exporters.embedding_output import append_embedding
from exporters.encoders import check_task, longest_input, padding_id
from exporters.invariant import invariant_int8
from exporters.layouts import Layout
from exporters.quantize import dynamic_int8, for_gpus, fused
from tidegate.bundle import Postprocessing, TensorSpec, TokenizerPreprocessing, Variant
from tidegate.devices import available_providers, choose, cores
from tidegate.errors import UnsupportedSource
from tidegate.preprocess import collate
from tidegate.session import Session
from tidegate.tasks import probabilities
from tidegate.wordpieces import TokenizerPreprocessor

_INPUTS = {"input_ids", "attention_mask", "token_type_ids"}
_QUANTIZED = {"DynamicQuantizeLinear", "MatMulNBits", "QLinearMatMul", "MatMulInteger", "DequantizeLinear"}


def draft_ready(layout: Layout, folder: Path) -> Draft:
    """Take an ONNX classifier over; see `convert.to_onnx`."""
    graph = _graph(layout.model / GRAPH)
    config = _config(layout.model / "config.json")
    check_task(layout.model, config.get("problem_type"), len(config["id2label"]))
    labels = tuple(str(name) for _, name in sorted((int(k), v) for k, v in config["id2label"].items()))
    inputs, outputs = ([node.name for node in nodes] for nodes in (graph.graph.input, graph.graph.output))
    embedding = append_embedding(graph)
    if len(graph.graph.output) > len(outputs):
        onnx.save(graph, str(folder / GRAPH))
    else:
        shutil.copyfile(layout.model / GRAPH, folder / GRAPH)
    shutil.copyfile(layout.tokenizer / "tokenizer.json", folder / "tokenizer.json")
    preprocessing = _preprocessing(layout, config)
    operators = {node.op_type for node in graph.graph.node}
    is_quantized = bool(operators & _QUANTIZED)
    is_dynamic = "DynamicQuantizeLinear" in operators
    return Draft(
        labels=labels,
        inputs=tuple(TensorSpec(name=name, datatype="INT64", shape=(-1, -1)) for name in inputs),
        outputs=(TensorSpec(name=outputs[0], datatype="FP32", shape=(-1, len(labels))), *embedding),
        preprocessing=preprocessing,
        postprocessing=Postprocessing(threshold=layout.threshold, fallback_label=layout.fallback_label),
        variant=Variant(
            name="int8" if is_quantized else "fp32",
            file=GRAPH,
            precision="int8" if is_quantized else "fp32",
            max_batch_size=1 if is_dynamic else 64,
            one_thread_runs=is_dynamic,
        ),
        rewrites=() if is_quantized else (fused, dynamic_int8, invariant_int8, *for_gpus(available_providers())),
        predict=_predictor(layout.model / GRAPH, layout.tokenizer / "tokenizer.json", preprocessing, len(labels)),
    )


def _graph(file: Path) -> onnx.ModelProto:
    try:
        graph = onnx.load(str(file))
    except Exception as error:  # protobuf's own errors, and missing external data
        raise UnsupportedSource(f"{file} cannot be read as an ONNX model: {error}") from error
    foreign = {node.name for node in graph.graph.input} - _INPUTS
    if foreign:
        raise UnsupportedSource(
            f"{file} takes {', '.join(sorted(foreign))}; only {', '.join(sorted(_INPUTS))} can be fed"
        )
    return graph


def _config(file: Path) -> dict[str, Any]:
    try:
        config: dict[str, Any] = json.loads(file.read_text())
        ids = sorted(int(index) for index in config["id2label"])
    except (ValueError, KeyError, TypeError) as error:
        raise UnsupportedSource(f"{file} has no usable id2label: {error!r}") from None
    if ids != list(range(len(ids))) or len(ids) < 2:
        raise UnsupportedSource(f"{file}: id2label has ids {ids}; they must be 0, 1, ... for two labels or more")
    return config


def _preprocessing(layout: Layout, config: dict[str, Any]) -> TokenizerPreprocessing:
    """Lengths and special ids, from config.json and the tokenizer's own settings."""
    file = layout.tokenizer / "tokenizer_config.json"
    settings = json.loads(file.read_text()) if file.is_file() else {}
    model_type = str(config.get("model_type", ""))
    pad_id = padding_id(model_type, config.get("pad_token_id"))
    limits = settings.get("model_max_length"), config.get("max_position_embeddings")
    tokenizer = json.loads((layout.tokenizer / "tokenizer.json").read_text())
    vocabulary = tokenizer.get("model", {}).get("vocab", {})
    unknown = tokenizer.get("model", {}).get("unk_token")
    return TokenizerPreprocessing(
        max_tokens=longest_input(model_type, *limits, pad_id),
        pad_id=pad_id,
        unknown_id=vocabulary.get(unknown) if isinstance(vocabulary, dict) else None,
    )


def _predictor(graph: Path, tokenizer: Path, preprocessing: TokenizerPreprocessing, classes: int) -> Any:
    session = Session.open(graph, choose("cpu", ()), cores())
    preprocessor = TokenizerPreprocessor(tokenizer, preprocessing, session.inputs)

    def predict(texts: Sequence[str]) -> NDArray[np.float64]:
        answers = np.empty((len(texts), classes))
        for index, row in enumerate(preprocessor.encode(texts)):
            output = session.run(collate([row], preprocessor.pad_values)).first
            answers[index] = probabilities(output, Postprocessing())[0]
        return answers

    return predict
