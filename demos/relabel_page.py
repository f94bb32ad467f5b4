"""`/relabel` and `/relabel/{model}`: the pages of people who label; scripts and style from this server alone.

The pages hold what does not change while somebody labels: names, guidelines, the frame. Items come and answers go by
the JSON routes of `serving.relabel`, through `relabel.js`. The model's answer stays hidden until it is asked for,
since who sees it first agrees with it too often. For keys that may annotate (`serving.access`).
Before: `tidegate.cli.gateway` mounts it, in every worker; after: a browser.
"""

from functools import cache
from html import escape
from pathlib import Path

from fastapi import APIRouter, FastAPI
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from demos import guidelines
from serving.gateway import Gateway
from serving.relabel import annotator_of_key
from tidegate.annotation import MAX_NAME_CHARS
from tidegate.errors import ModelNotFound

router = APIRouter(include_in_schema=False)

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cache-control": "no-store",
}
_TYPES = {".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8"}
_FRAME = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex"><title>{title}</title>
<link rel="icon" href="data:,"><link rel="stylesheet" href="{root}/relabel/relabel.css">{script}</head>
<body>{body}</body></html>
"""
_KEYS = (
    ("1 to 9", "choose a label"),
    ("arrows, Enter", "move to a label, choose it"),
    ("n or 0", "not a case for these labels"),
    ("s", "skip: somebody else shall say"),
    ("u", "take the last answer back"),
    ("m", "show or hide what the model says"),
    ("/", "search the labels"),
    ("c", "write a comment"),
)


def mount_relabel_page(app: FastAPI) -> None:
    """Add the pages' routes to a gateway's app."""
    app.include_router(router)


@router.get("/relabel")
async def index(request: Request) -> Response:
    """Every model with labels, and how many items wait."""
    gateway: Gateway = request.app.state.gateway
    waiting = await run_in_threadpool(gateway.desk.waiting) if gateway.desk else {}
    models = [name for name in gateway.repository.states if gateway.bundles.task(name) != "embedding"]
    return _page(request, "Label", render_index({name: waiting.get(name, 0) for name in models}, _root(request)))


@router.get("/relabel/relabel.js")
@router.get("/relabel/relabel_keys.js")
@router.get("/relabel/relabel_sending.js")
@router.get("/relabel/relabel_view.js")
@router.get("/relabel/relabel.css")
async def asset(request: Request) -> Response:
    """A script or the stylesheet."""
    name = request.url.path.rpartition("/")[2]
    return Response(
        _asset(name), media_type=_TYPES[Path(name).suffix], headers=_HEADERS | {"cache-control": "no-cache"}
    )


@router.get("/relabel/{model}")
async def relabel_page(request: Request) -> Response:
    """The page to label a served model's items.

    Raises:
        ModelNotFound: it is not served, or has no labels.
    """
    gateway: Gateway = request.app.state.gateway
    model = str(request.path_params["model"])
    gateway.repository.state(model)
    if gateway.bundles.task(model) == "embedding":
        raise ModelNotFound(f"model {model!r} answers vectors, and nobody labels those; GET /relabel lists the others")
    text = await run_in_threadpool(guidelines.read, gateway.settings.home, model)
    body = render(model, annotator_of_key(request), text, _root(request))
    return _page(request, f"Label: {model}", body, script=True)


def render_index(waiting: dict[str, int], root_path: str = "") -> str:
    """The list of models.

    Args:
        waiting: model to items that wait for people.
        root_path: what a proxy puts in front of every address.
    """
    rows = "".join(
        f'<li><a href="{escape(root_path)}/relabel/{escape(model)}">{escape(model)}</a> '
        f'<span class="soft">{"nothing waits" if not count else f"{count:,} waiting"}</span></li>'
        for model, count in waiting.items()
    )
    return f'<main><h1>Texts that wait for a label</h1><ul class="models">{rows}</ul></main>'


def render(model: str, annotator: str, guideline: str, root_path: str = "") -> str:
    """The page to label; the script fills it in.

    Args:
        model: whose items.
        annotator: the name of the key; empty where the person says it.
        guideline: as `guidelines.read` found it.
        root_path: what a proxy puts in front of every address.
    """
    return _BODY.format(
        model=escape(model),
        root=escape(root_path),
        annotator=escape(annotator),
        guideline=_guideline(model, guideline),
        keys="".join(f"<dt><kbd>{escape(key)}</kbd></dt><dd>{escape(what)}</dd>" for key, what in _KEYS),
        max_name=MAX_NAME_CHARS,
    )


def _guideline(model: str, text: str) -> str:
    if not text.strip():
        return (
            '<p class="soft">There are none yet. Whoever runs the server writes them into '
            f"<code>guidelines/{escape(model)}.md</code> in its home folder.</p>"
        )
    return guidelines.render(text)


def _page(request: Request, title: str, body: str, *, script: bool = False) -> Response:
    root = escape(_root(request))
    tag = f'<script src="{root}/relabel/relabel.js" type="module"></script>' if script else ""
    return HTMLResponse(_FRAME.format(title=escape(title), root=root, script=tag, body=body), headers=_HEADERS)


def _root(request: Request) -> str:
    return str(request.scope.get("root_path", ""))


@cache
def _asset(name: str) -> bytes:
    return Path(__file__).with_name(name).read_bytes()


_BODY = """<main id="page" data-at="{root}/relabel/{model}" data-login="{root}/login" data-annotator="{annotator}">
<header><a href="{root}/relabel">All models</a><h1>{model}</h1>
<p id="progress" class="soft"></p>
<p id="who" class="soft" hidden><span></span> <button type="button">change</button></p>
</header>
<noscript><p>This page needs JavaScript; <code>tidegate relabel export</code> works without.</p></noscript>
<p id="status" role="status" aria-live="polite"></p>
<p id="trouble" role="alert" hidden></p>
<form id="name" hidden><label for="name-field">Your name</label>
<input id="name-field" maxlength="{max_name}" autocomplete="name" required>
<p class="soft">It is kept with your answers and in this browser.</p><button class="main">Start</button></form>
<section id="item" aria-label="Item" hidden>
<div id="text" tabindex="0" dir="auto"></div>
<input id="search" type="search" placeholder="Search the labels" aria-label="Search the labels" autocomplete="off"
hidden>
<div id="labels" role="group" aria-label="Labels"></div>
<p id="no-label" class="soft" hidden>No label has that in its name.</p>
<div class="row"><button type="button" id="none" aria-keyshortcuts="n 0">Not a case for these labels
<kbd aria-hidden="true">n</kbd></button>
<button type="button" id="skip" aria-keyshortcuts="s">Skip <kbd aria-hidden="true">s</kbd></button>
<button type="button" id="undo" aria-keyshortcuts="u">Undo <kbd aria-hidden="true">u</kbd></button></div>
<div class="row quiet"><button type="button" id="show-model" aria-keyshortcuts="m" aria-expanded="false"
aria-controls="model">Show what the model says</button>
<button type="button" id="show-comment" aria-keyshortcuts="c" aria-expanded="false"
aria-controls="comment">Comment</button>
<button type="button" id="stop">Stop for now</button></div>
<textarea id="comment" rows="2" maxlength="4000" aria-label="Comment" dir="auto" hidden></textarea>
<div id="model" hidden></div>
</section>
<section id="empty" hidden><h2>Nothing waits for you</h2>
<p>Texts come here when inputs drift away from what the model knows, when somebody reports a wrong label, and a few a
day at random. This page looks again by itself.</p>
<div class="row"><button type="button" id="undo-empty">Undo</button></div>
</section>
<section id="stopped" hidden><h2>Thank you</h2><p>What you had on the screen is back on the queue.</p>
<button type="button" class="main" id="again">Go on</button></section>
<details id="guidelines"><summary>Guidelines</summary>{guideline}</details>
<details id="keys"><summary>Keys</summary><dl>{keys}</dl></details>
</main>"""
