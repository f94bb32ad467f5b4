"""Tensors as the protocol carries them: a name, a datatype, a shape, and data as JSON values or as raw bytes.

What a caller sends (`Sent`) is held against what the model takes (`Spec`) before a value is looked at, so sizes that
lie cost nothing; then raw bytes become arrays without a copy. BYTES are texts here, in UTF-8. Before:
`serving.v2.wire` or `serving.v2.rpc`; after: `serving.v2.infer`. Every fault is a 400 that names the tensor.
Source: Triton, binary tensor data extension (little-endian, row-major, BYTES with 4-byte lengths).
"""

import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tidegate.errors import MalformedRequest

BYTES = "BYTES"
DTYPES: Mapping[str, np.dtype[Any]] = {
    "BOOL": np.dtype("?"),
    "UINT8": np.dtype("u1"),
    "UINT16": np.dtype("<u2"),
    "UINT32": np.dtype("<u4"),
    "UINT64": np.dtype("<u8"),
    "INT8": np.dtype("i1"),
    "INT16": np.dtype("<i2"),
    "INT32": np.dtype("<i4"),
    "INT64": np.dtype("<i8"),
    "FP16": np.dtype("<f2"),
    "FP32": np.dtype("<f4"),
    "FP64": np.dtype("<f8"),
}
_LENGTH = struct.Struct("<I")
_MOST_DIMENSIONS = 8
# Kinds of numpy's reading of a JSON list that a datatype takes: 1 is a float, 1.0 is no integer, true is no number.
_JSON_KINDS = {"b": "b", "i": "iu", "u": "iu", "f": "iuf"}


@dataclass(frozen=True, slots=True)
class Spec:
    """One input or output of a model; -1 marks a variable dimension."""

    name: str
    datatype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Sent:
    """One tensor of a request, not looked into yet.

    Attributes:
        data: JSON values, nested or flat; or the bytes of the binary extension.
    """

    name: str
    datatype: str
    shape: tuple[int, ...]
    data: Sequence[Any] | memoryview


@dataclass(frozen=True, slots=True)
class Tensor:
    """One tensor of an answer; texts where the datatype is BYTES, else an array of that shape."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    data: Sequence[str] | NDArray[Any]


def checked_shape(name: str, dimensions: Any) -> tuple[int, ...]:
    """A shape as it was sent, if it is one.

    Raises:
        MalformedRequest: no list of whole numbers, 1 or more.
    """
    if not isinstance(dimensions, list) or len(dimensions) > _MOST_DIMENSIONS:
        raise MalformedRequest(f"shape of {name!r} must be a list of at most {_MOST_DIMENSIONS} whole numbers")
    for dimension in dimensions:
        if isinstance(dimension, bool) or not isinstance(dimension, int) or not 0 < dimension < 2**31:
            raise MalformedRequest(f"shape of {name!r} holds {str(dimension)[:40]}; send whole numbers, 1 or more")
    return tuple(dimensions)


def matched(sent: Sequence[Sent], specs: Sequence[Spec]) -> dict[str, Sent]:
    """The inputs of a request by name: each of those the model takes, once, of its datatype and rank.

    Raises:
        MalformedRequest: one is missing, unknown, there twice, or of another datatype or shape.
    """
    known = {spec.name: spec for spec in specs}
    found: dict[str, Sent] = {}
    for tensor in sent:
        spec = known.get(tensor.name)
        if spec is None:
            raise MalformedRequest(f"no input {tensor.name[:80]!r}; the model takes: {', '.join(known)}")
        if tensor.name in found:
            raise MalformedRequest(f"input {tensor.name!r} is there twice; send it once")
        found[tensor.name] = _fitting(tensor, spec)
    missing = [name for name in known if name not in found]
    if missing:
        raise MalformedRequest(f"input {missing[0]!r} is missing; the model takes: {', '.join(known)}")
    return found


def texts(tensor: Sent) -> list[str]:
    """The texts of a BYTES tensor, in row-major order.

    Raises:
        MalformedRequest: not as many as its shape says, or not text in UTF-8.
    """
    count = math.prod(tensor.shape)
    data = tensor.data
    elements: Sequence[Any] = _cut(tensor.name, data, count) if isinstance(data, memoryview) else _flat(data)
    if len(elements) != count:
        raise MalformedRequest(f"{tensor.name!r} holds {len(elements)} elements; its shape says {count}")
    return [_text(tensor.name, index, element) for index, element in enumerate(elements)]


def array(tensor: Sent) -> NDArray[Any]:
    """The array of a numeric tensor; where it came as bytes, a view of them unless they lie at an odd address.

    Raises:
        MalformedRequest: not as much as its shape says, or not of its datatype.
    """
    dtype = DTYPES[tensor.datatype]
    count = math.prod(tensor.shape)
    if isinstance(tensor.data, memoryview):
        wanted = count * dtype.itemsize
        if tensor.data.nbytes != wanted:
            raise MalformedRequest(
                f"{tensor.name!r} has {tensor.data.nbytes} bytes of data; its shape and datatype say {wanted}"
            )
        flat: NDArray[Any] = np.frombuffer(tensor.data, dtype)
        if dtype.kind == "b" and (flat.view("u1") > 1).any():
            raise MalformedRequest(f"{tensor.name!r} holds a byte that is neither 0 nor 1")
        # JSON of any length may stand in front; kernels may count on addresses that are multiples of the size.
        return np.require(flat, requirements=["ALIGNED"]).reshape(tensor.shape)
    return _from_json(tensor, dtype, count)


def packed(tensor: Tensor) -> bytes:
    """A tensor of an answer in the binary form."""
    if isinstance(tensor.data, np.ndarray):
        return tensor.data.astype(DTYPES[tensor.datatype], copy=False).tobytes()
    parts = []
    for text in tensor.data:
        element = text.encode()
        parts += [_LENGTH.pack(len(element)), element]
    return b"".join(parts)


def _fitting(tensor: Sent, spec: Spec) -> Sent:
    if tensor.datatype != spec.datatype:
        raise MalformedRequest(f"{spec.name!r} has datatype {tensor.datatype[:80]!r}; the model takes {spec.datatype}")
    shape = tensor.shape
    if len(shape) == len(spec.shape) + 1 and shape[-1] == 1:
        shape = shape[:-1]  # a column: what clients send who think in batches
    fits = len(shape) == len(spec.shape) and all(want in (-1, got) for got, want in zip(shape, spec.shape, strict=True))
    if not fits:
        raise MalformedRequest(f"shape of {spec.name!r} is {list(tensor.shape)}; the model takes {list(spec.shape)}")
    return Sent(tensor.name, tensor.datatype, shape, tensor.data)


def _from_json(tensor: Sent, dtype: np.dtype[Any], count: int) -> NDArray[Any]:
    wrong = MalformedRequest(f"data of {tensor.name!r} is no list of {tensor.datatype} values, nested evenly or flat")
    try:
        read: NDArray[Any] = np.asarray(tensor.data)
    except (ValueError, OverflowError):
        raise wrong from None
    if read.size != count or read.shape not in ((count,), tensor.shape):
        raise MalformedRequest(
            f"{tensor.name!r} holds data of shape {list(read.shape)}; send {count} values, flat or nested as its shape"
        )
    if read.dtype.kind not in _JSON_KINDS[dtype.kind]:
        raise wrong
    with np.errstate(over="ignore"):
        cast = read.astype(dtype).reshape(tensor.shape)
    if dtype.kind == "f" and not np.isfinite(cast).all():
        raise MalformedRequest(f"{tensor.name!r} holds a number that {tensor.datatype} does not reach")
    if dtype.kind in "iu" and (cast.reshape(read.shape) != read).any():
        raise MalformedRequest(f"{tensor.name!r} holds a number beyond {tensor.datatype}")
    return cast


def _cut(name: str, data: memoryview, count: int) -> list[bytes]:
    """Elements of the binary form of BYTES; more than `count` of them are not cut."""
    elements: list[bytes] = []
    at, end = 0, data.nbytes
    while at < end:
        if len(elements) == count:
            raise MalformedRequest(f"{name!r} has bytes left after the {count} elements that its shape says")
        if end - at < _LENGTH.size:
            raise MalformedRequest(f"{name!r} ends in the middle of the length of element {len(elements)}")
        (length,) = _LENGTH.unpack_from(data, at)
        at += _LENGTH.size
        if length > end - at:
            raise MalformedRequest(
                f"element {len(elements)} of {name!r} says it has {length} bytes; {end - at} are left"
            )
        elements.append(bytes(data[at : at + length]))
        at += length
    return elements


def _flat(values: Sequence[Any]) -> list[Any]:
    """Nested lists as one, as deep as a shape may be."""
    flat = list(values)
    for _ in range(_MOST_DIMENSIONS):
        if not any(isinstance(value, list) for value in flat):
            break
        flat = [each for value in flat for each in (value if isinstance(value, list) else [value])]
    return flat


def _text(name: str, index: int, element: Any) -> str:
    if isinstance(element, str):
        return element
    try:
        return str(element, "utf-8") if isinstance(element, bytes) else _no_text(name, index)
    except UnicodeDecodeError as error:
        raise MalformedRequest(f"element {index} of {name!r} is not UTF-8 at byte {error.start}") from None


def _no_text(name: str, index: int) -> str:
    raise MalformedRequest(f"element {index} of {name!r} is no text; BYTES in JSON are strings")
