"""Frames between the gateway and the demos' process, over the pipes that the process was born with.

To the process they are pickled tuples: it trusts the gateway. From it they are a list as JSON and some bytes, so that
whoever breaks into Gradio gets no code run in the gateway by what he says. Each begins with its length.
Before: `demos.link` and `demos.child`, at either end.
Limits: `MOST_BYTES` of what comes from the process; more is a fault of it.
"""

import asyncio
import os
import pickle
import struct
from collections.abc import Sequence
from typing import IO, Any

import orjson

MOST_BYTES = 32 * 1024 * 1024  # a list of 1,000 long texts has a tenth of it
# Bytes of an answer that may wait to be sent to a visitor, and after how many the gateway says what it has sent: the
# small parts of a page's answers are never spoken of, a file has parts of 64 KiB.
MOST_UNSENT = 128 * 1024
TOLD_UNSENT = 32 * 1024
_ORDER = struct.Struct("!I")
_REPLY = struct.Struct("!II")


def pack_order(order: tuple[Any, ...]) -> bytes:
    """A frame to the process."""
    content = pickle.dumps(order, pickle.HIGHEST_PROTOCOL)
    return _ORDER.pack(len(content)) + content


def read_order(orders: IO[bytes]) -> tuple[Any, ...] | None:
    """The next frame from the gateway, None once there are no more; blocks."""
    head = orders.read(_ORDER.size)
    if len(head) < _ORDER.size:
        return None
    [length] = _ORDER.unpack(head)
    content = orders.read(length)
    if len(content) < length:
        return None
    order: tuple[Any, ...] = pickle.loads(content)  # noqa: S301 (the gateway's, over a pipe that nobody else has)
    return order


def pack_reply(said: Sequence[Any], content: bytes | memoryview = b"") -> bytes:
    """A frame to the gateway.

    Raises:
        orjson.JSONEncodeError: a text in it holds half a character.
    """
    head = orjson.dumps(said)
    return b"".join((_REPLY.pack(len(head), len(content)), head, content))


async def read_reply(replies: asyncio.StreamReader) -> tuple[Any, bytes]:
    """The next frame from the process.

    Raises:
        EOFError: there are no more.
        ValueError: it is too long, or no JSON.
    """
    head, content = _REPLY.unpack(await replies.readexactly(_REPLY.size))
    if head + content > MOST_BYTES:
        raise ValueError("a frame that is too long")
    said = orjson.loads(await replies.readexactly(head))
    return said, await replies.readexactly(content) if content else b""


def take_pipes() -> tuple[IO[bytes], IO[bytes]]:
    """In the process: the two ends that lead to the gateway, out of reach of what reads stdin or prints."""
    orders, replies = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return orders, replies
