"""The relay of the workers: every worker hands `/demo/...` to the one that holds the demos.

Gradio's join and data requests need the same process. Streams over a Unix socket, both ways; the worker that answers
judges the credentials again. Before: `tidegate.cli.gateway.serve`; after: the app of worker 0.
"""

import httpx
from starlette.types import ASGIApp, Receive, Scope, Send

from demos.relay import Relay
from serving.root_path import below_root


class DemoRelay:
    """Hands `/demo/...` to worker 0; the rest goes to the app, pure ASGI.

    A demo page asks in one request and listens for the answer in another, over the queue that Gradio keeps in its
    process (`demos.app`), and the kernel may take the two to different workers. Requests are passed on as they
    came, credentials included: worker 0 judges them again.
    """

    def __init__(self, app: ASGIApp, door: str, *, tls: bool = False) -> None:
        self._app = app
        # Worker 0 speaks TLS on its socket too. Whose socket it is, the folder says, which only its owner may enter.
        limits = httpx.Limits(max_connections=None)
        transport = httpx.AsyncHTTPTransport(uds=door, limits=limits, verify=False)
        self._relay = Relay(transport, f"{'https' if tls else 'http'}://demos")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Relay what is the demos'."""
        if scope["type"] == "lifespan":
            async with self._relay.transport:
                await self._app(scope, receive, send)
        elif scope["type"] == "http" and _is_demo(below_root(scope)):
            await self._relay(scope, receive, send)
        else:
            await self._app(scope, receive, send)


def _is_demo(path: str) -> bool:
    return path == "/demo" or path.startswith("/demo/")
