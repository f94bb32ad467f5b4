"""How demos refuse: a small page for people, RFC 9457 problem+json for programs; and the headers of both.

Before: `demos.guard` and `demos.app` catch a `TidegateError`; after: the response goes straight out, nothing of
the gateway is asked. The page carries its style inline, under a policy that allows nothing else; `demos.entrance`
uses it too.
"""

from html import escape
from http import HTTPStatus

import orjson
from starlette.datastructures import Headers
from starlette.responses import HTMLResponse, Response
from starlette.types import Scope

from demos.client import explain
from tidegate.errors import Forbidden, Overloaded, TidegateError, Unauthorized

SECURITY_HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",  # the first request of a share link carries its token
    "x-frame-options": "DENY",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
}
CLOSED_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
_HEADINGS = {401: "This link does not open anything", 403: "This is closed to you", 404: "There is nothing here"}
_OTHERWISE = "This does not work now"
_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex"><title>{heading}</title><style>
:root {{ color-scheme: light dark }}
body {{ margin: 0; min-height: 100vh; display: grid; place-items: center; background: #f5f7f8; color: #10222b;
  font: 16px/1.55 ui-sans-serif, system-ui, sans-serif; overflow-wrap: anywhere }}
main {{ max-width: 30rem; padding: 2rem }}
h1 {{ font-size: 1.4rem; margin: 0 0 .5rem; letter-spacing: -.01em }}
p {{ margin: 0; color: #47606b }} a {{ color: inherit }}
.notice {{ margin-top: 1rem; padding: .6rem .8rem; border-left: 3px solid #b7791f }}
.code {{ margin: 1rem 0; max-width: 20rem }} .code svg {{ display: block; width: 100% }}
label {{ display: block; font-weight: 600; margin: 1rem 0 .25rem }}
input, button {{ font: inherit; padding: .5rem .75rem; border-radius: .4rem; border: 1px solid #6b838d; width: 100%;
  box-sizing: border-box }}
button {{ margin-top: .75rem; background: #137672; border-color: #137672; color: #fff; cursor: pointer }}
small {{ display: block; margin-top: 1.5rem; color: #5b727c }}
@media (prefers-color-scheme: dark) {{ body {{ background: #0b1418; color: #e6eff2 }} p, small {{ color: #9db3bc }} }}
</style></head>
<body><main><h1>{heading}</h1>{content}</main></body>
</html>
"""


def refusal(error: TidegateError, scope: Scope) -> Response:
    """The answer to a request that is refused with `error`: HTML where the caller prefers it, else a problem."""
    status, message = error.status, _message(error, scope)
    response = _page(status, message) if _wants_page(scope) else _problem(status, message)
    response.headers.update(SECURITY_HEADERS)
    response.headers["content-security-policy"] = CLOSED_POLICY
    response.headers["cache-control"] = "no-store"
    if status == HTTPStatus.UNAUTHORIZED:
        response.headers["www-authenticate"] = "Bearer"  # RFC 9110 asks for a challenge with every 401
    if isinstance(error, Overloaded):
        response.headers["retry-after"] = str(max(1, round(error.retry_after_seconds)))
    return response


def _wants_page(scope: Scope) -> bool:
    return "text/html" in Headers(scope=scope).get("accept", "")


def _message(error: TidegateError, scope: Scope) -> str:
    """A visitor learns nothing of the server's paths or of its other models."""
    if "tidegate.share" in scope and not isinstance(error, Unauthorized | Forbidden):
        return explain(error)
    return str(error)


def page(heading: str, content: str) -> str:
    """A page of a few lines for people; `content` is HTML."""
    return _PAGE.format(heading=heading, content=content)


def _page(status: int, message: str) -> Response:
    sentence = escape(message[:1].upper() + message[1:].rstrip("."))
    content = f"<p>{sentence}.</p><small>Tidegate &middot; {status}</small>"
    return HTMLResponse(page(_HEADINGS.get(status, _OTHERWISE), content), status)


def _problem(status: int, message: str) -> Response:
    problem = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": message}
    return Response(orjson.dumps(problem), status, media_type="application/problem+json")
