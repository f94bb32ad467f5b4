"""Numbers that a graph computes from shapes anew in each run, though every run gives the same, become constants.

torch exports the scale of attention as Sqrt(1 / Sqrt(last dimension of the queries)), eight nodes a layer; onnxruntime
folds none of it, because shapes are dynamic. Each node costs a run microseconds whatever its size. What is folded was
computed from shapes alone and came out the same on inputs of two different shapes.
Used by `invariant`; not on the graph that `quantize.fused` starts from, whose patterns it would hide.
"""

from collections.abc import Sequence

import numpy as np
import onnx
from onnx import numpy_helper

from tidegate.preprocess import Feeds

_SHAPES = ((1, 5), (3, 7))  # batch, tokens; no two numbers alike


def fold_constants(model: onnx.ModelProto) -> int:
    """Fold in place; returns how many nodes are gone. Token-id inputs of shape (batch, tokens) only."""
    graph = model.graph
    if any(len(entry.type.tensor_type.shape.dim) != 2 for entry in graph.input):
        return 0
    names = _candidates(graph)
    first, second = (_values(model, names, shape) for shape in _SHAPES)
    constant = {
        name: one
        for name, one, other in zip(names, first, second, strict=True)
        if one.dtype == np.float32 and one.size == 1 and np.array_equal(one, other)
    }
    before = len(graph.node)
    kept = [node for node in graph.node if not constant.keys() & set(node.output)]
    read = {name for node in kept for name in node.input}
    graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in constant.items() if name in read)
    _keep(graph, kept)
    return before - len(graph.node)


def _candidates(graph: onnx.GraphProto) -> list[str]:
    """Outputs that depend on shapes and constants alone, the shapes left out."""
    fixed = {tensor.name for tensor in graph.initializer}
    found = []
    for node in graph.node:
        if node.op_type in ("Shape", "Constant"):
            fixed.update(node.output)
        elif len(node.output) == 1 and node.input and all(name in fixed for name in node.input if name):
            fixed.add(node.output[0])
            found.append(node.output[0])
    return found


def _values(model: onnx.ModelProto, names: Sequence[str], shape: tuple[int, int]) -> list[np.ndarray]:
    import onnxruntime

    watched = onnx.ModelProto()
    watched.CopyFrom(model)
    watched.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(watched.SerializeToString(), options, providers=["CPUExecutionProvider"])
    feeds: Feeds = {entry.name: np.ones(shape, dtype=np.int64) for entry in session.get_inputs()}
    return list(session.run(list(names), feeds)) if names else []


def _keep(graph: onnx.GraphProto, nodes: Sequence[onnx.NodeProto]) -> None:
    """Put the nodes into the graph, but for those that nothing reads any more."""
    needed = {output.name for output in graph.output}
    alive = []
    for node in reversed(nodes):
        if needed & set(node.output):
            needed.update(node.input)
            alive.append(node)
    del graph.node[:]
    graph.node.extend(reversed(alive))
