"""How bytes become requests: uvicorn with our limits on a request's head, TLS, and the proxies that are believed.

The parser bounds nothing by itself: a header without an end would be kept until memory is full. A head that is too
large is answered 431, its target 414, and one that does not come 408, before any of ours sees it.
Before: `gateway`; after: the app's outermost layer.
Source: RFC 6585 section 5, RFC 9112 section 3; the bounds are nginx's and Node's.
"""

import asyncio
import ssl

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from tidegate.errors import UsageError
from tidegate.settings import Settings

MAX_TARGET_BYTES = 8_192
MAX_HEADERS = 100
MAX_HEAD_BYTES = 32_768


class _TooLarge(Exception):
    """Ends the parsing; the answer is what `_refusal` holds."""


class BoundedProtocol(HttpToolsProtocol):
    """uvicorn's protocol, with bounds.

    Attributes:
        head_seconds: how long a head may take, from the connection or from its first byte.
    """

    head_seconds = 20.0
    _in_head = False
    _head_bytes = 0
    _chunk_bytes = 0
    _late: asyncio.TimerHandle | None = None
    _refusal = b""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Somebody is there; a request is to follow."""
        super().connection_made(transport)
        self._late = self.loop.call_later(self.head_seconds, self._give_up)

    def connection_lost(self, exc: Exception | None) -> None:
        """They are gone."""
        self._in_time()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what came, and give up on a head that does not end."""
        self._chunk_bytes = len(data)
        super().data_received(data)
        if self._in_head and not self.transport.is_closing():
            self._head_bytes += len(data)
            if self._late is None:
                self._late = self.loop.call_later(self.head_seconds, self._give_up)
            if self._head_bytes > MAX_HEAD_BYTES:
                self._refusal = b"431 Request Header Fields Too Large"
                self.send_400_response("")

    def on_message_begin(self) -> None:
        """A head begins."""
        super().on_message_begin()
        self._in_head = True
        self._head_bytes = 0

    def on_headers_complete(self) -> None:
        """It is complete; from here on the body's limits hold."""
        self._in_head = False
        self._in_time()
        if len(self.url) > MAX_TARGET_BYTES:
            self._refusal = b"414 URI Too Long"
            raise _TooLarge
        if len(self.headers) > MAX_HEADERS or self._is_large():
            self._refusal = b"431 Request Header Fields Too Large"
            raise _TooLarge
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        """What uvicorn answers when the parser gives up, or when one of our bounds did."""
        if not self._refusal:
            super().send_400_response(msg)
            return
        self.transport.write(b"HTTP/1.1 %s\r\ncontent-length: 0\r\nconnection: close\r\n\r\n" % self._refusal)
        self.transport.close()

    def _is_large(self) -> bool:
        if self._head_bytes + self._chunk_bytes <= MAX_HEAD_BYTES:  # the usual case, at no cost
            return False
        return sum(len(name) + len(value) for name, value in self.headers) > MAX_HEAD_BYTES

    def _in_time(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def _give_up(self) -> None:
        self._late = None
        if self._in_head:
            self._refusal = b"408 Request Timeout"
            self.send_400_response("")
        else:  # not a byte has come: nobody to tell
            self.transport.close()


def uvicorn_config(app: ASGIApp, settings: Settings) -> uvicorn.Config:
    """What uvicorn is told; headers of proxies count only where the setting names the proxy."""
    return uvicorn.Config(
        app,
        loop="uvloop",
        http=BoundedProtocol,
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=settings.trusted_proxies or None,
        ssl_certfile=settings.tls_cert,
        ssl_keyfile=settings.tls_key,
        timeout_graceful_shutdown=max(1, round(settings.drain_seconds)),
    )


def check_tls(settings: Settings) -> None:
    """Refuse to start with a certificate that cannot be served, before anything slow happens.

    Raises:
        UsageError: a file that is not there, is no PEM, has a passphrase, or two that do not fit together.
    """
    if settings.tls_cert is None or settings.tls_key is None:
        return
    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(settings.tls_cert, settings.tls_key, password=lambda: "")  # never ask at a terminal
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise UsageError(
            f"TLS with certificate {settings.tls_cert} and key {settings.tls_key}: {why}; both are PEM files, "
            "the key is the certificate's and has no passphrase"
        ) from None
