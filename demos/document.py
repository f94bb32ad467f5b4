"""Gradio's page as it leaves us: without its links to the outside, under a policy that names each script.

Gradio renders the HTML per request; `tidy` takes out what points at other servers or at the root of ours
(preview images, a manifest, its handle), adds our icon and script (`page.js`); `noted` puts a share link's notice above
it; `policy` then allows exactly the inline scripts that are left, by their hashes, and otherwise only what this server
itself serves.
Source: CSP Level 3, section 2.3.1 (hash sources); Gradio 6.31 `templates/frontend/index.html`.
"""

import base64
import hashlib
import re
from html import escape

_ICON = (
    "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 32 32'%3E%3Crect width='32' height='32' "
    "rx='7' fill='%23137672'/%3E%3Cpath d='M5 19c4-6 7-6 11 0s7 6 11 0' fill='none' stroke='%23fff' "
    "stroke-width='3' stroke-linecap='round'/%3E%3C/svg%3E"
)
_HEAD = f'<head><link rel="icon" href="{_ICON}"><meta name="robots" content="noindex">'
_SCRIPT = '<script type="module" src="./page.js"></script>'
_FOREIGN_META = re.compile(r'<meta\s+(?:property="og:|name="twitter:)[^>]*>')
_MANIFEST = re.compile(r'<link\s+rel="manifest"[^>]*>')
_BODY = re.compile(r"<body[^>]*>")
_NOTICE = (
    '<p role="note" style="margin: 0; padding: .6rem 1rem; background: #6b4300; color: #fff; text-align: center; '
    'font: 15px/1.5 ui-sans-serif, system-ui, sans-serif; overflow-wrap: anywhere">{notice}</p>'
)
_INLINE_SCRIPT = re.compile(r"<script(?![^>]*\ssrc=)[^>]*>(.*?)</script>", re.DOTALL)
_POLICY = "; ".join(
    (
        "default-src 'self'",
        "script-src 'self' {hashes}",
        "style-src 'self' 'unsafe-inline'",  # Svelte components style themselves with attributes and elements
        "img-src 'self' data:",
        "font-src 'self' data:",
        "connect-src {place}",
        "object-src 'none'",
        "base-uri 'self'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
# For scripts that are not ours: no window, frame or worker, in which another page of this server could be read.
_STRICTER = "; frame-src 'none'; worker-src 'none'; sandbox allow-scripts allow-same-origin allow-downloads"


def tidy(html: str) -> str:
    """The page without what would send a browser elsewhere."""
    return _MANIFEST.sub("", _FOREIGN_META.sub("", html)).replace("<head>", _HEAD + _SCRIPT, 1)


def noted(html: str, notice: str) -> str:
    """The page with a line of plain text above all that Gradio draws; white on brown, legible light and dark."""
    return _BODY.sub(lambda body: body[0] + _NOTICE.format(notice=escape(notice)), html, count=1)


def policy(html: str, place: str = "'self'") -> str:
    """The Content-Security-Policy of exactly this page, which may ask a place: an origin, or a part of one."""
    digests = (hashlib.sha256(body.encode()).digest() for body in _INLINE_SCRIPT.findall(html))
    hashes = " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)
    return _POLICY.format(hashes=hashes, place=place)


def strict_policy(html: str, place: str) -> str:
    """The policy of a page whose scripts a run brought: it reaches nothing of this server but what is at `place`."""
    return policy(html, place) + _STRICTER
