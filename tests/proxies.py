"""A tiny reverse proxy, for tests: puts the server below a prefix, as nginx or an ingress does."""

import contextlib
import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit


@contextmanager
def proxy(upstream: str, prefix: str, *, cut: bool = True, scheme: str = "https") -> Iterator[str]:
    """Serve what `upstream` serves below `prefix`; one request a connection, bodies and streams as they come.

    Args:
        upstream: base URL of the server.
        prefix: such as `/tidegate`.
        cut: hand targets on without the prefix.
        scheme: what the proxy says that visitors speak with it.
    """
    target = urlsplit(upstream)
    removed = prefix.encode() if cut else b""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            near: socket.socket = self.request
            near.settimeout(30)
            with contextlib.suppress(OSError), socket.create_connection((target.hostname, target.port), 30) as far:
                head, _, body = _read_head(near).partition(b"\r\n\r\n")
                if not head:
                    return
                far.sendall(_rewritten(head, removed, scheme.encode()) + body)
                sending = threading.Thread(target=_pipe, args=(near, far))
                sending.start()
                _pipe(far, near)
                near.shutdown(socket.SHUT_RDWR)
                sending.join()

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}{prefix}"
        finally:
            server.shutdown()
            thread.join()


def _read_head(connection: socket.socket) -> bytes:
    received = b""
    while b"\r\n\r\n" not in received and (data := connection.recv(65_536)):
        received += data
    return received


def _rewritten(head: bytes, cut: bytes, scheme: bytes) -> bytes:
    first, *rest = head.split(b"\r\n")
    method, target, version = first.split(b" ")
    kept = [line for line in rest if not line.lower().startswith(b"connection:")]
    added = [b"connection: close", b"x-forwarded-for: 203.0.113.7", b"x-forwarded-proto: " + scheme]
    return b"\r\n".join([b" ".join((method, target.removeprefix(cut) or b"/", version)), *kept, *added, b"", b""])


def _pipe(source: socket.socket, to: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65_536):
            to.sendall(data)
