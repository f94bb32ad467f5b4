"""A classifier's second output, `embedding`: what the text is about, for monitoring, whatever the labels make of it.

The mean over a text's tokens (padding left out) of what enters the layer in the middle: drift of the domain shows
there best, because fine-tuning bends the upper layers towards the labels (docs/explanation/drift.md says why).
After `first_token`, which leaves that layer whole, before `quantize`, whose tools carry the output along; `aligned`
takes back what int8 does to its mean.
Limits: attention whose queries, keys and values are dense layers of one tensor, (batch, tokens, hidden), and an input
`attention_mask`; another graph stays as it is, and is monitored without embeddings.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from exporters.convert import GRAPH
from exporters.int8_graph import dense_layers
from exporters.pooling import append_mean
from tidegate.bundle import TensorSpec, Variant
from tidegate.devices import choose, cores
from tidegate.preprocess import Feeds
from tidegate.session import EMBEDDING, Session

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


def aligned(versions: Iterable[Variant], folder: Path, feeds: Sequence[Feeds]) -> Iterator[Variant]:
    """Let int8 variants answer embeddings with the mean that float32 has on calibration texts.

    Rounding moves every embedding a little the same way. Large windows would show that as drift where another variant
    serves than the reference was made with; a constant in the graph takes it back (bias correction, as in Nagel et al.
    2019, "Data-Free Quantization"). On a fine-tuned MiniLM the windows in which rounding shows as much as chance does
    grow from 1,800 texts to 131,000 (invariant int8), from 170 to 19,000 (dynamic int8); bfloat16, left as it is, has
    163,000. What the first output answers stays as it is.

    Args:
        versions: of a variant, as they are written into `folder`.
        folder: holds the float32 graph too.
        feeds: graph inputs of calibration texts, one text each.
    """
    for variant in versions:
        if variant.precision == "int8":
            exact, rounded = (_mean(folder / file, feeds) for file in (GRAPH, variant.file))
            if exact is not None and rounded is not None:
                _shift(folder / variant.file, exact - rounded)
        yield variant


def _mean(file: Path, feeds: Sequence[Feeds]) -> NDArray[np.float64] | None:
    """Mean embedding of the texts, (hidden,); None of a graph without embeddings."""
    session = Session.open(file, choose("cpu", ()), cores())
    total: NDArray[np.float64] | None = None
    for feed in feeds:
        embedding = session.run(feed).embedding  # (1, hidden)
        if embedding is None:
            return None
        total = embedding[0] + (0.0 if total is None else total)
    return None if total is None else total / len(feeds)


def _shift(file: Path, by: NDArray[np.float64]) -> None:
    """Add a constant, (hidden,), to the embeddings of a graph."""
    model = onnx.load(str(file))
    for node in model.graph.node:
        node.output[:] = [f"{name}_rounded" if name == EMBEDDING else name for name in node.output]
    model.graph.initializer.append(numpy_helper.from_array(by.astype(np.float32), f"{EMBEDDING}_shift"))
    inputs = [f"{EMBEDDING}_rounded", f"{EMBEDDING}_shift"]
    model.graph.node.append(helper.make_node("Add", inputs, [EMBEDDING], f"{EMBEDDING}_align"))
    onnx.save(model, str(file))


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
