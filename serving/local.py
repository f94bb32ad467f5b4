"""Without a key, this machine alone is trusted: refuses what came through a proxy, a tunnel or a rebound name.

A loopback address says nothing of who is behind a tunnel to it, and a web page whose name was rebound to
127.0.0.1 reaches it too (DNS rebinding), or sends it a form from elsewhere. They give themselves away by their headers.
A proxy that is trusted for its headers (`trusted_proxies`) is a proxy here too. Share visitors pass: the guard in front
has judged them. Not in the way when there is a key, or when `--open` was said.
"""

from collections.abc import Collection
from functools import lru_cache

from starlette.types import ASGIApp, Receive, Scope, Send

from serving.access import ANYONE, role_of
from serving.auth import SHARE_KEY, STRANGER_KEY, Door, is_loopback, refuse
from serving.root_path import below_root
from tidegate.errors import Forbidden

_PROXY_HEADERS = frozenset({b"forwarded", b"via", b"x-forwarded-for", b"x-forwarded-host", b"x-real-ip"})


class LocalOnly:
    """Lets through what was asked of this machine by its own name."""

    def __init__(self, app: ASGIApp, door: Door, origins: Collection[str] = ()) -> None:
        self._app = app
        self._door = door
        self._origins = frozenset(origin.encode() for origin in origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass, or refuse with 403."""
        if (
            scope["type"] == "lifespan"
            or self._door.asks
            or scope.get(SHARE_KEY) is not None
            or is_local(scope, self._origins)
        ):
            await self._app(scope, receive, send)
        elif scope["type"] == "http" and role_of(scope["method"], below_root(scope)) is ANYONE:
            scope[STRANGER_KEY] = True
            await self._app(scope, receive, send)
        else:
            refused = Forbidden(
                "this server has no key, so it answers this machine alone; make one with `tidegate keys create` or set "
                "TIDEGATE_API_KEY to let others in (share links open their demo without it)"
            )
            await refuse(refused, scope, receive, send)


@lru_cache(maxsize=256)
def _names_this_machine(host: bytes) -> bool:
    return is_loopback(_without_port(host.decode("latin-1")))


def is_local(scope: Scope, origins: Collection[bytes] = ()) -> bool:
    """Whether it came from this machine, no proxy handed it on, its Host is this machine, and no web page sent it.

    Args:
        scope: of the request.
        origins: of web pages that may.
    """
    client = scope.get("client")
    if client is not None and not is_loopback(client[0]):  # without an address: from a socket of this machine
        return False
    host = b""
    for name, value in scope["headers"]:
        if name in _PROXY_HEADERS:
            return False
        if name == b"host":
            host = value
        elif name == b"origin" and value not in origins and not _names_this_machine(value.partition(b"://")[2]):
            return False
    return _names_this_machine(host)


def _without_port(host: str) -> str:
    if host.startswith("["):  # an IPv6 address
        address, _, port = host[1:].partition("]")
        return address if not port or port.startswith(":") else ""
    return host.partition(":")[0].lower()
