"""The key at the door: pure ASGI, around every route and whatever is mounted on the app.

When there is a key, the setting or one of `tidegate keys`, every route asks for one whose role reaches it
(`serving.access`): as `Authorization: Bearer KEY`, as `X-API-Key: KEY`, or by the cookie of who signed in. Visitors of
a share link carry none: the guard in front of the app has judged them and says so in `scope["tidegate.share"]`, which
no client can set. Other protocols ask `Door.judge`. `check_binding` is asked before the server listens at all.
"""

import ipaddress
import secrets
from functools import lru_cache

from starlette.datastructures import Headers
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from serving import login
from serving.access import ANYONE, Role, role_of
from serving.caller import KEY_ID
from serving.headers import API_HEADERS
from serving.keys import SETTING_ID, ApiKey, ApiKeys, KeyRing, any_active
from serving.problems import headers_of, problem
from serving.root_path import below_root
from serving.sessions import Sessions
from tidegate.errors import Forbidden, RequestError, Unauthorized, UsageError
from tidegate.settings import Settings

SHARE_KEY = "tidegate.share"
STRANGER_KEY = "tidegate.stranger"  # set where a route is open to all and whoever asks is nobody in particular
PRINCIPAL = "tidegate.principal"  # the `ApiKey` that a request was sent with
_POLICY_VIOLATION = 1008  # WebSocket close code, RFC 6455 section 7.4.1
_NO_KEY = "this server asks for a key; send it as `Authorization: Bearer KEY`"
_BAD_KEY = "this key opens nothing here: it is unknown, expired or revoked; ask whoever runs the server for another"


class Door:
    """Judges keys; one for the app and every protocol beside it.

    Args:
        settings: for `api_key`, which is an admin's.
        keys: those of the state database; None where there is none.
        secret: signs the cookies of who signed in; one of this process alone when None.
    """

    def __init__(self, settings: Settings, keys: ApiKeys | None = None, secret: bytes | None = None) -> None:
        self.ring = KeyRing(settings.api_key.get_secret_value(), keys)
        self.sessions = Sessions(secret or secrets.token_bytes(32), self.ring)

    @property
    def asks(self) -> bool:
        """Whether a key is asked for."""
        return self.ring.asks

    def judge(self, authorization: str, need: Role) -> ApiKey | None:
        """Who asks, from the value of an `authorization` header; None where no key is asked for.

        Raises:
            Unauthorized: no key, or one that does not hold.
            Forbidden: its role does not reach that far.
            Overloaded: its rate is used up.
        """
        if not self.asks:
            return None
        sent = _bearer(authorization.encode("latin-1", "replace"))
        return self.admit(self.ring.find(sent) if sent else None, need, sent)

    def judge_request(self, scope: Scope) -> None:
        """Judge an ASGI request, and note in its scope who asks; raises what `judge` raises."""
        need = role_of(scope["method"], below_root(scope)) if scope["type"] == "http" else Role.ADMIN
        sent = _sent(scope)
        key = self.ring.find(sent) if sent else self.sessions.key_of(scope)
        if need is ANYONE:
            scope[STRANGER_KEY] = key is None
            return
        key = self.admit(key, need, sent)
        scope[PRINCIPAL] = key
        if not key.id.startswith(SETTING_ID):  # everybody's key says nothing of who asks
            scope[KEY_ID] = key.id

    def admit(self, key: ApiKey | None, need: Role, sent: bytes = b"") -> ApiKey:
        """The key, if its role reaches that far and its rate allows; raises what `judge` raises."""
        if key is None:
            raise Unauthorized(_BAD_KEY if sent else _NO_KEY)
        if key.role < need:
            raise Forbidden(
                f"this key may {key.role.name.lower()}, and this takes a key that may {need.name.lower()}; "
                "`tidegate keys create` makes one"
            )
        self.ring.spend(key)
        return key


class ApiKeyAuth:
    """Lets through those who hold a key that reaches what they ask for."""

    def __init__(self, app: ASGIApp, door: Door) -> None:
        self._app = app
        self._door = door

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass, or refuse with 401, 403 or 429."""
        if scope["type"] != "lifespan" and self._door.asks and scope.get(SHARE_KEY) is None:
            try:
                self._door.judge_request(scope)
            except RequestError as error:
                await refuse(error, scope, receive, send)
                return
        await self._app(scope, receive, send)


async def refuse(error: RequestError, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer a request that does not get in, in the form that its protocol has."""
    if scope["type"] == "http":
        await _refusal(error, scope)(scope, receive, send)
    else:
        await receive()
        await send({"type": "websocket.close", "code": _POLICY_VIOLATION, "reason": "this needs a key"})


def _refusal(error: RequestError, scope: Scope) -> Response:
    path = below_root(scope)
    if isinstance(error, Unauthorized) and scope["method"] == "GET" and _wants_page(scope):
        return login.page(scope, error.status, to=path)
    if path == "/v2" or path.startswith("/v2/"):
        answer = JSONResponse({"error": str(error)}, error.status, headers_of(error))
        answer.raw_headers.extend(API_HEADERS)
        return answer
    return problem(error, scope)


def _wants_page(scope: Scope) -> bool:
    return "text/html" in Headers(scope=scope).get("accept", "")


def _sent(scope: Scope) -> bytes:
    """The key that came with a request; empty when none did."""
    other = b""
    for name, value in scope["headers"]:
        if name == b"authorization" and (key := _bearer(value)):
            return key
        if name == b"x-api-key":
            other = value.strip()
    return other


def _bearer(authorization: bytes) -> bytes:
    scheme, _, key = authorization.partition(b" ")
    return key.strip() if scheme.lower() == b"bearer" else b""


def check_binding(settings: Settings) -> None:
    """Refuse to listen where strangers reach the server, unless there is a key or `--open` says so.

    Raises:
        UsageError: the host is not loopback, there is no key, and `open` is not set.
    """
    if settings.open or settings.api_key.get_secret_value() or is_loopback(settings.host) or any_active(settings):
        return
    raise UsageError(
        f"host {settings.host!r} can be reached from other machines and no API key is set; make one with `tidegate "
        "keys create`, set TIDEGATE_API_KEY, or pass --open to serve everyone who reaches the port"
    )


@lru_cache(maxsize=1_024)
def is_loopback(host: str) -> bool:
    """Whether a host, without its port, is this machine and nothing else."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False  # a name that resolves to who knows what
