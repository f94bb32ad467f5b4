"""`/login`: the key, typed once into a browser, so that pages open by a cookie (`serving.sessions`).

A page that asks for a key answers with this form, too (`serving.auth`). No script, no file: one form under a policy
that allows this server alone. A form sent from another site is refused.
"""

import base64
import hashlib
import re
from html import escape
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import Scope

from serving.body import Head, read_body
from tidegate.errors import Forbidden, MalformedRequest

if TYPE_CHECKING:
    from serving.gateway import Gateway

router = APIRouter(include_in_schema=False)

_MAX_FORM_BYTES = 4_096
_FORM = b"application/x-www-form-urlencoded"
_PLACE = re.compile(r"/(?!/)[A-Za-z0-9/_.-]{0,200}")  # of this server: no scheme, no host, nothing to escape
_STYLE = """:root { color-scheme: light dark }
body { margin: 0; min-height: 100vh; display: grid; place-items: center; background: #f5f7f8; color: #10222b;
  font: 16px/1.55 ui-sans-serif, system-ui, sans-serif }
main { width: 22rem; max-width: 90vw }
h1 { font-size: 1.4rem; margin: 0 0 .5rem; letter-spacing: -.01em }
p { margin: 0 0 1rem; color: #47606b }
label { display: block; font-weight: 600; margin-bottom: .25rem }
input, button { font: inherit; padding: .5rem .75rem; border-radius: .4rem; border: 1px solid #8aa1ab; width: 100%;
  box-sizing: border-box }
button { margin-top: .75rem; background: #137672; border-color: #137672; color: #fff; cursor: pointer }
@media (prefers-color-scheme: dark) { body { background: #0b1418; color: #e6eff2 } p { color: #9db3bc } }
"""
_POLICY = (
    f"default-src 'none'; style-src 'sha256-{base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()}'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
}
_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex"><title>Sign in to Tidegate</title><style>{style}</style></head>
<body><main><h1>{heading}</h1><p>{message}</p>
<form method="post" action="{action}">{fields}</form></main></body></html>
"""
_SIGN_IN = """<input type="hidden" name="to" value="{to}">
<label for="key">Key</label>
<input id="key" name="key" type="password" autocomplete="current-password" required autofocus>
<button>Sign in</button>"""
_ASKS = "This server asks for a key. `tidegate keys create` makes one."
_WRONG = "This key opens nothing here: it is unknown, expired or revoked."


@router.get("/login")
async def form(request: Request) -> Response:
    """Ask for a key, or say who is signed in."""
    door = _gateway(request).door
    key = door.sessions.key_of(request.scope)
    if key is None:
        return page(request.scope, 200) if door.asks else RedirectResponse(_at(request.scope, "/docs"), 303)
    who = f"You are signed in as {key.name}; the key may {key.role.name.lower()}."
    return _page(request.scope, 200, "Signed in", who, "/logout", "<button>Sign out</button>")


@router.post("/login")
async def sign_in(request: Request) -> Response:
    """Check the key and set the cookie.

    Raises:
        Forbidden: the form was sent from another site.
        MalformedRequest: not this form.
    """
    if request.headers.get("sec-fetch-site") in ("cross-site", "same-site"):
        raise Forbidden("this form was sent from another site; sign in at /login itself")
    body = await read_body(Head.of(request.scope), request.receive, _MAX_FORM_BYTES, (_FORM,))
    try:
        sent = parse_qs(body.decode("utf-8", "replace"), max_num_fields=8)
    except ValueError:
        raise MalformedRequest("the form has too many fields; sign in at /login itself") from None
    to, door = sent.get("to", [""])[0], _gateway(request).door
    key = door.ring.find(sent.get("key", [""])[0].strip().encode())
    if key is None:
        return page(request.scope, 401, to=to, message=_WRONG)
    response = RedirectResponse(_at(request.scope, to if _PLACE.fullmatch(to) else "/docs"), 303)
    door.sessions.begin(key, request.scope, response)
    return response


@router.post("/logout")
async def sign_out(request: Request) -> Response:
    """Forget who was signed in."""
    response = RedirectResponse(_at(request.scope, "/login"), 303)
    _gateway(request).door.sessions.end(request.scope, response)
    return response


def page(scope: Scope, status: int, *, to: str = "", message: str = _ASKS) -> Response:
    """The form; `to` is where it leads afterwards, if that is a place of this server."""
    fields = _SIGN_IN.format(to=to if _PLACE.fullmatch(to) else "")
    return _page(scope, status, "Sign in", message, "/login", fields)


def _page(scope: Scope, status: int, heading: str, message: str, action: str, fields: str) -> Response:
    content = _PAGE.format(
        style=_STYLE, heading=heading, message=escape(message), action=escape(_at(scope, action)), fields=fields
    )
    challenge = {"www-authenticate": "Bearer"} if status == 401 else {}  # RFC 9110: with every 401
    body = "" if scope["method"] == "HEAD" else content
    return HTMLResponse(body, status, _HEADERS | challenge)


def _at(scope: Scope, path: str) -> str:
    return f"{scope.get('root_path', '')}{path}"


def _gateway(request: Request) -> "Gateway":
    gateway: Gateway = request.app.state.gateway
    return gateway
