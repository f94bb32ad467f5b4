"""Who may ask: one API key, or nobody but this machine. Pure ASGI, in front of every route and mount.

Share visitors come with `scope["tidegate.share"]`, which only the guard in front of this sets; they pass, to the
demo that the guard allows them. Health answers anybody: it tells nothing, and probes carry no keys.
"""

import ipaddress
import secrets

from starlette.types import ASGIApp, Receive, Scope, Send

from serving.problems import from_error
from tidegate.errors import Unauthorized, UsageError
from tidegate.settings import Settings

PUBLIC = frozenset({"/healthz", "/readyz"})


def check_binding(settings: Settings) -> None:
    """Refuse to be open to the world by accident.

    Raises:
        UsageError: the address is not loopback, there is no key, and nobody said --open.
    """
    if settings.open or settings.api_key.get_secret_value() or _is_loopback(settings.host):
        return
    raise UsageError(
        f"refusing to listen on {settings.host} without a key: set TIDEGATE_API_KEY, "
        "or say --open to let everyone who reaches the port do everything"
    )


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class RequireKey:
    """Lets a request pass that carries `Authorization: Bearer KEY`; every request when the key is empty."""

    def __init__(self, app: ASGIApp, key: str) -> None:
        self._app = app
        self._expected = f"bearer {key}".encode() if key else b""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer 401."""
        if self._allowed(scope):
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008})
        else:
            error = Unauthorized("this needs a key: send `Authorization: Bearer KEY`")
            await from_error(error, scope["path"])(scope, receive, send)

    def _allowed(self, scope: Scope) -> bool:
        if not self._expected or scope["type"] == "lifespan" or scope["path"] in PUBLIC or scope.get("tidegate.share"):
            return True
        given = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
        scheme, _, credential = given.partition(b" ")
        return secrets.compare_digest(scheme.lower() + b" " + credential.strip(), self._expected)
