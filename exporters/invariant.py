"""`int8-invariant`: int8 that batches. Calibrates a float32 graph on texts, then rewrites its dense layers.

Used by `pipeline` beside `quantize`; the rewriting itself is `int8_graph`. `most_sensitive` ranks the dense layers by
what quantizing each alone does to the logits, so that the gate can leave the worst in float32 until labels agree.
Limits: what `int8_graph.dense_layers` finds; a graph without any is refused.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from exporters.convert import GRAPH
from exporters.embeddings import compact_embeddings
from exporters.int8_graph import Range, dense_layers, normalised, rewrite
from tidegate.bundle import Variant
from tidegate.devices import hardware
from tidegate.errors import UnsupportedSource
from tidegate.preprocess import Feeds

CALIBRATION_TEXTS = 256  # 128 gave the same ranges within 4 %; more adds seconds
_PROBES = 48  # texts on which each layer's harm is measured


def invariant_int8(folder: Path, feeds: Sequence[Feeds], keep: frozenset[str] = frozenset()) -> Variant:
    """Write `model.int8-invariant.onnx` beside the float32 graph of `folder`.

    Args:
        folder: holds `model.onnx`.
        feeds: graph inputs of calibration texts, one text each.
        keep: dense layers that stay in float32, by the name of their MatMul.

    Raises:
        UnsupportedSource: the graph has no dense layer with a weight matrix.
    """
    model = onnx.load(str(folder / GRAPH))
    if not dense_layers(model.graph):
        raise UnsupportedSource("variant int8-invariant cannot be made: the graph has no MatMul with a weight matrix")
    rewrite(model, calibrate(model, feeds), keep, _levels())
    compact_embeddings(model)
    file = "model.int8-invariant.onnx"
    onnx.save(model, str(folder / file))
    return Variant(name="int8-invariant", file=file, precision="int8", one_thread_runs=True)


def calibrate(model: onnx.ModelProto, feeds: Sequence[Feeds]) -> dict[str, Range]:
    """Ranges of the normalisations that feed dense layers, per channel, over all texts."""
    fed = {layer.activation for layer in dense_layers(model.graph)}
    names = [name for name in normalised(model.graph) if name in fed]
    seen: dict[str, Range] = {}
    for arrays in _observed(model, names, feeds[:CALIBRATION_TEXTS]):
        for name, array in zip(names, arrays, strict=True):
            flat = array.reshape(-1, array.shape[-1])  # (tokens, channels)
            low, high = flat.min(axis=0), flat.max(axis=0)
            known = seen.get(name, Range(low, high))
            seen[name] = Range(np.minimum(known.low, low), np.maximum(known.high, high))
    return seen


def most_sensitive(folder: Path, feeds: Sequence[Feeds]) -> list[str]:
    """Names of the dense layers, the one first whose quantization alone moves the logits most (mean squares)."""
    model = onnx.load(str(folder / GRAPH))
    ranges = calibrate(model, feeds)
    names = [layer.name for layer in dense_layers(model.graph)]
    probes = feeds[:_PROBES]
    exact = _answers(model, probes)
    harm = {}
    for name in names:
        alone = onnx.ModelProto()
        alone.CopyFrom(model)
        rewrite(alone, ranges, frozenset(names) - {name}, _levels())
        harm[name] = float(((_answers(alone, probes) - exact) ** 2).mean())
    return sorted(names, key=lambda name: -harm[name])


def _levels() -> int:
    """Seven bits of weight where x86 int8 kernels saturate (onnxruntime #5849), else eight."""
    flags = hardware()
    saturates = "avx" in flags and "vnni" not in flags
    return 63 if saturates else 127


def _answers(model: onnx.ModelProto, feeds: Sequence[Feeds]) -> NDArray[np.float32]:
    """Logits, (texts, classes)."""
    name = model.graph.output[0].name
    return np.concatenate([arrays[0] for arrays in _observed(model, [name], feeds)])


def _observed(model: onnx.ModelProto, names: Sequence[str], feeds: Sequence[Feeds]) -> Iterator[list[Any]]:
    """Tensors of a graph, by name, for each text."""
    import onnxruntime

    watched = onnx.ModelProto()
    watched.CopyFrom(model)
    outputs = {output.name for output in watched.graph.output}
    watched.graph.output.extend(
        helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names if name not in outputs
    )
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(watched.SerializeToString(), options, providers=["CPUExecutionProvider"])
    for feed in feeds:
        yield session.run(list(names), feed)
