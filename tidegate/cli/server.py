"""Uvicorn with a way to leave: after SIGTERM the server says that it is not ready and serves on for a while.

First signal: `/readyz` answers 503 and every answer closes its connection, so that balancers and clients go elsewhere;
after the lame-duck seconds (none after Ctrl-C) it stops listening and finishes what it took. Second signal: at once.
"""

import asyncio
import signal
import socket
from types import FrameType

import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.gateway import Gateway

# uvicorn closes connections that have not asked anything yet; a question on its way would be answered by a reset.
_LAST_WORDS_SECONDS = 0.2


class Server(uvicorn.Server):
    """Serves until a signal comes."""

    def __init__(self, config: uvicorn.Config, gateway: Gateway, lame_duck_seconds: float) -> None:
        super().__init__(config)
        self._gateway = gateway
        self._lame_duck_seconds = lame_duck_seconds

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Leave in an orderly way, or at the second signal at once."""
        if self._gateway.leaving.is_set():
            self.should_exit = self.force_exit = True
            return
        self._gateway.leaving.set()
        if sig != signal.SIGTERM or not self._lame_duck_seconds or not self.started:
            super().handle_exit(sig, frame)
            return
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:  # no loop, so nobody is served
            self.should_exit = True
        else:
            loop.call_soon_threadsafe(loop.call_later, self._lame_duck_seconds, super().handle_exit, sig, frame)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept no more, give what was accepted just now the time to say what it wants, then finish what is there."""
        if not self.force_exit:
            for server in self.servers:
                server.close()
            await asyncio.sleep(_LAST_WORDS_SECONDS)
        await super().shutdown(sockets)


class CloseWhenLeaving:
    """Has every answer close its connection once the server is leaving."""

    def __init__(self, app: ASGIApp, gateway: Gateway) -> None:
        self._app = app
        self._leaving = gateway.leaving

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on."""
        if scope["type"] != "http" or not self._leaving.is_set():
            await self._app(scope, receive, send)
            return

        async def closing(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), (b"connection", b"close")]
            await send(message)

        await self._app(scope, receive, closing)
