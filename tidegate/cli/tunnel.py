"""`tidegate share create --tunnel`: a public address for one shared demo of a server that runs on this machine.

A port of its own on 127.0.0.1 takes what a browser needs that holds the link's token or pass, and hands it on to the
server; so what is at the far end of the tunnel is one demo, not the gateway, even if the server trusts this machine.
The server judges each request again. Before: `tidegate.cli.share`; after: `demos.tunnel`. It ends with Ctrl-C.
"""

import contextlib
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import httpx
import typer
import uvicorn
from starlette.types import Receive, Scope, Send

from demos import tunnel as gradio_tunnel
from demos.answers import refusal
from demos.guard import token_of
from demos.paths import PAGE, demo_path
from demos.relay import Relay
from tidegate.cli import console
from tidegate.errors import Forbidden, TidegateError

_START_SECONDS = 10.0
_WARNING = """warning: the tunnel makes one demo of this machine public
  - whoever has the link reaches the demo of {model} from anywhere, until the link ends or you press Ctrl-C;
    nothing else of this server is behind the tunnel
  - what visitors send and read passes through {through}, where it can be read
  - {program}"""


class DemoPort:
    """Takes the requests of one shared demo and hands them on; refuses everything else. Pure ASGI.

    Args:
        model: whose demo it is.
        server: base URL of the running server, without a path.
    """

    def __init__(self, model: str, server: str) -> None:
        self._model = model
        # The server's certificate names what the world calls it, which is not how this machine reaches it.
        self._relay = Relay(httpx.AsyncHTTPTransport(verify=False), server)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Relay, or refuse with 403."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] != "http":
            await receive()
            await send({"type": "websocket.close", "code": 1008, "reason": "demos open no sockets"})
        elif self._takes(scope):
            await self._relay(scope, receive, send)
        else:
            await refusal(Forbidden("only a share link opens something here; ask for one"), scope)(scope, receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        async with self._relay.transport:
            for phase in ("startup", "shutdown"):
                await receive()
                await send({"type": f"lifespan.{phase}.complete"})

    def _takes(self, scope: Scope) -> bool:
        path, token = demo_path(scope["path"], scope.get("raw_path")), token_of(scope)
        if path is None or path.model != self._model or token is None:
            return False
        is_form = token.from_query and path.rest in ("", PAGE) and scope["method"] == "POST"
        return is_form or path.allows(scope["method"])


@contextlib.contextmanager
def serving(app: DemoPort) -> Iterator[int]:
    """Serve on a free port of 127.0.0.1, given as a number, until the block ends.

    Raises:
        TidegateError: it does not start.
    """
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(app, lifespan="on", log_config=None, proxy_headers=False, server_header=False)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([listener],), name="demo-port")
        thread.start()
        try:
            _await_start(server, thread)
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join()


@contextlib.contextmanager
def public_address(model: str, server: str, tunnel: Callable[[int], AbstractContextManager[str]]) -> Iterator[str]:
    """Give the public base URL of one demo, until the block ends.

    Args:
        model: whose demo it is.
        server: base URL of the running server.
        tunnel: makes a port public, and gives its URL.

    Raises:
        TidegateError: the port or the tunnel does not open.
    """
    with serving(DemoPort(model, server)) as port, tunnel(port) as url:
        yield url


@contextlib.contextmanager
def announced(model: str, server: str, tunnel_server: str | None) -> Iterator[str]:
    """Say what becomes public, ask whoever sits there, and give the public base URL, until the block ends.

    Raises:
        UsageError: `tunnel_server` is no address.
        TidegateError: the port or the tunnel does not open.
    """
    through = f"{gradio_tunnel.check_server(tunnel_server)}, unencrypted" if tunnel_server else "servers of Gradio"
    path = gradio_tunnel.program()
    program = f"it runs {path}, which is there already"
    if not path.exists():
        program = (
            f"frpc, a program that is not Tidegate's, is downloaded from cdn-media.huggingface.co to {path} and run"
        )
    console.say(_WARNING.format(model=model, through=through, program=program))
    if sys.stdin.isatty():
        typer.confirm("Open it?", abort=True, err=True)
    with public_address(model, server, lambda port: gradio_tunnel.tunnel(port, tunnel_server)) as url:
        yield url


def wait_for_interrupt() -> None:
    """Return when whoever sits there has had enough."""
    console.say("the tunnel is open; Ctrl-C closes it")
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    ended.wait()
    console.say("the tunnel is closed")


def _await_start(server: uvicorn.Server, thread: threading.Thread) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while not server.started:
        if not thread.is_alive() or time.monotonic() > deadline:
            raise TidegateError("the port of the tunnel did not start; try again")
        time.sleep(0.01)
