"""Gradio's share tunnel: a public address for a port of this machine, through its server or one's own (FRP).

Before: `tidegate.cli.tunnel`, which opens a port that serves one shared demo and nothing else; after: Gradio's `frpc`,
a program that Gradio downloads once, from the internet, unless it is there. Nothing happens unless `--tunnel` asks.
Source: gradio 6.31 `networking.setup_tunnel`, `tunneling.Tunnel`.
"""

import contextlib
import secrets
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx

from tidegate.errors import TidegateError, UsageError

_SHARE_TOKEN_BYTES = 24  # names this tunnel to the server; Gradio's own are as long


def program() -> Path:
    """Where Gradio keeps the program that digs tunnels, whether it is there or not."""
    from gradio.tunneling import BINARY_PATH

    return Path(BINARY_PATH)


def check_server(address: str) -> str:
    """The address of an FRP server, `HOST:PORT`.

    Raises:
        UsageError: it is none.
    """
    host, _, port = address.rpartition(":")
    if not host or ":" in host or not port.isdecimal() or not 0 < int(port) < 65_536:
        raise UsageError(
            f"--tunnel-server {address!r} is no HOST:PORT of an FRP server; write it as frp.example.org:7000"
        )
    return address


@contextlib.contextmanager
def tunnel(port: int, server: str | None) -> Iterator[str]:
    """Open a tunnel to a port of the loopback interface and give its public URL; it ends with the block.

    Args:
        port: on 127.0.0.1.
        server: `HOST:PORT` of an FRP server; None for Gradio's.

    Raises:
        TidegateError: no tunnel came to be.
    """
    from gradio.tunneling import CURRENT_TUNNELS

    before = len(CURRENT_TUNNELS)
    try:
        with contextlib.redirect_stdout(sys.stderr):  # stdout is the link's
            url = _open(port, server)
        yield url
    finally:
        with contextlib.redirect_stdout(sys.stderr):
            for opened in CURRENT_TUNNELS[before:]:
                opened.kill()  # type: ignore[no-untyped-call]


def _open(port: int, server: str | None) -> str:
    from gradio.networking import setup_tunnel

    try:
        url = setup_tunnel("127.0.0.1", port, secrets.token_urlsafe(_SHARE_TOKEN_BYTES), server, None)
    except (OSError, ValueError, RuntimeError, httpx.HTTPError) as error:
        raise TidegateError(
            f"the tunnel could not be opened: {error}; see that {server or 'api.gradio.app'} can be reached from here, "
            f"and that {program()} is Gradio's program for this machine"
        ) from None
    return url.rstrip("/")
