"""The body of a request: read once, with a limit, then decoded from JSON. Before a codec looks at its shape.

A declared length above the limit is refused before a byte is read, and a body without one as soon as it has
grown too large. uvicorn throws the rest away as it comes: to close at once would reset the connection, and
clients that send all before they read would never see the answer. Only JSON in UTF-8, uncompressed: a body that
must be unpacked first could unpack to anything.
"""

from collections.abc import Mapping
from typing import Any

import orjson
from starlette.requests import ClientDisconnect, Request

from tidegate.errors import InvalidInput, MalformedRequest, PayloadTooLarge, UnsupportedMediaType
from tidegate.settings import Settings


async def read_json(request: Request, settings: Settings) -> Any:
    """The decoded body.

    Raises:
        UnsupportedMediaType: not `application/json`, or compressed.
        PayloadTooLarge: more than `max_body_bytes`.
        MalformedRequest: not JSON, or not UTF-8 (half surrogates included).
    """
    _check_type(request.headers)
    body = await _read(request, settings.max_body_bytes)
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise MalformedRequest(f"the body is not JSON in UTF-8: {error.msg} at character {error.pos}") from None


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


def _check_type(headers: Mapping[str, str]) -> None:
    sent = headers.get("content-type", "")
    if sent.partition(";")[0].strip().lower() != "application/json":
        raise UnsupportedMediaType(f"content-type is {sent[:80]!r}; send application/json")
    coding = headers.get("content-encoding", "identity")
    if coding.strip().lower() != "identity":
        raise UnsupportedMediaType(f"content-encoding {coding[:80]!r} is not read; send the body uncompressed")


async def _read(request: Request, limit: int) -> bytes:
    declared = request.headers.get("content-length", "0")
    if declared.isdecimal() and int(declared[:20]) > limit:
        raise _too_large(limit)
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        chunk: bytes = message.get("body", b"")
        size += len(chunk)
        if size > limit:
            raise _too_large(limit)
        if not message.get("more_body", False):
            return b"".join([*chunks, chunk]) if chunks else chunk
        chunks.append(chunk)


def _too_large(limit: int) -> PayloadTooLarge:
    return PayloadTooLarge(f"the body has more than {limit} bytes, the most one request may have; send several")


def _escaped(step: str) -> str:
    """A key as a step of a JSON pointer (RFC 6901 section 3)."""
    return step.replace("~", "~0").replace("/", "~1")
