"""The body of a request: read once, with a limit, then decoded from JSON. Before a codec looks at its shape.

A declared length above the limit is refused before a byte is read, and a body without one as soon as it has
grown too large. uvicorn throws the rest away as it comes: to close at once would reset the connection, and
clients that send all before they read would never see the answer. Only JSON in UTF-8, uncompressed: a body that
must be unpacked first could unpack to anything.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import orjson
from starlette.requests import ClientDisconnect, Request
from starlette.types import Receive, Scope

from tidegate.errors import BodyTooSlow, InvalidInput, MalformedRequest, PayloadTooLarge, UnsupportedMediaType
from tidegate.settings import Settings

# Callers who send a byte now and then must not hold connections for ever.
BODY_SECONDS = 30.0
JSON = b"application/json"


@dataclass(slots=True)
class Head:
    """The headers that matter to a request with a JSON body, from one pass over all of them; empty when not sent."""

    content_type: bytes = b""
    content_encoding: bytes = b""
    content_length: bytes = b""
    deadline: bytes = b""
    caller: bytes = b""
    priority: bytes = b""

    @classmethod
    def of(cls, scope: Scope) -> Self:
        """Read the headers of a request; servers hand their names over in lower case (ASGI)."""
        head = cls()
        for name, value in scope["headers"]:
            if name == b"content-type":
                head.content_type = value
            elif name == b"content-length":
                head.content_length = value
            elif name == b"content-encoding":
                head.content_encoding = value
            elif name == b"x-deadline-ms":
                head.deadline = value
            elif name == b"x-caller-key":
                head.caller = value
            elif name == b"x-priority":
                head.priority = value
        return head


async def read_json(request: Request, settings: Settings) -> Any:
    """The decoded body; raises what `read_body` and `decode_json` raise."""
    return decode_json(await read_body(Head.of(request.scope), request.receive, settings.max_body_bytes))


def decode_json(body: bytes) -> Any:
    """A document from its bytes.

    Raises:
        MalformedRequest: not JSON, or not UTF-8 (half surrogates included).
    """
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise MalformedRequest(f"the body is not JSON in UTF-8: {error.msg} at character {error.pos}") from None


async def read_body(head: Head, receive: Receive, limit: int, types: Sequence[bytes] = (JSON,)) -> bytes:
    """The whole body.

    Raises:
        UnsupportedMediaType: not of one of `types`, or compressed.
        PayloadTooLarge: more than `limit` bytes.
        BodyTooSlow: it did not come within `BODY_SECONDS`.
        ClientDisconnect: the caller left before all of it had come.
    """
    _check_type(head, types)
    if head.content_length.isdigit() and int(head.content_length[:20]) > limit:
        raise _too_large(limit)
    try:
        async with asyncio.timeout(BODY_SECONDS):
            return await _collected(receive, limit)
    except TimeoutError:
        raise BodyTooSlow(f"the body did not come within {BODY_SECONDS:.0f} s; send it at once") from None


async def _collected(receive: Receive, limit: int) -> bytes:
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        chunk: bytes = message.get("body", b"")
        size += len(chunk)
        if size > limit:
            raise _too_large(limit)
        if not message.get("more_body", False):
            return b"".join([*chunks, chunk]) if chunks else chunk
        chunks.append(chunk)


def json_object(document: Any, keys: tuple[str, ...], pointer: str = "") -> dict[str, Any]:
    """The document, if it is an object with no keys but these.

    Raises:
        InvalidInput: something else.
    """
    if not isinstance(document, dict):
        raise InvalidInput(f"expected a JSON object, got {json_type(document)}", pointer=pointer)
    for key in document:
        if key not in keys:
            raise InvalidInput(
                f"unknown key {key[:80]!r}; known: {', '.join(keys)}", pointer=f"{pointer}/{_escaped(key[:80])}"
            )
    return document


def json_type(value: Any) -> str:
    """What JSON calls the type of a decoded value."""
    names = {str: "a string", bool: "a boolean", int: "a number", float: "a number", list: "a list", dict: "an object"}
    return names.get(type(value), "null")


def _check_type(head: Head, types: Sequence[bytes]) -> None:
    sent = head.content_type
    if sent not in types and sent.partition(b";")[0].strip().lower() not in types:
        wanted = " or ".join(known.decode() for known in types)
        raise UnsupportedMediaType(f"content-type is {_shown(sent)}; send {wanted}")
    coding = head.content_encoding
    if coding and coding.strip().lower() != b"identity":
        raise UnsupportedMediaType(f"content-encoding {_shown(coding)} is not read; send the body uncompressed")


def _shown(value: bytes) -> str:
    return repr(value[:80].decode("latin-1"))


def _too_large(limit: int) -> PayloadTooLarge:
    return PayloadTooLarge(f"the body has more than {limit} bytes, the most one request may have; send several")


def _escaped(step: str) -> str:
    """A key as a step of a JSON pointer (RFC 6901 section 3)."""
    return step.replace("~", "~0").replace("/", "~1")
