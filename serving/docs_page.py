"""`/docs`: Swagger UI from a package on this machine, because nothing may load from outside the server.

FastAPI's own page takes its scripts from a CDN. The files are those that `fastapi-offline` ships; of that package
only the files are used. The page asks Swagger's online validator for nothing (`validatorUrl` is null) and runs
under a policy that allows this server alone.
"""

from functools import cache
from importlib import resources
from typing import Any

from fastapi import APIRouter, FastAPI
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

router = APIRouter(include_in_schema=False)

_TYPES = {
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
    "favicon.png": "image/png",
}
# Swagger UI sets style attributes, and its icons are data URLs.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
}
_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Tidegate API</title><link rel="icon" href="docs/favicon.png">
<link rel="stylesheet" href="docs/swagger-ui.css">
</head><body><div id="page"></div><script src="docs/swagger-ui-bundle.js"></script><script src="docs/start.js"></script>
</body></html>
"""
_START = (
    'SwaggerUIBundle({url: "openapi.json", dom_id: "#page", deepLinking: true, tryItOutEnabled: true, '
    "validatorUrl: null, displayRequestDuration: true});\n"
)


def describe_keys(app: FastAPI) -> None:
    """Have the documentation say how a key is sent, so that its page has a place to enter one."""
    plain = app.openapi

    def openapi() -> dict[str, Any]:
        document = plain()
        schemes = {"key": {"type": "http", "scheme": "bearer", "description": "Where the server asks for a key."}}
        document.setdefault("components", {})["securitySchemes"] = schemes
        document["security"] = [{"key": []}, {}]
        return document

    app.openapi = openapi  # type: ignore[method-assign]  # as FastAPI's own documentation does it


@router.get("/")
async def index(request: Request) -> Response:
    """The root leads to the documentation."""
    return RedirectResponse(f"{request.scope.get('root_path', '')}/docs", status_code=307)


@router.get("/docs")
async def docs() -> Response:
    """The documentation's page; its links are relative, so it also works below a proxy's prefix."""
    return HTMLResponse(_PAGE, headers=_HEADERS)


@router.get("/docs/start.js")
async def start() -> Response:
    """What starts Swagger UI: a file, because the policy forbids inline scripts."""
    return Response(_START, media_type="text/javascript", headers=_HEADERS)


@router.get("/docs/swagger-ui-bundle.js")
@router.get("/docs/swagger-ui.css")
@router.get("/docs/favicon.png")
async def asset(request: Request) -> Response:
    """A file of Swagger UI."""
    name = request.url.path.rpartition("/")[2]
    headers = _HEADERS | {"cache-control": "max-age=86400"}
    return Response(_asset(name), media_type=_TYPES[name], headers=headers)


@cache
def _asset(name: str) -> bytes:
    """Read on first use, from disk to memory once."""
    return resources.files("fastapi_offline").joinpath("static", name).read_bytes()
