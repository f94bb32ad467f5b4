"""The gRPC port: opened when the server starts, on the same event loop, and drained when it leaves.

Bodies are held to `max_body_bytes`, as those of HTTP; calls beyond `max_queued` at once are refused unread. When the
server is about to leave, `ServerReady` says so; then no new call is taken, and those in flight have the time that
drains have. Before: `tidegate.cli.gateway`; after: `serving.v2.rpc`. Loaded only where a port is set.
Source: grpc.aio, `Server.stop`.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
import grpc.aio

from serving.gateway import Gateway
from serving.v2.messages import SERVICE
from serving.v2.rpc import handlers
from tidegate.errors import UsageError

# Calls are refused for so long before the port goes: one that comes in the very instant is told CANCELLED by grpc,
# which clients do not try again elsewhere as they do when told UNAVAILABLE.
_REFUSE_SECONDS = 0.2

log = logging.getLogger(__name__)


@asynccontextmanager
async def open_port(gateway: Gateway, port: int, *, shared: bool = False) -> AsyncIterator[int]:
    """Serve gRPC while the block lasts; the port's number is told.

    Args:
        gateway: what to serve.
        port: to listen on, at the settings' host; 0 picks a free one.
        shared: with other processes that say so too (SO_REUSEPORT).

    Raises:
        UsageError: it is taken.
    """
    settings, closing = gateway.settings, asyncio.Event()
    server = grpc.aio.server(
        options=[
            ("grpc.so_reuseport", int(shared)),
            ("grpc.max_receive_message_length", settings.max_body_bytes),
            ("grpc.max_send_message_length", -1),  # what is asked is bounded, so is what is answered
        ],
        maximum_concurrent_rpcs=settings.max_queued,
    )
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers(gateway, closing)),))
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    try:
        bound = _bind(server, f"{host}:{port}", gateway)
    except RuntimeError:
        raise UsageError(f"cannot listen on {host}:{port} for gRPC; choose another --grpc-port") from None
    await server.start()
    log.info("gRPC on %s:%s", host, bound)
    try:
        yield bound
    finally:
        closing.set()
        await asyncio.sleep(_REFUSE_SECONDS)
        await server.stop(settings.drain_seconds)


def _bind(server: grpc.aio.Server, address: str, gateway: Gateway) -> int:
    settings = gateway.settings
    if settings.tls_cert is None or settings.tls_key is None:
        return int(server.add_insecure_port(address))
    pair = (settings.tls_key.read_bytes(), settings.tls_cert.read_bytes())
    return int(server.add_secure_port(address, grpc.ssl_server_credentials([pair])))
