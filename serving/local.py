"""Without a key, this machine alone is trusted: refuses what came through a proxy, a tunnel or a rebound name.

A loopback address says nothing of who is behind a tunnel to it, and a web page whose name was rebound to
127.0.0.1 reaches it too (DNS rebinding). Both give themselves away by their headers. Share visitors pass: the
guard in front has judged them. Not in the way when there is a key, or when `--open` was said.
"""

from functools import lru_cache

from starlette.types import ASGIApp, Receive, Scope, Send

from serving.auth import OPEN_PATHS, SHARE_KEY, is_loopback
from serving.problems import problem
from tidegate.errors import Forbidden

_PROXY_HEADERS = frozenset({b"forwarded", b"via", b"x-forwarded-for", b"x-forwarded-host", b"x-real-ip"})


class LocalOnly:
    """Lets through what was asked of this machine by its own name."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass, or refuse with 403."""
        if (
            scope["type"] == "lifespan"
            or scope.get(SHARE_KEY) is not None
            or scope["path"] in OPEN_PATHS
            or is_local(scope)
        ):
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            refused = Forbidden(
                "this server has no key, so it answers this machine alone; set TIDEGATE_API_KEY to let others in "
                "(share links open their demo without it)"
            )
            await problem(refused, scope)(scope, receive, send)
        else:
            await receive()
            await send({"type": "websocket.close", "code": 1008, "reason": "this server answers this machine alone"})


@lru_cache(maxsize=256)
def _names_this_machine(host: bytes) -> bool:
    return is_loopback(_without_port(host.decode("latin-1")))


def is_local(scope: Scope) -> bool:
    """Whether no proxy handed it on, and its Host is a loopback name or address."""
    host = b""
    for name, value in scope["headers"]:
        if name in _PROXY_HEADERS:
            return False
        if name == b"host":
            host = value
    return _names_this_machine(host)


def _without_port(host: str) -> str:
    if host.startswith("["):  # an IPv6 address
        address, _, port = host[1:].partition("]")
        return address if not port or port.startswith(":") else ""
    return host.partition(":")[0].lower()
