"""The key at the door: pure ASGI, around every route and whatever is mounted on the app.

When `api_key` is set, everything but the two health routes asks for `Authorization: Bearer KEY`. Visitors of a
share link carry no key: the guard in front of the app has judged them and says so in `scope["tidegate.share"]`,
which no client can set. `check_binding` is asked before the server listens at all.
"""

import hmac
import ipaddress

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from serving.problems import problem
from tidegate.errors import Unauthorized, UsageError
from tidegate.settings import Settings

OPEN_PATHS = frozenset({"/healthz", "/readyz"})
SHARE_KEY = "tidegate.share"
STRANGER_KEY = "tidegate.stranger"  # set where a key is asked for, the route is open, and none was sent
_POLICY_VIOLATION = 1008  # WebSocket close code, RFC 6455 section 7.4.1


class ApiKeyAuth:
    """Lets through those who hold the key."""

    def __init__(self, app: ASGIApp, api_key: str) -> None:
        self._app = app
        self._key = api_key.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass, or refuse with 401."""
        if scope["type"] == "lifespan" or not self._key or scope.get(SHARE_KEY) is not None or self._holds_key(scope):
            await self._app(scope, receive, send)
        elif _below_root(scope) in OPEN_PATHS:
            await self._app({**scope, STRANGER_KEY: True}, receive, send)
        elif scope["type"] == "http":
            refused = Unauthorized("this server asks for a key; send it as `Authorization: Bearer KEY`")
            await problem(refused, scope)(scope, receive, send)
        else:
            await receive()
            await send({"type": "websocket.close", "code": _POLICY_VIOLATION, "reason": "this server asks for a key"})

    def _holds_key(self, scope: Scope) -> bool:
        scheme, _, key = Headers(scope=scope).get("authorization", "").partition(" ")
        # Compared as bytes, in constant time: the key may hold any character, the time tells nothing of it.
        return scheme.lower() == "bearer" and hmac.compare_digest(key.strip().encode("latin-1"), self._key)


def _below_root(scope: Scope) -> str:
    return str(scope["path"]).removeprefix(str(scope.get("root_path", "")))


def check_binding(settings: Settings) -> None:
    """Refuse to listen where strangers reach the server, unless there is a key or `--open` says so.

    Raises:
        UsageError: the host is not loopback, there is no key, and `open` is not set.
    """
    if settings.open or settings.api_key.get_secret_value() or is_loopback(settings.host):
        return
    raise UsageError(
        f"host {settings.host!r} can be reached from other machines and no API key is set; "
        "set TIDEGATE_API_KEY, or pass --open to serve everyone who reaches the port"
    )


def is_loopback(host: str) -> bool:
    """Whether a host, without its port, is this machine and nothing else."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False  # a name that resolves to who knows what
