"""`int8-invariant`: int8 that batches. Calibrates a float32 graph on texts, then rewrites its dense layers.

Used by `pipeline` beside `quantize`; the rewriting itself is `int8_graph`. `most_sensitive` ranks dense
layers by what quantizing them alone does to the logits, so that the worst can stay in float32 until labels agree.
Limits: what `int8_graph.dense_layers` finds; a graph without any is refused.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from exporters.convert import GRAPH
from exporters.embeddings import compact_embeddings
from exporters.fold import fold_constants
from exporters.int8_graph import Range, dense_layers, rewrite
from exporters.quantize import mapped
from tidegate.bundle import Variant
from tidegate.devices import hardware
from tidegate.errors import UnsupportedSource
from tidegate.preprocess import Feeds

_PROBES = 48  # texts on which the harm of quantizing a layer is measured
_CAREFUL = (1, 2, 4)  # how many of the most sensitive activations stay in float32, if labels disagree


def invariant_int8(folder: Path, feeds: Sequence[Feeds]) -> Iterator[Variant]:
    """Write int8 graphs beside the float32 graph of `folder`, each more careful than the one before.

    Args:
        folder: holds `model.onnx`.
        feeds: graph inputs of calibration texts, one text each.

    Yields:
        Versions of one variant, each in a file of its own: all in int8 first, then with more and more of the most
        sensitive activations' layers left in float32.

    Raises:
        UnsupportedSource: the graph has no dense layer with a weight matrix.
    """
    with mapped("int8-invariant"):
        model = _load(folder)
        ranges = calibrate(model, feeds)
        first = _write(model, ranges, (), folder)
    yield first
    with mapped("int8-invariant"):
        ranked = most_sensitive(model, ranges, feeds[:_PROBES])
    for count in _CAREFUL:
        yield _write(model, ranges, ranked[:count], folder)


def _load(folder: Path) -> onnx.ModelProto:
    model = onnx.load(str(folder / GRAPH))
    if not dense_layers(model.graph):
        raise UnsupportedSource("the graph has no MatMul with a weight matrix")
    fold_constants(model)
    return model


def _write(model: onnx.ModelProto, ranges: Mapping[str, Range], keep: Sequence[Sequence[str]], folder: Path) -> Variant:
    rewritten = _copy(model)
    rewrite(rewritten, ranges, frozenset(name for group in keep for name in group), _levels())
    compact_embeddings(rewritten)
    file = f"model.int8-invariant{f'-{len(keep)}' if keep else ''}.onnx"
    onnx.save(rewritten, str(folder / file))
    return Variant(name="int8-invariant", file=file, precision="int8", one_thread_runs=True)


def calibrate(model: onnx.ModelProto, feeds: Sequence[Feeds]) -> dict[str, Range]:
    """Ranges of what feeds the dense layers, over all texts."""
    names = list(dict.fromkeys(layer.activation for layer in dense_layers(model.graph)))
    seen: dict[str, Range] = {}
    for arrays in _observed(model, names, feeds):
        for name, array in zip(names, arrays, strict=True):
            tokens = array.reshape(-1, array.shape[-1])  # (tokens, channels)
            here = Range(tokens.min(axis=0), tokens.max(axis=0), float(tokens.max(axis=1).min()))
            seen[name] = _wider(seen[name], here) if name in seen else here
    return seen


def _wider(one: Range, other: Range) -> Range:
    low, high = np.minimum(one.low, other.low), np.maximum(one.high, other.high)
    return Range(low, high, min(one.least_peak, other.least_peak))


def most_sensitive(
    model: onnx.ModelProto, ranges: Mapping[str, Range], probes: Sequence[Feeds]
) -> list[tuple[str, ...]]:
    """Names of the dense layers, grouped by the activation they read.

    First the group whose quantization alone moves the logits most (mean squares over the probes).
    """
    groups: dict[str, list[str]] = {}
    for layer in dense_layers(model.graph):
        groups.setdefault(layer.activation, []).append(layer.name)
    everything = frozenset(name for names in groups.values() for name in names)
    exact = _answers(model, probes)

    def harm(names: Sequence[str]) -> float:
        alone = _copy(model)
        rewrite(alone, ranges, everything - set(names), _levels())
        return float(((_answers(alone, probes) - exact) ** 2).mean())

    return sorted(map(tuple, groups.values()), key=lambda names: -harm(names))


def _copy(model: onnx.ModelProto) -> onnx.ModelProto:
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    return copy


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

    watched = _copy(model)
    outputs = {output.name for output in watched.graph.output}
    watched.graph.output.extend(
        helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names if name not in outputs
    )
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(watched.SerializeToString(), options, providers=["CPUExecutionProvider"])
    for feed in feeds:
        yield session.run(list(names), feed)
