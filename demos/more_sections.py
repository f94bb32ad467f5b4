"""The folded parts of a demo page: what other versions say, and the same question from a program.

Before: `demos.page`; after: `demos.client` asks every live version without recording, `demos.snippets` quotes. The
address in a program is the setting `public_url`, or what the visitor's own browser called this server.
"""

from dataclasses import dataclass

import gradio as gr

from demos import markup, results, snippets
from demos.client import Client
from demos.wiring import explained, html, on, while_awaited
from serving.auth import PRINCIPAL, SHARE_KEY

KEYLESS = "This server asks for no key."
WITH_KEY = f"Programs need an API key of this server, in the variable {snippets.KEY}; a share link is none."


@dataclass(frozen=True, slots=True)
class More:
    """What the events of both run."""

    client: Client
    sample: str

    async def compare(self, text: str, request: gr.Request) -> str:
        """What each version says."""
        try:
            return results.opinions(await while_awaited(request, self.client.ask_versions(text)))
        except Exception as error:
            return markup.problem(explained(error))

    async def show_code(self, text: str, request: gr.Request) -> str:
        """The programs, as an event."""
        return self.programs(text, request)

    def programs(self, text: str, request: gr.Request) -> str:
        """The programs that ask for this text; for a sample where there is none yet."""
        text = text.encode(errors="replace").decode() if text.strip() else self.sample
        url = f"{_address(self.client, request)}/models/{self.client.model}/predict"
        with_key = _needs_key(request)
        shown = (
            results.code("curl", snippets.curl(url, text, with_key=with_key)),
            results.code("Python", snippets.python(url, text, with_key=with_key)),
            results.code("JavaScript", snippets.javascript(url, text, with_key=with_key)),
        )
        note = WITH_KEY if with_key else KEYLESS
        return f'<div class="tg-programs"><p class="tg-why">{note}</p>{"".join(shown)}</div>'


def build_versions(more: More, text: gr.Textbox) -> None:
    """What the other versions say, folded until somebody wants it."""
    with gr.Accordion("Compare versions", open=False, elem_classes=["tg-card", "tg-fold"]):
        go = gr.Button("Ask every version", variant="secondary", elem_classes="tg-send")
        shown = html("")
    on([go.click], more.compare, [text], [shown], shown)


def build_code(more: More, text: gr.Textbox) -> gr.Markdown:
    """The programs, filled when the part is unfolded; whoever answers fills it again."""
    with gr.Accordion("Ask from a program", open=False, elem_classes=["tg-card", "tg-fold"]) as fold:
        shown = html("")
    on([fold.expand], more.show_code, [text], [shown], shown)
    return shown


def _address(client: Client, request: gr.Request) -> str:
    """Where the visitor's programs find this server."""
    settings = client.gateway.settings
    if settings.public_url:
        return settings.public_url.rstrip("/")
    asked = request.request
    url = f"{asked.url.scheme}://{asked.url.netloc}" if asked is not None else "http://127.0.0.1:8080"
    return f"{url}{settings.root_path}"


def _needs_key(request: gr.Request) -> bool:
    """Whether programs of this visitor have to bring a key."""
    scope = request.request.scope if request.request is not None else {}
    return scope.get(SHARE_KEY) is not None or scope.get(PRINCIPAL) is not None
