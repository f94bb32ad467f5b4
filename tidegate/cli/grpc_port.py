"""The gRPC port of `serve` and `up`: checked before anything slow happens, opened with the app, off without a port.

grpc binds it itself, in every worker (SO_REUSEPORT); here it is bound for a moment, alone, so that a taken port is an
error at once and all workers get the same number. Before: `gateway`; after: `serving.v2.port`, loaded only then.
"""

import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from starlette.applications import Starlette

from tidegate.errors import UsageError
from tidegate.settings import Settings


def chosen(settings: Settings) -> Settings:
    """The settings with a port that is free, where gRPC is wanted.

    Raises:
        UsageError: it is taken, or the same as the one of HTTP.
    """
    if settings.grpc_port is None:
        return settings
    if settings.grpc_port and settings.grpc_port == settings.port:
        raise UsageError(f"port {settings.port} cannot be both HTTP's and gRPC's; choose another --grpc-port")
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.grpc_port))
            probe.listen(1)  # others that only bound it may share it, those that listen do not
        except OSError as error:
            raise UsageError(
                f"cannot listen on {settings.host}:{settings.grpc_port} for gRPC: {error.strerror}; "
                "choose another --grpc-port (0 picks a free one)"
            ) from None
        return settings.model_copy(update={"grpc_port": probe.getsockname()[1]})


def attach(app: Starlette, settings: Settings) -> None:
    """Have the app open the port when it has started up, and drain it before it shuts down."""
    port = settings.grpc_port
    if port is None:
        return
    before: Callable[[Any], Any] = app.router.lifespan_context

    @asynccontextmanager
    async def lifespan(outer: Any) -> AsyncIterator[Any]:
        from serving.v2.port import open_port  # grpc: 10 MB and 0.1 s that only those pay who want it

        async with before(outer) as state, open_port(app.state.gateway, port, shared=settings.workers > 1):
            yield state

    app.router.lifespan_context = lifespan
