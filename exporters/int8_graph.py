"""Dense layers in int8 whose answers do not depend on batch-mates: the graph rewriting behind `int8_invariant`.

Each MatMul with a weight matrix becomes: quantize the activations to uint8, multiply in integers with int8 weights
(one scale a column), scale back. Where dynamic int8 takes the activations' range over the whole batch, here it is
    static    fixed at export, for what a LayerNormalization answers (its range hardly moves), with outlier channels
              evened out between activations and weights; one pass over the activations, or
    per token its own maximum, for everything else (attention, activations), as ZeroQuant does; where a tensor is hardly
              ever negative (GELU), most of the 256 levels go to the positive side.
Sources: SmoothQuant, Xiao et al. 2023 (section 4, alpha below); ZeroQuant, Yao et al. 2022 (token-wise quantization);
onnxruntime contrib operator MatMulIntegerToFloat.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import onnx
from numpy.typing import ArrayLike, NDArray
from onnx import helper, numpy_helper

Floats = NDArray[np.float32]

# How much of an outlier channel moves into the weights: the paper's range is 0.5 to 0.75. On a MiniLM fine-tuned on
# financial sentences, 3,825 texts: 0.5 flips 11 labels, 0.6 10, 0.7 8, 0.8 15.
_ALPHA = 0.7
_MAX_SCALE = 100.0  # a channel that never fires must not blow its weights up
_ZERO_POINT = 128  # uint8 activations around it: x86 multiplies u8 with s8 in one instruction


@dataclass(frozen=True, slots=True)
class Range:
    """What calibration saw of one tensor.

    Attributes:
        low, high: per channel of its last axis, (channels,).
        least_peak: the smallest of its tokens' highest values.
    """

    low: Floats
    high: Floats
    least_peak: float

    @property
    def peak(self) -> Floats:
        """Largest magnitude per channel."""
        return np.maximum(np.abs(self.low), np.abs(self.high))


@dataclass(slots=True)
class Rewriting:
    """A graph while it is rewritten.

    Attributes:
        graph: the graph, changed in place by `finish`.
        weights: initializers by name.
        levels: 127, or 63 where int8 kernels saturate (x86 without VNNI, onnxruntime #5849).
    """

    graph: onnx.GraphProto
    levels: int
    weights: dict[str, onnx.TensorProto] = field(init=False)
    nodes: list[onnx.NodeProto] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        self.weights = {tensor.name: tensor for tensor in self.graph.initializer}

    def constant(self, name: str, value: ArrayLike) -> str:
        """Add an initializer, once; returns its name."""
        if name not in self.weights:
            self.weights[name] = numpy_helper.from_array(np.asarray(value), name)
        return name

    def add(self, operator: str, inputs: Sequence[str], output: str, domain: str = "", **attributes: object) -> str:
        """Append a node; returns its output."""
        name = f"{output}/{operator}"
        self.nodes.append(helper.make_node(operator, list(inputs), [output], name, domain=domain, **attributes))
        return output

    def finish(self) -> None:
        """Put the new nodes and the initializers that they read into the graph."""
        read = {name for node in self.nodes for name in node.input}
        del self.graph.node[:], self.graph.initializer[:]
        self.graph.node.extend(self.nodes)
        self.graph.initializer.extend(tensor for name, tensor in self.weights.items() if name in read)


@dataclass(frozen=True, slots=True)
class Dense:
    """A MatMul with a weight matrix, and the Add of its bias when there is one."""

    name: str
    activation: str
    weight: str
    bias: str | None
    output: str
    replaced: tuple[str, ...]  # outputs of the nodes it stands for


def dense_layers(graph: onnx.GraphProto) -> list[Dense]:
    """Every dense layer of a graph, in order."""
    weights = {tensor.name: tensor for tensor in graph.initializer}
    readers: dict[str, list[onnx.NodeProto]] = {}
    for node in graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    return [
        _with_bias(node, readers.get(node.output[0], []), weights)
        for node in graph.node
        if node.op_type == "MatMul" and node.input[1] in weights and len(weights[node.input[1]].dims) == 2
    ]


def _with_bias(node: onnx.NodeProto, users: Sequence[onnx.NodeProto], weights: Mapping[str, onnx.TensorProto]) -> Dense:
    output = node.output[0]
    if len(users) == 1 and users[0].op_type == "Add":
        other = next((name for name in users[0].input if name != output), "")
        if other in weights and len(weights[other].dims) == 1:
            total = users[0].output[0]
            return Dense(node.name, node.input[0], node.input[1], other, total, (output, total))
    return Dense(node.name, node.input[0], node.input[1], None, output, (output,))


def normalised(graph: onnx.GraphProto) -> dict[str, onnx.NodeProto]:
    """LayerNormalization nodes with constant scale and bias, by output."""
    known = {tensor.name for tensor in graph.initializer}
    return {
        node.output[0]: node
        for node in graph.node
        if node.op_type == "LayerNormalization" and len(node.input) == 3 and set(node.input[1:]) <= known
    }


def rewrite(model: onnx.ModelProto, ranges: Mapping[str, Range], keep: frozenset[str], levels: int) -> None:
    """Quantize the dense layers in place, but for those named in `keep`.

    Args:
        model: a float32 graph.
        ranges: of every tensor that feeds a dense layer.
        keep: names of MatMul nodes that stay in float32.
        levels: quantization levels of a weight on each side of 0.
    """
    graph = model.graph
    layers = [layer for layer in dense_layers(graph) if layer.name not in keep]
    by_replaced = {name: layer for layer in layers for name in layer.replaced}
    fed: dict[str, list[Dense]] = {}
    for layer in layers:
        fed.setdefault(layer.activation, []).append(layer)
    work = Rewriting(graph, levels)
    norms = normalised(graph)
    for node in graph.node:
        found = by_replaced.get(node.output[0])
        if found is None:
            work.nodes.append(node)
            if node.output[0] in norms and node.output[0] in fed:
                _quantize_normalised(work, node, fed[node.output[0]], ranges[node.output[0]])
        elif node.op_type == "MatMul" and found.activation not in norms:
            _quantize_per_token(work, found, ranges[found.activation])
    work.finish()
    if all(entry.domain != "com.microsoft" for entry in model.opset_import):
        model.opset_import.append(helper.make_opsetid("com.microsoft", 1))


def _quantize_normalised(work: Rewriting, norm: onnx.NodeProto, layers: Sequence[Dense], seen: Range) -> None:
    """The dense layers behind a normalisation: evened out, one static scale, one pass of QuantizeLinear."""
    name = norm.output[0]
    matrices = [_matrix(work, layer) for layer in layers]  # (channels, columns) each
    even = _even(seen.peak, np.max([np.abs(matrix).max(axis=1) for matrix in matrices], axis=0))  # (channels,)
    low, high = min(0.0, float((seen.low / even).min())), max(0.0, float((seen.high / even).max()))
    step = max(high - low, 1e-6) / 255
    evened = _second_norm(work, norm, even)
    scale = work.constant(f"{name}_step", np.float32(step))
    zero = work.constant(f"{name}_zero", np.uint8(np.clip(round(-low / step), 0, 255)))
    quantized = work.add("QuantizeLinear", [evened, scale, zero], f"{name}_uint8")
    for layer, matrix in zip(layers, matrices, strict=True):
        weight, columns = _integers(work, layer, matrix * even[:, None])
        inputs = [quantized, weight, scale, columns, zero, "", *([layer.bias] if layer.bias else [])]
        work.add("MatMulIntegerToFloat", inputs if layer.bias else inputs[:5], layer.output, "com.microsoft")


def _second_norm(work: Rewriting, norm: onnx.NodeProto, even: Floats) -> str:
    """The normalisation once more with its channels evened out; the residual goes on reading the first."""
    name = norm.output[0]
    scale, bias = (numpy_helper.to_array(work.weights[entry]) for entry in norm.input[1:])
    inputs = [
        norm.input[0],
        work.constant(f"{name}_even_scale", (scale / even).astype(np.float32)),
        work.constant(f"{name}_even_bias", (bias / even).astype(np.float32)),
    ]
    attributes = {attribute.name: helper.get_attribute_value(attribute) for attribute in norm.attribute}
    return work.add("LayerNormalization", inputs, f"{name}_even", **attributes)


def _quantize_per_token(work: Rewriting, layer: Dense, seen: Range) -> None:
    """A dense layer whose activations get a scale a token."""
    zero = _zero_point(seen)
    quantized, step = _per_token(work, layer.activation, seen, zero)
    weight, columns = _integers(work, layer, _matrix(work, layer))
    one, around = work.constant("per_token_one", np.float32(1)), work.constant(f"zero_{zero}", np.uint8(zero))
    name = layer.output
    inputs = [quantized, weight, one, columns, around]
    product = work.add("MatMulIntegerToFloat", inputs, f"{name}_product", "com.microsoft")
    if layer.bias is None:
        work.add("Mul", [product, step], name)
    else:
        work.add("Add", [work.add("Mul", [product, step], f"{name}_scaled"), layer.bias], name)


def _zero_point(seen: Range) -> int:
    """Where 0 lies among the 256 levels: low for what is hardly ever negative (GELU), which then has finer steps.

    A token's step is its peak over the levels above 0; those below must reach as far down as calibration saw.
    """
    lowest = max(0.0, -float(seen.low.min()))
    if seen.least_peak <= 0:
        return _ZERO_POINT
    return min(_ZERO_POINT, int(np.ceil(255 * lowest / (seen.least_peak + lowest))))


def _per_token(work: Rewriting, name: str, seen: Range, zero: int) -> tuple[str, str]:
    """Nodes that quantize a tensor per token, made once; (quantized, step), step of shape (batch, tokens, 1)."""
    quantized, step = f"{name}_uint8", f"{name}_step"
    if any(quantized in node.output for node in work.nodes):
        return quantized, step
    two_sided = zero == _ZERO_POINT
    values = work.add("Abs", [name], f"{name}_abs") if two_sided else name
    peak = work.add("ReduceMax", [values, _last_axis(work)], f"{name}_max", keepdims=1)
    least = 1e-10 if two_sided else seen.least_peak  # a lower peak would leave too few levels below 0
    peak = work.add("Max", [peak, work.constant(f"{name}_least", np.float32(least))], f"{name}_peak")
    full = work.constant(f"levels_{zero}", np.float32(255 - zero))
    scaled = work.add("Mul", [name, work.add("Div", [full, peak], f"{name}_inverse")], f"{name}_scaled")
    one, around = work.constant("per_token_one", np.float32(1)), work.constant(f"zero_{zero}", np.uint8(zero))
    work.add("QuantizeLinear", [scaled, one, around], quantized)
    work.add("Div", [peak, full], step)
    return quantized, step


def _last_axis(work: Rewriting) -> str:
    return work.constant("per_token_axis", np.array([-1], dtype=np.int64))


def _matrix(work: Rewriting, layer: Dense) -> Floats:
    matrix: Floats = numpy_helper.to_array(work.weights[layer.weight]).astype(np.float32)
    return matrix


def _integers(work: Rewriting, layer: Dense, matrix: Floats) -> tuple[str, str]:
    """A weight matrix as int8 with one scale a column; names of both."""
    scale = np.maximum(np.abs(matrix).max(axis=0) / work.levels, np.float32(1e-12)).astype(np.float32)  # (columns,)
    values = np.clip(np.round(matrix / scale), -work.levels, work.levels).astype(np.int8)
    return work.constant(f"{layer.name}_int8", values), work.constant(f"{layer.name}_scale", scale)


def _even(activations: Floats, weights: Floats) -> Floats:
    """SmoothQuant's scale per channel, normalised to a geometric mean of 1."""
    scale = (activations + 1e-6) ** _ALPHA / (weights + 1e-6) ** (1 - _ALPHA)
    scale = scale / np.exp(np.log(scale).mean())
    bounded: Floats = np.clip(scale, 1 / _MAX_SCALE, _MAX_SCALE).astype(np.float32)
    return bounded
