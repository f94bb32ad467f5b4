"""`POST /dashboard/alerts/{alert}`: acknowledge or resolve an alert from the dashboard's form, which needs no script.

For keys that may administer, or by the cookie of who signed in with one (`serving.sessions`). A form is sent by any
site that likes to, so one that does not come from this server is refused: browsers say in `sec-fetch-site` and `origin`
where a form was.
Before: the cards of `alerts`; after: `Monitor.acknowledge` and `resolve`, and back to the alerts.
Source: https://www.w3.org/TR/fetch-metadata/.
"""

from collections.abc import Mapping, Sequence
from urllib.parse import parse_qs, urlencode, urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from serving.auth import PRINCIPAL
from serving.body import Head, read_body
from serving.gateway import Gateway
from tidegate.errors import Forbidden, InvalidInput, ItemNotFound, MalformedRequest

_FORM = b"application/x-www-form-urlencoded"
_MAX_BYTES = 16_384
_MAX_NOTE_CHARS = 2_000


async def decide(request: Request) -> Response:
    """Take the form; `do` is `acknowledge` or `resolve`, `note` may be empty.

    Raises:
        Forbidden: the form was sent from another site.
        ItemNotFound: no such alert.
        InvalidInput: neither of both is asked for, or the note is too long.
        MalformedRequest: not this form.
    """
    if not _from_here(request):
        raise Forbidden("this form was sent from another site; open the alerts at /dashboard/alerts itself")
    gateway: Gateway = request.app.state.gateway
    alert, sent = _id(request), await _sent(request)
    does = {"acknowledge": gateway.monitor.acknowledge, "resolve": gateway.monitor.resolve}
    asked, note = sent.get("do", [""])[0], sent.get("note", [""])[0].strip()
    if asked not in does:
        raise InvalidInput(f"do is one of {', '.join(does)}, not {asked[:40]!r}")
    if len(note) > _MAX_NOTE_CHARS:
        raise InvalidInput(f"the note has {len(note):,} characters; {_MAX_NOTE_CHARS:,} at most are kept")
    key = request.scope.get(PRINCIPAL)
    await run_in_threadpool(does[asked], alert, "" if key is None else str(key.name), note)
    return RedirectResponse(_back(request), 303)


def _from_here(request: Request) -> bool:
    """Whether the form was on a page of this server, or was sent by no browser."""
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site in ("same-origin", "none")
    origin = request.headers.get("origin")
    return origin is None or urlsplit(origin).netloc == request.headers.get("host")


def _id(request: Request) -> int:
    sent = request.path_params["alert"]
    if not (sent.isascii() and sent.isdigit() and len(sent) < 20):
        raise ItemNotFound(f"no alert {sent[:80]!r}; /dashboard/alerts shows those there are")
    return int(sent)


async def _sent(request: Request) -> Mapping[str, Sequence[str]]:
    body = await read_body(Head.of(request.scope), request.receive, _MAX_BYTES, (_FORM,))
    try:
        return parse_qs(body.decode("utf-8", "replace"), max_num_fields=8)
    except ValueError:
        raise MalformedRequest("the form has too many fields; send do and note") from None


def _back(request: Request) -> str:
    """The alerts as they were chosen."""
    chosen = {name: request.query_params[name] for name in ("model", "state") if request.query_params.get(name)}
    query = f"?{urlencode(chosen)}" if chosen else ""
    return f"{request.scope.get('root_path', '')}/dashboard/alerts{query}"
