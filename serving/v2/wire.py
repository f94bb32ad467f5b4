"""The REST form of inference: JSON, with or without raw tensors behind it, to a request; an answer back to bytes.

`Inference-Header-Content-Length` says how many bytes of the body are JSON; the tensors that give a `binary_data_size`
follow in their order. 0 means that there is no JSON at all: the body is the one input of the model, and everything is
answered in binary. Bodies may be packed with gzip or deflate; unpacked they are held to the same limit.
Before: `serving.body`; after: `serving.v2.infer`. Sources: KServe V2 protocol; Triton, binary tensor data extension.
"""

import gzip
import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import orjson

from serving.body import decode_json, json_type
from serving.v2.infer import InferAnswer, InferRequest
from serving.v2.tensors import BYTES, DTYPES, Sent, Spec, Tensor, checked_shape, packed
from tidegate.errors import MalformedRequest, PayloadTooLarge, UnsupportedMediaType

HEADER_LENGTH = "inference-header-content-length"
PACKED = (b"gzip", b"deflate")
# An answer that fits into one packet gains nothing.
WORTH_PACKING_BYTES = 1_400
_ZLIB_OR_GZIP = zlib.MAX_WBITS + 32  # zlib: detect which of the two it is
_PACKING_LEVEL = 1  # the fastest: numbers hardly shrink further


@dataclass(frozen=True, slots=True)
class Forms:
    """Which outputs are wanted in binary: by name, and else all or none."""

    default: bool = False
    by_output: Mapping[str, bool] = field(default_factory=dict)

    def binary(self, output: str) -> bool:
        """Whether this one is."""
        return self.by_output.get(output, self.default)


def unpack(body: bytes, coding: bytes, limit: int) -> bytes:
    """The body without its content coding.

    Raises:
        UnsupportedMediaType: a coding other than gzip or deflate.
        MalformedRequest: damaged, or something follows it.
        PayloadTooLarge: more than `limit` bytes; no more than that are ever unpacked.
    """
    coding = coding.strip().lower()
    if coding in (b"", b"identity"):
        return body
    if coding not in PACKED:
        raise UnsupportedMediaType(f"content-encoding {coding[:80].decode('latin-1')!r}; send gzip, deflate or none")
    unpacking = zlib.decompressobj(_ZLIB_OR_GZIP)
    try:
        plain = unpacking.decompress(body, limit + 1)
    except zlib.error:
        raise MalformedRequest(f"the body is not what its content-encoding says, {coding.decode()}") from None
    if len(plain) > limit:
        raise PayloadTooLarge(f"the body unpacks to more than {limit} bytes, the most that one request may have")
    if not unpacking.eof or unpacking.unused_data:
        raise MalformedRequest("the packed body is cut short, or something follows it")
    return plain


def pack(body: bytes, accepted: str) -> tuple[bytes, str]:
    """An answer as its caller accepts it: packed and the name of the coding, or as it is and nothing."""
    if len(body) < WORTH_PACKING_BYTES or not accepted:
        return body, ""
    parts = [part.partition(";") for part in accepted.lower().replace(" ", "").split(",")]
    codings = {coding for coding, _, weight in parts if weight.rstrip("0.") != "q="}  # a weight of 0 is a no
    if "gzip" in codings:
        return gzip.compress(body, _PACKING_LEVEL, mtime=0), "gzip"
    if "deflate" in codings:
        return zlib.compress(body, _PACKING_LEVEL), "deflate"
    return body, ""


def header_length(sent: bytes) -> int | None:
    """Bytes of JSON, from the header of that name; None where it is not sent.

    Raises:
        MalformedRequest: no whole number.
    """
    if not sent:
        return None
    if not sent.isdigit() or len(sent) > 10:
        shown = sent[:80].decode("latin-1")
        raise MalformedRequest(f"{HEADER_LENGTH} is {shown!r}; send the number of bytes of JSON")
    return int(sent)


def decode(body: bytes, length: int | None) -> tuple[InferRequest, Forms]:
    """A request, and how it wants its answer.

    Raises:
        MalformedRequest: not the protocol's shape, or binary data that is not as long as it says.
    """
    if length is not None and length > len(body):
        raise MalformedRequest(f"{HEADER_LENGTH} is {length} and the body has {len(body)} bytes")
    view = memoryview(body)
    document = _object(decode_json(body if length is None else bytes(view[:length])), "the request")
    parameters = _object(document.get("parameters", {}), "parameters")
    request_id = document.get("id", "")
    if not isinstance(request_id, str):
        raise MalformedRequest(f"id is {json_type(request_id)}; send a string")
    outputs, by_output = _outputs(document.get("outputs"))
    behind = view[len(body) if length is None else length :]
    request = InferRequest(request_id, parameters, _inputs(document, behind), outputs)
    return request, Forms(parameters.get("binary_data_output") is True, by_output)


def decode_raw(body: bytes, specs: Sequence[Spec]) -> tuple[InferRequest, Forms]:
    """A request that is nothing but its one input; BYTES are one text, without a length in front.

    Raises:
        MalformedRequest: the model has several inputs, or the shape cannot be told from the size.
    """
    if len(specs) != 1:
        raise MalformedRequest(f"a raw request is for models of one input; this one takes {len(specs)}")
    [spec] = specs
    if spec.datatype == BYTES:
        return InferRequest("", {}, [Sent(spec.name, BYTES, (1,), [body])], ()), Forms(default=True)
    fixed = math.prod(size for size in spec.shape if size != -1) * DTYPES[spec.datatype].itemsize
    if spec.shape.count(-1) > 1 or not body or len(body) % fixed:
        raise MalformedRequest(f"{len(body)} raw bytes do not tell the shape of {spec.name!r}, {list(spec.shape)}")
    shape = tuple(len(body) // fixed if size == -1 else size for size in spec.shape)
    return InferRequest("", {}, [Sent(spec.name, spec.datatype, shape, memoryview(body))], ()), Forms(default=True)


def encode(answer: InferAnswer, forms: Forms) -> tuple[bytes, int | None]:
    """The body of an answer, and how much of it is JSON where tensors follow."""
    behind: list[bytes] = []
    document: dict[str, Any] = {"model_name": answer.target.name, "model_version": str(answer.version)}
    if answer.id:
        document["id"] = answer.id
    document["outputs"] = [_described(output, behind, binary=forms.binary(output.name)) for output in answer.outputs]
    written = orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY)
    return (b"".join([written, *behind]), len(written)) if behind else (written, None)


def _described(output: Tensor, behind: list[bytes], *, binary: bool) -> dict[str, Any]:
    """The JSON of one output; its data goes behind where it is wanted in binary."""
    about = {"name": output.name, "datatype": output.datatype, "shape": list(output.shape)}
    if binary:
        behind.append(packed(output))
        return about | {"parameters": {"binary_data_size": len(behind[-1])}}
    data = output.data
    return about | {"data": np.ascontiguousarray(data).ravel() if isinstance(data, np.ndarray) else data}


def _inputs(document: Mapping[str, Any], behind: memoryview) -> list[Sent]:
    """The inputs, with the bytes behind the JSON handed out in their order."""
    sent = document.get("inputs")
    if not isinstance(sent, list) or not sent:
        raise MalformedRequest("inputs must be a list of tensors, one or more")
    inputs: list[Sent] = []
    at = 0
    for index, each in enumerate(sent):
        tensor = _object(each, f"input {index}")
        name, datatype = tensor.get("name"), tensor.get("datatype")
        if not isinstance(name, str) or not isinstance(datatype, str):
            raise MalformedRequest(f"input {index} needs a name and a datatype, both strings")
        size = _binary_size(name, tensor)
        if size is not None and size > len(behind) - at:
            left = len(behind) - at
            raise MalformedRequest(f"{name[:80]!r} says it has {size} bytes behind the JSON, and {left} are left")
        data = _json_data(name, tensor) if size is None else behind[at : at + size]
        at += size or 0
        inputs.append(Sent(name, datatype, checked_shape(name[:80], tensor.get("shape")), data))
    if at != len(behind):
        raise MalformedRequest(f"{len(behind) - at} bytes behind the JSON belong to no input")
    return inputs


def _binary_size(name: str, tensor: Mapping[str, Any]) -> int | None:
    """Bytes that an input has behind the JSON; None when its data is in the JSON."""
    parameters = _object(tensor.get("parameters", {}), f"parameters of {name[:80]!r}")
    if any(key.startswith("shared_memory") for key in parameters):
        raise MalformedRequest(f"{name[:80]!r} is in shared memory, which is not read here; send its data")
    size = parameters.get("binary_data_size")
    if size is None:
        return None
    if isinstance(size, bool) or not isinstance(size, int) or size < 0 or "data" in tensor:
        raise MalformedRequest(f"binary_data_size of {name[:80]!r} must be a whole number, without data beside it")
    return size


def _json_data(name: str, tensor: Mapping[str, Any]) -> list[Any]:
    data = tensor.get("data")
    if not isinstance(data, list):
        raise MalformedRequest(f"data of {name[:80]!r} must be a list, or binary_data_size says how much follows")
    return data


def _outputs(sent: Any) -> tuple[list[str], dict[str, bool]]:
    """Names of the outputs that are wanted, and for some of them whether in binary."""
    if sent is None:
        return [], {}
    if not isinstance(sent, list):
        raise MalformedRequest(f"outputs is {json_type(sent)}; send a list of names in objects, or leave it out")
    names: list[str] = []
    binary: dict[str, bool] = {}
    for index, each in enumerate(sent):
        output = _object(each, f"output {index}")
        name = output.get("name")
        if not isinstance(name, str):
            raise MalformedRequest(f"output {index} needs a name, a string")
        parameters = _object(output.get("parameters", {}), f"parameters of {name[:80]!r}")
        if "classification" in parameters or any(key.startswith("shared_memory") for key in parameters):
            raise MalformedRequest(
                f"{name[:80]!r} is wanted as a classification or in shared memory; tensors are all there is"
            )
        names.append(name)
        if isinstance(parameters.get("binary_data"), bool):
            binary[name] = parameters["binary_data"]
    return names, binary


def _object(value: Any, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise MalformedRequest(f"{what} must be a JSON object, not {json_type(value)}")
    return value
