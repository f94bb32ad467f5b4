"""A linear text classifier as a small ONNX graph: gather the terms' coefficients, sum, add, squash.

After `tidegate.tfidf` has turned text into (indices, values); before a session. Rows are independent, so an
answer never depends on batch-mates. The int8 form keeps the coefficients in int8 with one scale a class
(weight-only, symmetric, per channel) and computes in float32.

Source of the squashing: scikit-learn `SGDClassifier._predict_proba` (log_loss: one-vs-rest sigmoid,
normalised) and `LogisticRegression.predict_proba` (softmax for several classes).
"""

from typing import Any, Literal

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

Squash = Literal["one_vs_rest", "softmax"]
_OPSET = 17
_IR_VERSION = 8


def linear_graph(
    coefficients: NDArray[np.float64], intercept: NDArray[np.float64], squash: Squash, *, int8: bool = False
) -> onnx.ModelProto:
    """Build the graph.

    Args:
        coefficients: (classes, terms), or (1, terms) for a binary one-vs-rest classifier.
        intercept: (classes,) or (1,).
        squash: how scores become probabilities.
        int8: keep the coefficients in int8.

    Returns:
        A model with inputs `indices` int64 and `values` float32, both (batch, terms), where index `terms`
        is padding, and one output `probabilities` float32 (batch, classes).
    """
    table = np.vstack([coefficients.T, np.zeros((1, len(coefficients)))])  # (terms + 1, classes); last row: padding
    weights, gather = _int8_gather(table) if int8 else _fp32_gather(table)
    weights["intercept"] = intercept.astype(np.float32)
    weights["axis_one"] = np.array([1], dtype=np.int64)
    nodes = [
        *gather,  # -> gathered (batch, terms, classes)
        helper.make_node("Unsqueeze", ["values", "axis_one"], ["row"]),  # (batch, 1, terms)
        helper.make_node("MatMul", ["row", "gathered"], ["summed"]),  # (batch, 1, classes)
        helper.make_node("Squeeze", ["summed", "axis_one"], ["scaled_by_class"]),  # (batch, classes)
        *([helper.make_node("Mul", ["scaled_by_class", "scale"], ["weighted"])] if int8 else []),
        helper.make_node("Add", ["weighted" if int8 else "scaled_by_class", "intercept"], ["scores"]),
        *_squash_nodes(squash, binary=len(coefficients) == 1, weights=weights),
    ]
    return _model(nodes, weights, classes=max(2, len(coefficients)))


def _fp32_gather(table: NDArray[np.float64]) -> tuple[dict[str, NDArray[Any]], list[onnx.NodeProto]]:
    gather = helper.make_node("Gather", ["coefficients", "indices"], ["gathered"])
    return {"coefficients": table.astype(np.float32)}, [gather]


def _int8_gather(table: NDArray[np.float64]) -> tuple[dict[str, NDArray[Any]], list[onnx.NodeProto]]:
    scale = np.maximum(np.abs(table).max(axis=0) / 127.0, 1e-12)  # (classes,)
    weights: dict[str, NDArray[Any]] = {
        "coefficients": np.round(table / scale).astype(np.int8),
        "scale": scale.astype(np.float32),
    }
    return weights, [
        helper.make_node("Gather", ["coefficients", "indices"], ["gathered_int8"]),
        helper.make_node("Cast", ["gathered_int8"], ["gathered"], to=TensorProto.FLOAT),
    ]


def _squash_nodes(squash: Squash, *, binary: bool, weights: dict[str, NDArray[Any]]) -> list[onnx.NodeProto]:
    if squash == "softmax" and not binary:
        return [helper.make_node("Softmax", ["scores"], ["probabilities"], axis=1)]
    if binary:
        sigmoid = helper.make_node("Sigmoid", ["scores"], ["positive"])
        weights["one"] = np.array(1.0, dtype=np.float32)
        return [
            sigmoid,
            helper.make_node("Sub", ["one", "positive"], ["negative"]),
            helper.make_node("Concat", ["negative", "positive"], ["probabilities"], axis=1),
        ]
    # sigmoid(s) / sum of sigmoids, as softmax(log sigmoid(s)): a text that is far from every class would
    # otherwise be 0 / 0 in float32.
    return [
        helper.make_node("Neg", ["scores"], ["against"]),
        helper.make_node("Softplus", ["against"], ["loss"]),  # -log sigmoid(scores)
        helper.make_node("Neg", ["loss"], ["log_positive"]),
        helper.make_node("Softmax", ["log_positive"], ["probabilities"], axis=1),
    ]


def _model(nodes: list[onnx.NodeProto], weights: dict[str, NDArray[Any]], classes: int) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes,
        "linear_text_classifier",
        [
            helper.make_tensor_value_info("indices", TensorProto.INT64, ["batch", "terms"]),
            helper.make_tensor_value_info("values", TensorProto.FLOAT, ["batch", "terms"]),
        ],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["batch", classes])],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)])
    model.ir_version = _IR_VERSION
    onnx.checker.check_model(model)
    return model
