"""Reads the transaction log of a W&B run (`run-ID.wandb`), the only file that an offline run is sure to have.

LevelDB's log framing in blocks of 32 KiB, each piece with a CRC-32, around protobuf records. The wandb package reads
it in a compiled program of its own and offers no Python for it, so the framing is here, and the few fields that an
import needs are declared below under the numbers of `wandb_internal.proto`; protobuf skips the rest.
Before this, `wandb_runs` has found the file; after it, the records become params and metrics. A log that was cut, or
whose bytes changed, gives the records before that place, and says so.

Source: https://github.com/google/leveldb/blob/main/doc/log_format.md, wandb/proto/wandb_internal.proto.
"""

import struct
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError, Message

_IDENT = struct.pack("<4sHB", b":W&B", 0xBEE1, 0)
_BLOCK = 32 * 1024
_HEADER = struct.Struct("<IHB")  # CRC-32 of kind and data, length of the data, kind
_FULL, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4

_INT64, _INT32, _BOOL, _STRING, _SINT64, _DOUBLE = 3, 5, 8, 9, 18, 1  # protobuf's own numbers of its types
# Message: field: (number, type or message, repeated).
_Fields = Mapping[str, tuple[int, int | str, bool]]
_ITEM: _Fields = {
    "key": (1, _STRING, False),
    "nested_key": (2, _STRING, True),
    "boolean": (4, _BOOL, False),
    "integer": (5, _SINT64, False),
    "number": (6, _DOUBLE, False),
    "json": (8, _STRING, False),
    "value_json": (16, _STRING, False),
}
_SCHEMA: Mapping[str, _Fields] = {
    "Timestamp": {"seconds": (1, _INT64, False), "nanos": (2, _INT32, False)},
    "Git": {"remote_url": (1, _STRING, False), "commit": (2, _STRING, False)},
    "Item": _ITEM,
    "Step": {"num": (1, _INT64, False)},
    "History": {"item": (1, "Item", True), "step": (2, "Step", False)},
    "Items": {"update": (1, "Item", True), "remove": (2, "Item", True)},
    "Run": {
        "run_id": (1, _STRING, False),
        "project": (3, _STRING, False),
        "config": (4, "Items", False),
        "group": (6, _STRING, False),
        "job_type": (7, _STRING, False),
        "display_name": (8, _STRING, False),
        "notes": (9, _STRING, False),
        "tags": (10, _STRING, True),
        "start_time": (17, "Timestamp", False),
        "git": (21, "Git", False),
    },
    "Exit": {"exit_code": (1, _INT32, False)},
    "Environment": {"program": (6, _STRING, False), "git": (9, "Git", False)},
    "Record": {
        "history": (2, "History", False),
        "summary": (3, "Items", False),
        "config": (5, "Items", False),
        "run": (17, "Run", False),
        "exit": (18, "Exit", False),
        "environment": (26, "Environment", False),
    },
}


class LogDamaged(Exception):
    """The log ends before its end: the message says where, and why."""


def _record_class() -> type[Message]:
    """The class of `Record`, of the fields that `_SCHEMA` declares."""
    file = descriptor_pb2.FileDescriptorProto(name="tidegate/wandb.proto", package="tidegate.wandb", syntax="proto3")
    for name, fields in _SCHEMA.items():
        message = file.message_type.add(name=name)
        for field, (number, kind, repeated) in fields.items():
            made = message.field.add(name=field, number=number, label=3 if repeated else 1)
            if isinstance(kind, str):
                made.type, made.type_name = made.TYPE_MESSAGE, f".tidegate.wandb.{kind}"
            else:
                made.type = kind  # type: ignore[assignment]  # an enum's number
                if message.name == "Item" and not repeated and number > 2:  # a set 0 differs from none
                    made.proto3_optional, made.oneof_index = True, len(message.oneof_decl)
                    message.oneof_decl.add(name=f"_{field}")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("tidegate.wandb.Record"))


_RECORD = _record_class()


def records(file: Path) -> Iterator[Any]:
    """The records of a log, in order.

    Yields:
        protobuf messages with the fields of `Record`.

    Raises:
        LogDamaged: the log is none, or what follows is cut or changed; all before it was yielded.
    """
    for offset, data in _framed(file.read_bytes()):
        try:
            yield _RECORD.FromString(data)
        except DecodeError:
            raise LogDamaged(f"the record before byte {offset} is no record of W&B's") from None


def _framed(log: bytes) -> Iterator[tuple[int, bytes]]:
    """Whole records, and where each ends."""
    if not log.startswith(_IDENT):
        raise LogDamaged("it does not begin as a W&B log does")
    offset, parts = len(_IDENT), b""
    while offset < len(log):
        left = _BLOCK - offset % _BLOCK
        if left < _HEADER.size:  # too little for a header: filled with zeros
            offset += left
            continue
        kind, data = _piece(log, offset)
        offset += _HEADER.size + len(data)
        parts = data if kind in (_FULL, _FIRST) else parts + data
        if kind in (_FULL, _LAST):
            yield offset, parts
            parts = b""
    if parts:
        raise LogDamaged(f"its last record is cut at byte {offset}")


def _piece(log: bytes, offset: int) -> tuple[int, bytes]:
    if offset + _HEADER.size > len(log):
        raise LogDamaged(f"it is cut at byte {len(log)}, in the middle of a record")
    checksum, length, kind = _HEADER.unpack_from(log, offset)
    start = offset + _HEADER.size
    data = log[start : start + length]
    if len(data) < length:
        raise LogDamaged(f"it is cut at byte {len(log)}, in the middle of a record")
    if kind not in (_FULL, _FIRST, _MIDDLE, _LAST) or zlib.crc32(data, zlib.crc32(bytes([kind]))) != checksum:
        raise LogDamaged(f"the record at byte {offset} is damaged (its checksum does not fit)")
    return kind, data
