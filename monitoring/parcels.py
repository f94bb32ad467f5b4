"""Parcels: records as columns, which the monitor process is sent in their place.

A frozen record takes 7 to 10 us to pickle, its place in these columns 1 us, and only those arrays are sent that
monitoring reads, each kind of them as one block of bytes. A parcel is small, because the interpreter's lock is held
while it is made and callers wait meanwhile. It stays sealed until it is written, when many are opened at once: one by
one, as they come, each finds the processor's caches full of something else and takes four times as long.
Before: `link`, in the gateway; after: `child` and `intake`, whose reader makes records of them again.
"""

import pickle
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import accumulate
from operator import attrgetter
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tidegate.preprocess import Encoded
from tidegate.records import Record

MOST_ROWS = 64  # 0.1 ms
MOST_CHARS = 100_000

# Of a tokenizer's arrays and of TF-IDF's: see `features`.
_READ: Mapping[str, type[np.generic]] = {"input_ids": np.int64, "indices": np.int64, "values": np.float32}
_FIELDS = tuple(each.name for each in fields(Record))
_PLAIN = tuple(name for name in _FIELDS if name not in ("row", "embedding"))
_plain = attrgetter(*_PLAIN)
_counts = attrgetter("row.length", "row.words", "row.unknown", "row.truncated")  # in the order of `Encoded`


class Vectors(NamedTuple):
    """One vector a record; of length -1 where a record has none."""

    lengths: list[int]
    content: bytes


class Parcel(NamedTuple):
    """What is in some records, a column a field."""

    plain: list[tuple[Any, ...]]
    counts: list[tuple[Any, ...]]
    arrays: dict[str, Vectors]
    embedding: Vectors


@dataclass(frozen=True, slots=True)
class Sealed:
    """Records on their way; whoever goes through them opens the parcel.

    Attributes:
        rows: how many.
        chars: of all their texts.
        content: the pickled parcel.
    """

    rows: int
    chars: int
    content: bytes

    def __len__(self) -> int:
        """How many records."""
        return self.rows

    def __iter__(self) -> Iterator[Record]:
        """The records, made anew each time."""
        return iter(unpack(pickle.loads(self.content)))  # noqa: S301  # the gateway's own, by a pipe of its own


def seal(records: Sequence[Record]) -> Sealed:
    """A parcel of some records."""
    content = pickle.dumps(pack(records), pickle.HIGHEST_PROTOCOL)
    return Sealed(len(records), sum(len(record.text) for record in records), content)


def divide(records: Sequence[Record]) -> Iterator[Sequence[Record]]:
    """Parts of records, in order, that are small enough for one parcel; a long text is a part of its own."""
    start, chars = 0, 0
    for place, record in enumerate(records):
        if place > start and (place - start == MOST_ROWS or chars + len(record.text) > MOST_CHARS):
            yield records[start:place]
            start, chars = place, 0
        chars += len(record.text)
    if start < len(records):
        yield records[start:]


def pack(records: Sequence[Record]) -> Parcel:
    """What is in the records."""
    rows = [record.row.arrays for record in records]
    arrays = {name: _joined([row.get(name) for row in rows]) for name in _READ}
    return Parcel(
        plain=list(zip(*map(_plain, records), strict=True)),
        counts=list(zip(*map(_counts, records), strict=True)),
        arrays={name: vectors for name, vectors in arrays.items() if vectors.content},
        embedding=_joined([record.embedding for record in records]),
    )


def unpack(parcel: Parcel) -> list[Record]:
    """The records, with those of their arrays that monitoring reads."""
    columns: dict[str, Iterable[Any]] = dict(zip(_PLAIN, parcel.plain, strict=True))
    rows: list[dict[str, NDArray[Any]]] = [{} for _ in parcel.embedding.lengths]
    for name, vectors in parcel.arrays.items():
        for row, vector in zip(rows, _parted(vectors, _READ[name]), strict=True):
            if vector is not None:
                row[name] = vector
    columns["row"] = map(Encoded, rows, *parcel.counts)
    columns["embedding"] = _parted(parcel.embedding, np.float32)
    return list(map(Record, *(columns[name] for name in _FIELDS)))


def _joined(vectors: Sequence[NDArray[Any] | None]) -> Vectors:
    known = [each for each in vectors if each is not None]
    lengths = [-1 if each is None else len(each) for each in vectors] if known else [-1] * len(vectors)
    return Vectors(lengths, b"".join([each.tobytes() for each in known]))


def _parted(vectors: Vectors, kind: type[np.generic]) -> list[NDArray[Any] | None]:
    whole = np.frombuffer(vectors.content, kind)
    ends = accumulate(max(length, 0) for length in vectors.lengths)
    return [None if n < 0 else whole[end - n : end] for n, end in zip(vectors.lengths, ends, strict=True)]
