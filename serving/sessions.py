"""Sessions: who signed in with a key in a browser, carried by a signed cookie; nothing is kept on the server.

Before: `serving.login` checks the key; after: `serving.auth` reads the cookie of each page. A session ends with its
key, when it is old, or at sign-out. A cookie travels wherever the browser goes, so it opens what only reads, the
queue that demo pages ask through, the answers of the page to label and what is decided of alerts on the dashboard;
everything else that changes something wants the key itself.
Source: itsdangerous `URLSafeTimedSerializer`.
"""

import hashlib
import re

from itsdangerous import BadData, URLSafeTimedSerializer
from starlette.responses import Response
from starlette.types import Scope

from serving.keys import ApiKey, KeyRing
from serving.root_path import below_root

COOKIE = b"tidegate_session"
LIFETIME_SECONDS = 12 * 3_600
_PAGE_QUESTIONS = re.compile(
    r"/demo/[^/]+/gradio_api/(?:queue/join|run/predict)|/relabel/[^/]+/(?:undo|items/[^/]+(?:/release)?)|/dashboard/alerts/[0-9]+"
)
_ELSEWHERE = (b"cross-site", b"same-site")  # values of sec-fetch-site; same-site is another port or subdomain


class Sessions:
    """Signs and reads the cookies of one server."""

    def __init__(self, secret: bytes, ring: KeyRing) -> None:
        self._ring = ring
        self._serializer = URLSafeTimedSerializer(
            secret, salt="tidegate.session", signer_kwargs={"key_derivation": "hmac", "digest_method": hashlib.sha256}
        )

    def begin(self, key: ApiKey, scope: Scope, response: Response) -> None:
        """Let the browser that gets this answer act for the key."""
        response.set_cookie(
            COOKIE.decode(),
            str(self._serializer.dumps(key.id)),
            max_age=LIFETIME_SECONDS,
            path=cookie_path(scope),
            secure=scope.get("scheme") == "https",
            httponly=True,
            samesite="strict",
        )

    def end(self, scope: Scope, response: Response) -> None:
        """Have the browser forget it."""
        response.delete_cookie(COOKIE.decode(), path=cookie_path(scope), httponly=True, samesite="strict")

    def key_of(self, scope: Scope) -> ApiKey | None:
        """The key that a request was signed in with, if it may act by its cookie at all."""
        cookie, site = b"", b""
        for name, value in scope["headers"]:
            if name == b"cookie" and COOKIE in value:
                cookie = value
            elif name == b"sec-fetch-site":
                site = value
        if not cookie or scope["type"] != "http":
            return None
        if scope["method"] not in ("GET", "HEAD") and (
            site in _ELSEWHERE or not _PAGE_QUESTIONS.fullmatch(below_root(scope))
        ):
            return None
        return self._read(cookie)

    def _read(self, cookies: bytes) -> ApiKey | None:
        for pair in cookies.split(b";"):
            name, _, value = pair.strip().partition(b"=")
            if name == COOKIE:
                try:
                    key_id = self._serializer.loads(value, max_age=LIFETIME_SECONDS)
                except (BadData, ValueError):
                    continue
                return self._ring.by_id(key_id) if isinstance(key_id, str) else None
        return None


def cookie_path(scope: Scope) -> str:
    """Where cookies of this server are sent: below its root path alone."""
    return str(scope.get("root_path", "")) or "/"
