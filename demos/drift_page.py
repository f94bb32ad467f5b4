"""`GET /drift/{model}`: the drift report as one page for people, whole in itself: no script, no file, no font.

Its parts are `drift_sections`, its charts `charts`; what it says is `monitoring.report`, so the page and
`tidegate drift` never differ. It shows example inputs as they are kept (redacted where the setting `redact` says so),
and therefore asks for the role that works the relabel queue (`serving.access`).
Before: `tidegate.cli.gateway` mounts it beside the demos, in every worker; after: a browser, or a printer.
"""

import base64
import hashlib
from collections.abc import Mapping
from html import escape

from fastapi import APIRouter, FastAPI
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from demos import charts, drift_sections
from demos.drift_sections import Document
from serving.gateway import Gateway
from serving.routes import drift_query

router = APIRouter(include_in_schema=False)

STYLE = (
    """:root { color-scheme: light dark; --ink: #13222a; --soft: #566c77; --line: #d8e0e4; --paper: #f5f7f8;
  --card: #fff; --now: #137672; --before: #b9c6cc; --band: #d3f1ec; --bad: #b3261e }
@media (prefers-color-scheme: dark) { :root { --ink: #e6eff2; --soft: #9db3bc; --line: #324852; --paper: #0b1418;
  --card: #13222a; --now: #3fb0a8; --before: #47606b; --band: #143f3f; --bad: #f2857d } }
* { box-sizing: border-box }
body { margin: 0 auto; max-width: 72rem; padding: 1.5rem 1rem 3rem; background: var(--paper); color: var(--ink);
  font: 16px/1.55 ui-sans-serif, system-ui, sans-serif; overflow-wrap: anywhere }
h1 { font-size: 1.6rem; line-height: 1.2; margin: .2rem 0 .6rem; letter-spacing: -.01em }
h2 { font-size: 1.15rem; margin: 2.2rem 0 .6rem } p { margin: 0 0 .6rem; max-width: 48rem }
a { color: var(--now) } code { font-size: .85em } .lead { font-size: 1.15rem }
.soft { color: var(--soft); font-size: .9rem }
.state { display: inline-block; margin: 0; padding: .1rem .7rem; border-radius: 1rem; border: 1px solid currentColor;
  font-size: .85rem; font-weight: 600; color: var(--now) } .state.alert, .state.drift { color: var(--bad) }
.grid { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 20rem), 1fr)); gap: 1rem }
figure { margin: 0; padding: .8rem 1rem; background: var(--card); border: 1px solid var(--line); border-radius: .5rem;
  break-inside: avoid } figure.beyond { border-color: var(--bad) } figcaption { font-weight: 600 }
table { border-collapse: collapse; width: 100%; font-size: .9rem; font-variant-numeric: tabular-nums }
th, td { text-align: right; padding: .15rem .4rem; border-bottom: 1px solid var(--line) }
td { white-space: nowrap } th:first-child, td:first-child { text-align: left; white-space: normal }
ul.plain, ol.plain { list-style: none; padding: 0 }
blockquote { margin: .8rem 0 .1rem; padding-left: .8rem; border-left: 3px solid var(--line); white-space: pre-wrap }
footer { margin-top: 2.5rem } @media print { body { background: #fff; max-width: none } }
"""
    + charts.STYLE
)
_POLICY = (
    f"default-src 'none'; style-src 'sha256-{base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()}'; "
    "form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
}


def mount_drift_page(app: FastAPI) -> None:
    """Add the page's route to a gateway's app."""
    app.include_router(router)


@router.get("/drift/{model}")
async def drift_page(request: Request) -> Response:
    """The page of a served model; `?version=N` of another version, `?alert=ID` of the windows that raised an alert."""
    gateway: Gateway = request.app.state.gateway
    model, version, alert = drift_query(request)
    report = await run_in_threadpool(gateway.monitor.drift, model, version, alert)
    ids = [example["id"] for example in report["attribution"]["examples"]] if report["attribution"] else []
    texts = await run_in_threadpool(gateway.monitor.texts, model, ids)
    return HTMLResponse(render(report, texts, request.scope.get("root_path", "")), headers=_HEADERS)


def render(report: Document, texts: Mapping[str, str], root_path: str = "") -> str:
    """The whole page.

    Args:
        report: what `GET /models/{m}/drift` answers.
        texts: kept inputs by prediction id, of those that the report names as examples.
        root_path: what a proxy puts in front of every address.
    """
    parts = [drift_sections.header(report), drift_sections.alerts(report), *drift_sections.findings(report, texts)]
    title = escape(f"Drift of {report['model']}/{report['version']}")
    label = escape(f"{root_path}/relabel/{report['model']}")
    as_json = escape(f"{root_path}/models/{report['model']}/drift")
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="robots" content="noindex">'
        f"<title>{title}</title><style>{STYLE}</style></head><body><main>{''.join(parts)}</main>"
        f'<footer class="soft"><p><a href="{label}">Label the texts that wait for people</a></p>'
        f'The same for programs: <a href="{as_json}">{as_json}</a></footer></body></html>\n'
    )
