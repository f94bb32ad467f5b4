"""Runs in TensorBoard's log folders: scalars (tensors of one number too), HParams and texts of the event files.

A run is a folder with `events.out.tfevents.*` files, as TensorBoard has it; the folder that `add_hparams` makes below
a run, named by a time, belongs to that run. The records are decoded with tensorboard's own protobufs, which need no
TensorFlow. A record whose checksum does not fit is left out; behind a broken frame nothing can be read.
Limits: histograms, images, audio and graphs are left out; a file is read whole into memory.

Source: tensorboard/backend/event_processing/event_file_loader.py, TFRecord's framing.
"""

import hashlib
import re
import struct
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from google.protobuf.message import DecodeError

from exporters.found_runs import FoundRun, Place, Point, every_file, is_checkpoint, name_below

_EVENTS = "events.out.tfevents."
_TIMED = re.compile(r"\d{9,}\.\d+")  # how torch's add_hparams names its folder: time.time()
_LENGTH = struct.Struct("<QI")
_SESSION_FAILED = 2  # tensorboard/plugins/hparams/api.proto: STATUS_FAILURE


def find(root: Path) -> list[Place]:
    """The TensorBoard runs below a folder."""
    folders: dict[Path, list[Path]] = {}
    for file in every_file(root):
        if _EVENTS in file.name:
            folders.setdefault(file.parent, []).append(file)
    for folder in [folder for folder in folders if _TIMED.fullmatch(folder.name) and folder.parent in folders]:
        folders[folder.parent] += folders.pop(folder)
    return [Place(name_below(root, run), partial(_read, root, run, files)) for run, files in folders.items()]


def _read(root: Path, run: Path, files: Sequence[Path]) -> FoundRun:
    found = FoundRun("tensorboard", name_below(root, run), "")
    found.checkpoint = run if is_checkpoint(run) else None
    for file in files:
        metadata: dict[str, Any] = {}  # a tag's first event alone says what the tag is
        for event in _events(file, found):
            if all(value.HasField("simple_value") for value in event.summary.value):  # nearly all: saves most time
                found.points += [
                    Point(value.tag, event.step, event.wall_time, value.simple_value) for value in event.summary.value
                ]
                continue
            for part in _migrated(event, metadata):
                for value in part.summary.value:
                    _take(value, part.step, part.wall_time, found)
    return found


def _events(file: Path, found: FoundRun) -> Iterator[Any]:
    """The whole events of a file; what is not whole becomes a fault."""
    from tensorboard.compat.proto import event_pb2

    for data in _records(file, found.faults):
        if not found.identity:  # the name holds time, host and process, the first record the time to the microsecond
            found.identity = hashlib.sha256(file.name.encode() + data).hexdigest()
        try:
            event = event_pb2.Event.FromString(data)
        except DecodeError:
            found.faults.append(f"{file.name}: a record is no TensorBoard event and was left out")
            continue
        found.started_seconds = found.started_seconds or event.wall_time
        yield event


def _records(file: Path, faults: list[str]) -> Iterator[bytes]:
    from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import masked_crc32c

    log, offset, damaged = file.read_bytes(), 0, 0
    while offset < len(log):
        if offset + _LENGTH.size > len(log):
            faults.append(f"{file.name} is cut at byte {len(log)}")
            break
        length, checksum = _LENGTH.unpack_from(log, offset)
        if masked_crc32c(log[offset : offset + 8]) != checksum:
            faults.append(f"{file.name} is damaged at byte {offset}; nothing behind it can be read")
            break
        start, end = offset + _LENGTH.size, offset + _LENGTH.size + length
        if end + 4 > len(log):
            faults.append(f"{file.name} is cut at byte {len(log)}")
            break
        if masked_crc32c(log[start:end]) == int.from_bytes(log[end : end + 4], "little"):
            yield log[start:end]
        else:
            damaged += 1
        offset = end + 4
    if damaged:
        faults.append(f"{file.name}: {damaged} damaged records were left out")


def _migrated(event: Any, metadata: dict[str, Any]) -> Sequence[Any]:
    """An event in TensorBoard's present form, whatever version wrote it."""
    from tensorboard import data_compat, dataclass_compat

    parts: Sequence[Any] = dataclass_compat.migrate_event(data_compat.migrate_event(event), metadata)
    return parts


def _take(value: Any, step: int, seconds: float, found: FoundRun) -> None:
    from tensorboard.compat.proto import summary_pb2
    from tensorboard.util import tensor_util

    plugin = value.metadata.plugin_data
    if plugin.plugin_name == "hparams":
        _take_hparams(plugin.content, found)
        return
    if plugin.plugin_name == "text":
        lines = tensor_util.make_ndarray(value.tensor).ravel()
        text = "\n".join(line.decode(errors="replace") if isinstance(line, bytes) else str(line) for line in lines)
        found.tags[f"text.{value.tag.removesuffix('/text_summary')}"] = text
    elif value.metadata.data_class == summary_pb2.DATA_CLASS_SCALAR:
        number = tensor_util.make_ndarray(value.tensor)
        if number.size == 1:
            found.points.append(Point(value.tag, step, seconds, float(number.item())))


def _take_hparams(content: bytes, found: FoundRun) -> None:
    from tensorboard.plugins.hparams import plugin_data_pb2

    data = plugin_data_pb2.HParamsPluginData.FromString(content)
    kind = data.WhichOneof("data")
    if kind == "session_start_info":
        for name, value in data.session_start_info.hparams.items():
            found.params[name] = _plain(value)
    elif kind == "session_end_info" and data.session_end_info.status == _SESSION_FAILED:
        found.status = "FAILED"


def _plain(value: Any) -> str:
    """A protobuf Value: numbers are doubles there, and 32.0 was 32."""
    if value.WhichOneof("kind") == "number_value":
        number = value.number_value
        return str(int(number)) if number.is_integer() and abs(number) < 2**53 else repr(number)
    return str(getattr(value, value.WhichOneof("kind") or "string_value"))
