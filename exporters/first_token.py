"""A classifier reads one token of its last layer, so that layer need not be computed for the others. Exact.

Where a graph ends in Gather(hidden states, axis 1, one index), the Gather is moved up through everything that
treats tokens one by one (dense layers, activations, normalisation, residuals) until something mixes tokens:
attention. Of a six-layer encoder an eighth of all multiplications goes, and the answers stay what they were.
After `checkpoint` exports a graph, before `quantize`. Limits: a graph of another shape is left as it is.
"""

from collections.abc import Iterable

import numpy as np
import onnx
from onnx import helper, numpy_helper

# Nodes that work on each token alone; MatMul does when its right side is a weight matrix.
_TOKENWISE = {"Add", "Sub", "Mul", "Div", "Pow", "Sqrt", "Erf", "Tanh", "Relu", "Gelu", "LayerNormalization", "MatMul"}
_INDEX = "first_token_index"


def keep_one_token(model: onnx.ModelProto) -> int:
    """Rewrite the model in place; returns how many nodes now work on one token instead of all."""
    graph = model.graph
    _read_weights_directly(graph)
    gather = _reader(graph)
    if gather is None:
        return 0
    region = _region(graph, gather)
    if region:
        index = np.asarray(_index_value(graph, gather), dtype=np.int64).reshape(1)
        graph.initializer.append(numpy_helper.from_array(index, _INDEX))
        _gather_inputs(graph, region)
        # What reached the old Gather is (batch, 1, width) now: its only token is number 0.
        graph.initializer.append(numpy_helper.from_array(np.asarray(0, dtype=np.int64), f"{_INDEX}_left"))
        gather.input[1] = f"{_INDEX}_left"
    return len(region)


def _read_weights_directly(graph: onnx.GraphProto) -> None:
    """Weights that are equal are exported once, and reach their other readers through Identity nodes."""
    weights = {tensor.name for tensor in graph.initializer}
    shared = {n.output[0]: n.input[0] for n in graph.node if n.op_type == "Identity" and n.input[0] in weights}
    for node in graph.node:
        for place, name in enumerate(node.input):
            node.input[place] = shared.get(name, name)
    if shared:
        _replace_nodes(graph, (node for node in graph.node if not shared.keys() & set(node.output)))


def _reader(graph: onnx.GraphProto) -> onnx.NodeProto | None:
    """The one Gather along axis 1 with a constant index from which everything after it follows; None without."""
    found = [
        node
        for node in graph.node
        if node.op_type == "Gather" and _axis(node) == 1 and _index_value(graph, node) is not None
    ]
    return found[0] if len(found) == 1 else None


def _axis(node: onnx.NodeProto) -> int:
    return next((attribute.i for attribute in node.attribute if attribute.name == "axis"), 0)


def _index_value(graph: onnx.GraphProto, node: onnx.NodeProto) -> int | None:
    """The scalar constant that a Gather reads; None when it is computed or is a list."""
    for tensor in graph.initializer:
        if tensor.name == node.input[1]:
            return int(numpy_helper.to_array(tensor)) if not tensor.dims else None
    for other in graph.node:
        if other.op_type == "Constant" and node.input[1] in other.output:
            value = numpy_helper.to_array(other.attribute[0].t)
            return int(value) if value.ndim == 0 else None
    return None


def _region(graph: onnx.GraphProto, gather: onnx.NodeProto) -> set[str]:
    """Outputs of the token-wise nodes that nothing but the Gather, or each other, reads."""
    fixed = _constants(graph)
    outputs = {output.name for output in graph.output}
    readers: dict[str, list[onnx.NodeProto]] = {}
    for node in graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    region: set[str] = set()
    for node in reversed(graph.node):
        if len(node.output) != 1 or node.output[0] in outputs or not _tokenwise(node, fixed):
            continue
        users = readers.get(node.output[0], [])
        if users and all(user is gather or set(user.output) <= region for user in users):
            region.add(node.output[0])
    return region


def _tokenwise(node: onnx.NodeProto, fixed: set[str]) -> bool:
    if node.op_type == "MatMul":
        return node.input[1] in fixed and node.input[0] not in fixed
    return node.op_type in _TOKENWISE


def _constants(graph: onnx.GraphProto) -> set[str]:
    """Names of weights and constants, which have no tokens."""
    return {tensor.name for tensor in graph.initializer} | {
        name for node in graph.node if node.op_type == "Constant" for name in node.output
    }


def _gather_inputs(graph: onnx.GraphProto, region: set[str]) -> None:
    """What enters the region from outside is gathered first, once a tensor."""
    fixed = _constants(graph)
    gathered: dict[str, str] = {}
    nodes: list[onnx.NodeProto] = []
    for node in graph.node:
        if set(node.output) & region:
            for place, name in enumerate(node.input):
                if not name or name in fixed or name in region:
                    continue
                if name not in gathered:
                    gathered[name] = f"{name}_one_token"
                    nodes.append(helper.make_node("Gather", [name, _INDEX], [gathered[name]], gathered[name], axis=1))
                node.input[place] = gathered[name]
        nodes.append(node)
    _replace_nodes(graph, nodes)


def _replace_nodes(graph: onnx.GraphProto, nodes: Iterable[onnx.NodeProto]) -> None:
    kept = [*nodes]
    del graph.node[:]
    graph.node.extend(kept)
