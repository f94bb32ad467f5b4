"""The entrance of a shared demo: changes the token of a link for a pass, which only that demo's pages get.

Before: `demos.guard` has judged the token; after: the demo's page, the pass in a cookie, no token in the address bar.
A plain link leads straight in. One with a password, or one that may be opened so many times, shows a form first:
programs that preview links in chats fetch them, and would otherwise be the visit. Who holds a pass is counted once.
`/share/MODEL?share=TOKEN` shows the QR code of the link, to hold up to a camera.
"""

import asyncio
import re
from html import escape
from urllib.parse import parse_qs

from starlette.datastructures import Headers
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import Receive, Scope

from demos.answers import CLOSED_POLICY, SECURITY_HEADERS, page
from demos.meter import ShareMeter
from demos.paths import DemoPath
from demos.qr import svg_code
from demos.share import Share, ShareLinks, full
from serving.body import Head, read_body
from tidegate.errors import MalformedRequest, Unauthorized

COOKIE = "tidegate_share"
PARAMETER = "share"
# The cookie outlives its link by this much, so that a late visitor reads that it has ended, not "needs a key".
COOKIE_GRACE_SECONDS = 7 * 24 * 3_600
_FORM_TYPE = b"application/x-www-form-urlencoded"
_MAX_FORM_BYTES = 4_096
_FORM_POLICY = CLOSED_POLICY.replace("form-action 'none'", "form-action 'self'")
HOST = re.compile(r"[A-Za-z0-9._-]{1,253}(?::\d{1,5})?|\[[0-9A-Fa-f:.]{2,45}\](?::\d{1,5})?")
_FIELD = """<label for="password">Password</label>
<input id="password" name="password" type="password" autocomplete="off" required autofocus maxlength="128">"""
_FORM = """<form method="post" action="?share={token}">{field}<button>Open the demo</button></form>"""


class Entrance:
    """Lets visitors in, and counts them; in the process that has the demos."""

    def __init__(self, links: ShareLinks, meter: ShareMeter) -> None:
        self._links = links
        self._meter = meter

    async def enter(self, token: str, share: Share, path: DemoPath, scope: Scope, receive: Receive) -> Response:
        """Answer the request of a link: the way in, or the form that is in the way.

        Args:
            token: of the link.
            share: that it opens, which is open now.
            path: of the page of its demo.
            scope: of the request, which is GET, HEAD or POST.
            receive: its body.

        Raises:
            Forbidden: as many as may were let in.
            Overloaded: too many wrong passwords.
            MalformedRequest: a body that is not the form's.
            ClientDisconnect: the visitor left before the form had come.
        """
        if self._is_in(share, scope):
            return _way_in(path)
        if share.is_full:
            raise full(share)
        if scope["method"] == "HEAD":
            return Response(headers=SECURITY_HEADERS)
        if scope["method"] == "POST":
            return await self._take_form(token, share, path, scope, receive)
        if share.password_hash is not None or share.max_visits is not None:
            return _form(token, share, 200, "")
        return await self._let_in(share, path, scope)

    def _is_in(self, share: Share, scope: Scope) -> bool:
        try:
            return any(self._links.read_pass(value) == share.id for value in cookies(scope))
        except Unauthorized:
            return False

    async def _take_form(self, token: str, share: Share, path: DemoPath, scope: Scope, receive: Receive) -> Response:
        body = await read_body(Head.of(scope), receive, _MAX_FORM_BYTES, (_FORM_TYPE,))
        try:
            sent = parse_qs(body.decode("utf-8", "replace"), max_num_fields=8)
        except ValueError:
            raise MalformedRequest("the form has too many fields; open the share link again") from None
        if share.password_hash is not None:
            try:
                await self._meter.try_password(share, sent.get("password", [""])[0])
            except Unauthorized as error:
                return _form(token, share, error.status, str(error))
        return await self._let_in(share, path, scope)

    async def _let_in(self, share: Share, path: DemoPath, scope: Scope) -> Response:
        await asyncio.to_thread(self._links.count_visit, share)
        response = _way_in(path)
        response.set_cookie(
            COOKIE,
            self._links.issue_pass(share.id),
            max_age=int(share.expires_at - self._links.clock()) + COOKIE_GRACE_SECONDS,
            path=cookie_path(path, scope),
            secure=scope.get("scheme") == "https",
            httponly=True,
            samesite="lax",
        )
        return response


def cookies(scope: Scope) -> set[str]:
    """The values of our cookie, which an honest browser sends once."""
    pairs = [pair.partition("=") for line in Headers(scope=scope).getlist("cookie") for pair in line.split(";")]
    return {value.strip() for name, _, value in pairs if name.strip() == COOKIE}


def cookie_path(path: DemoPath, scope: Scope) -> str:
    """Below which a pass is sent: the demo alone."""
    return f"{scope.get('root_path', '')}/demo/{path.model}"


def code_page(token: str, share: Share, scope: Scope, public_url: str) -> Response:
    """The page with the QR code of a link, which opens nothing and counts no visit.

    Args:
        token: of the link.
        share: that it opens.
        scope: of the request.
        public_url: where visitors reach the server; empty for where this request did.

    Raises:
        MalformedRequest: the request names no host.
    """
    base = public_url.rstrip("/") or f"{_origin(scope)}{scope.get('root_path', '')}"
    link = f"{base}/demo/{share.model}?{PARAMETER}={token}"
    asks = " It asks for a password, too." if share.password_hash is not None else ""
    content = (
        f'<p>Point a camera at it to open the demo of <b>{escape(share.model)}</b>.{asks}</p><div class="code">'
        f'{svg_code(link)}</div><p class="link"><a href="{escape(link)}">{escape(link)}</a></p>'
    )
    return _html("Share this demo", content + _noted(share), 200, CLOSED_POLICY)


def _origin(scope: Scope) -> str:
    host = Headers(scope=scope).get("host", "")
    if HOST.fullmatch(host) is None:
        raise MalformedRequest("the request names no host to make a link of; set TIDEGATE_PUBLIC_URL on the server")
    return f"{scope.get('scheme', 'http')}://{host}"


def _way_in(path: DemoPath) -> Response:
    response = RedirectResponse("./" if path.rest else f"{path.model}/", status_code=303, headers=SECURITY_HEADERS)
    response.headers["cache-control"] = "no-store"
    return response


def _form(token: str, share: Share, status: int, problem: str) -> Response:
    """The form before the demo; the token is of the URL-safe alphabet, checked before."""
    said = problem or (
        "This demo is shared with a password." if share.password_hash is not None else "This demo is shared with you."
    )
    field = _FIELD if share.password_hash is not None else ""
    content = f"<p>{escape(said[:1].upper() + said[1:].rstrip('.'))}.</p>{_noted(share)}"
    response = _html("Open the demo", content + _FORM.format(token=token, field=field), status, _FORM_POLICY)
    if status == Unauthorized.status:
        response.headers["www-authenticate"] = "Bearer"  # RFC 9110 asks for a challenge with every 401
    return response


def _noted(share: Share) -> str:
    return f'<p class="notice">{escape(share.notice)}</p>' if share.notice else ""


def _html(heading: str, content: str, status: int, policy: str) -> Response:
    headers = SECURITY_HEADERS | {"content-security-policy": policy, "cache-control": "no-store"}
    return HTMLResponse(page(heading, content), status, headers)
