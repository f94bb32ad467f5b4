"""A classifier's second output, `embedding`: what the text is about, for monitoring, whatever the labels make of it.

The mean over a text's tokens (padding left out) of what enters the layer in the middle: drift of the domain shows
there best, because fine-tuning bends the upper layers towards the labels (docs/explanation/drift.md has the figures).
After `first_token`, which leaves that layer whole, before `quantize`, whose tools carry the output along.
Limits: attention whose queries, keys and values are dense layers of one tensor, (batch, tokens, hidden), and an input
`attention_mask`; another graph stays as it is, and is monitored without embeddings.
"""

from collections.abc import Sequence

import numpy as np
import onnx
from onnx import TensorProto, helper

from exporters.int8_graph import dense_layers
from exporters.pooling import append_mean
from tidegate.bundle import TensorSpec
from tidegate.session import EMBEDDING

_SHAPE = (2, 5)  # batch, tokens of the trial; not alike, so that swapped axes show


def append_embedding(model: onnx.ModelProto) -> Sequence[TensorSpec]:
    """Append the output to a graph, in place, unless it has one.

    Returns:
        What the manifest says of it; nothing where it cannot be had.
    """
    hidden = _middle(model.graph)
    if hidden is None or "attention_mask" not in {entry.name for entry in model.graph.input}:
        return ()
    name, width = hidden
    extended = onnx.ModelProto()
    extended.CopyFrom(model)
    if EMBEDDING not in {output.name for output in model.graph.output}:
        append_mean(extended.graph, name, EMBEDDING)
        extended.graph.output.append(helper.make_tensor_value_info(EMBEDDING, TensorProto.FLOAT, ["batch_size", width]))
    if not _runs(extended, width):
        return ()
    model.CopyFrom(extended)
    return (TensorSpec(name=EMBEDDING, datatype="FP32", shape=(-1, width)),)


def _middle(graph: onnx.GraphProto) -> tuple[str, int] | None:
    """The tensor that enters attention in the middle layer, and its width; None in a graph without attention."""
    widths = {tensor.name: tensor.dims[0] for tensor in graph.initializer if len(tensor.dims) == 2}
    readers: dict[str, list[int]] = {}
    for layer in dense_layers(graph):
        readers.setdefault(layer.activation, []).append(widths[layer.weight])
    entries = [(name, found[0]) for name, found in readers.items() if len(found) >= 3]  # queries, keys and values
    return entries[len(entries) // 2] if entries else None


def _runs(model: onnx.ModelProto, width: int) -> bool:
    """Whether the graph answers one vector a text; only a run tells for sure which axis holds the tokens."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        (vectors,) = session.run([EMBEDDING], {name.name: np.ones(_SHAPE, np.int64) for name in session.get_inputs()})
    except Exception:  # onnxruntime raises bare classes of its own C extension
        return False
    return bool(vectors.shape == (_SHAPE[0], width))
