"""The gRPC form of inference: a message to a request, an answer to the fields of a message.

Data is raw, as Triton's client sends it, or in typed contents; an answer has the form that its request had.
Before: `serving.v2.rpc`; after: `serving.v2.infer`. Source: KServe `grpc_predict_v2.proto`.
"""

from typing import Any

import numpy as np

from serving.v2 import tensors
from serving.v2.infer import InferAnswer, InferRequest
from serving.v2.tensors import BYTES, Sent, Tensor
from tidegate.errors import MalformedRequest

_TYPED = {
    "BOOL": "bool_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    BYTES: "bytes_contents",
}


def decode(request: Any) -> InferRequest:
    """A request from its message.

    Raises:
        MalformedRequest: raw and typed contents are mixed, or there are not as many raw ones as inputs.
    """
    raw = request.raw_input_contents
    if raw and len(raw) != len(request.inputs):
        raise MalformedRequest(f"{len(raw)} raw contents for {len(request.inputs)} inputs; send one for each")
    inputs = [_sent(tensor, raw[index] if raw else None) for index, tensor in enumerate(request.inputs)]
    outputs = [output.name for output in request.outputs]
    for output in request.outputs:
        if "classification" in output.parameters:
            raise MalformedRequest(f"{output.name[:80]!r} is wanted as a classification; it comes as tensors")
    parameters = {name: _chosen(value) for name, value in request.parameters.items()}
    return InferRequest(request.id, parameters, inputs, outputs)


def encode(answer: InferAnswer, *, raw: bool) -> dict[str, Any]:
    """The fields of an answer: data as the request had it, raw or typed."""
    fields: dict[str, Any] = {
        "model_name": answer.target.name,
        "model_version": str(answer.version),
        "id": answer.id,
        "outputs": [_output(output, typed=not raw) for output in answer.outputs],
    }
    if raw:
        fields["raw_output_contents"] = [tensors.packed(output) for output in answer.outputs]
    return fields


def _chosen(parameter: Any) -> Any:
    """The value of a parameter; 0 when it has none."""
    kind = parameter.WhichOneof("parameter_choice")
    return getattr(parameter, kind) if kind else 0


def _sent(tensor: Any, raw: bytes | None) -> Sent:
    shape = tensors.checked_shape(tensor.name[:80], list(tensor.shape))
    if any(key.startswith("shared_memory") for key in tensor.parameters):
        raise MalformedRequest(f"{tensor.name[:80]!r} is in shared memory, which is not read here; send its data")
    if raw is not None:
        if tensor.HasField("contents"):
            raise MalformedRequest(f"{tensor.name[:80]!r} has typed and raw contents; send one of them")
        return Sent(tensor.name, tensor.datatype, shape, memoryview(raw))
    contents = _TYPED.get(tensor.datatype)
    data = list(getattr(tensor.contents, contents)) if contents else []
    return Sent(tensor.name, tensor.datatype, shape, data)


def _output(output: Tensor, *, typed: bool) -> dict[str, Any]:
    about: dict[str, Any] = {"name": output.name, "datatype": output.datatype, "shape": list(output.shape)}
    if typed:
        data = output.data
        values = data.ravel().tolist() if isinstance(data, np.ndarray) else [text.encode() for text in data]
        about["contents"] = {_TYPED[output.datatype]: values}
    return about
