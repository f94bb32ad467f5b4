"""Parcels: records as plain tuples, which the monitor process is sent in their place.

A frozen record takes 7 to 10 us to pickle, a tuple of what is in it 1.3 us, and only those arrays are sent that
monitoring reads. A parcel is small, because the interpreter's lock is held while it is made and callers wait meanwhile.
Before: `link`, in the gateway; after: `child`, which makes records of them again.
"""

from collections.abc import Iterator, Sequence
from dataclasses import fields
from operator import attrgetter
from typing import Any

import numpy as np

from tidegate.preprocess import Encoded
from tidegate.records import Record

MOST_ROWS = 64  # 0.1 ms
MOST_CHARS = 100_000

Parcel = list[tuple[Any, ...]]

_PLAIN = tuple(each.name for each in fields(Record) if each.name not in ("row", "embedding"))
_plain = attrgetter(*_PLAIN)
_READ = ("input_ids", "indices", "values")  # of a tokenizer's arrays and of TF-IDF's: see `features`


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
    return [
        (
            _plain(record),
            [(name, each.dtype.str, each.tobytes()) for name, each in record.row.arrays.items() if name in _READ],
            (record.row.length, record.row.words, record.row.unknown, record.row.truncated),
            None if record.embedding is None else record.embedding.tobytes(),
        )
        for record in records
    ]


def unpack(parcel: Parcel) -> list[Record]:
    """The records, with those of their arrays that monitoring reads."""
    return [
        Record(
            **dict(zip(_PLAIN, plain, strict=True)),
            row=Encoded({name: np.frombuffer(content, kind) for name, kind, content in arrays}, *counts),
            embedding=None if embedding is None else np.frombuffer(embedding, np.float32),
        )
        for plain, arrays, counts, embedding in parcel
    ]
