"""Which paths a demo page needs, per method: an allow-list, so that what Gradio adds tomorrow stays closed.

Used twice: `demos.app` refuses everything else to everybody, `demos.guard` refuses everything else to share
visitors before it reaches the gateway. What is left out on purpose: Gradio's `/config`, `/gradio_api/info`,
`/call`, `/file=`, `/proxy=`, `/upload`, `/component_server`, `/stream`, `/monitoring`, `/deep_link`,
`/heartbeat` (only pages with `gr.State` open it), `/cancel`, login and MCP routes.
Source: the network log of the page in Chromium with Gradio 6.31, which `tests/demos/test_walk.py` repeats.
"""

import re
from dataclasses import dataclass

_FILE = r"[A-Za-z0-9_][A-Za-z0-9._-]*"
_DEMO = re.compile(r"/demo/([A-Za-z0-9][A-Za-z0-9_-]{0,63})(/.*)?", re.DOTALL)
_READ = re.compile(
    rf"""
      /                                                         # the page
    | /theme\.css
    | /page\.js                                                 # ours (demos.app)
    | /assets/{_FILE}\.(?:js|css|svg|woff2|woff|ttf)            # Gradio's built frontend, names carry hashes
    | /static/fonts/[A-Za-z0-9]+/{_FILE}\.woff2
    | /static/js/iframeResizer\.contentWindow\.min\.js
    | /gradio_api/queue/data                                    # answers, as server-sent events
    | /gradio_api/app_id                                        # a page that lost its server waits for it here
    """,
    re.VERBOSE,
)
_WRITE = re.compile(r"/gradio_api/(?:queue/join|run/predict)")  # questions
PAGE = "/"
SCRIPT = "/page.js"
STREAM = "/gradio_api/queue/data"
RUN = "/gradio_api/run/predict"  # a question that is answered at once, past the queue


@dataclass(frozen=True, slots=True)
class DemoPath:
    """A path at or below `/demo/{model}`; `rest` is what follows the model, empty or with a leading slash."""

    model: str
    rest: str

    def allows(self, method: str) -> bool:
        """Whether the page needs this; the bare `/demo/{model}` redirects to the page."""
        if method in ("GET", "HEAD"):
            return not self.rest or _READ.fullmatch(self.rest) is not None
        return method == "POST" and _WRITE.fullmatch(self.rest) is not None


def demo_path(path: str, raw_path: bytes | None) -> DemoPath | None:
    """Take a request path apart; None when it is not plainly one of a demo.

    Args:
        path: percent-decoded, below the root path.
        raw_path: as it came; no path of a demo needs an escape, so one that has any is none.
    """
    match = _DEMO.fullmatch(path)
    if match is None or b"%" in (raw_path or b""):
        return None
    return DemoPath(match[1], match[2] or "")
