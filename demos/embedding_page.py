"""The demo page of a model that answers vectors: a text, others beside it, and how alike they are to it.

Nobody reads 384 numbers, so the page shows what they are for: it ranks the other texts by their cosine to the first.
Before: `demos.app` hands over the manifest and a `Client`; after: the batcher, in one request.
Limits: `MOST_OTHERS` texts; no feedback, since there is no label to correct. Source: `demos.page`, for how pages are.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import gradio as gr

from demos import markup
from demos.about import about
from demos.client import MOST_OTHERS, Client, Ranking
from demos.mounting import MAX_WAITING
from demos.page import PRIVACY
from demos.wiring import charge, explained, html, on, while_awaited
from tidegate import __version__
from tidegate.bundle import Manifest


@dataclass(frozen=True, slots=True)
class Ranker:
    """What the page's event runs."""

    client: Client

    async def rank(self, text: str, others: str, request: gr.Request) -> str:
        """The other texts, the most alike first."""
        lines = [line.strip() for line in others.splitlines() if line.strip()]
        try:
            await charge(request, len(lines))
            return ranking(await while_awaited(request, self.client.rank(text, lines)))
        except Exception as error:
            return markup.problem(explained(error))


def build_embedding_page(manifest: Manifest, client: Client) -> gr.Blocks:
    """Build the demo of one model that answers vectors."""
    ranker = Ranker(client)
    first, *others = manifest.samples or ("",)
    blocks = gr.Blocks(title=f"{markup.title(manifest)} · Tidegate", analytics_enabled=False)
    with blocks:
        html(markup.header(manifest))
        with gr.Row(elem_classes="tg-columns"):
            with gr.Column(elem_classes=["tg-card", "tg-ask"]):
                text = gr.Textbox(label="Text", value=first, lines=2, max_lines=8)
                beside = gr.Textbox(
                    label=f"Other texts, one a line, up to {MOST_OTHERS}",
                    value="\n".join(others[: MOST_OTHERS // 4]),
                    lines=6,
                    max_lines=14,
                )
                go = gr.Button("Compare", variant="primary", elem_classes="tg-go")
            with gr.Column(elem_classes=["tg-card", "tg-reply"]):
                answer = html(markup.waiting())
        html(about(manifest, ()))
        html(f'<div class="tg-foot">{PRIVACY} Tidegate {__version__}.{markup.unshown(manifest)}</div>')
        on([go.click], ranker.rank, [text, beside], [answer], answer)
    blocks.queue(api_open=False, max_size=MAX_WAITING)
    return blocks


def ranking(ranked: Ranking) -> str:
    """Bars of cosines, the highest first; what points away has none."""
    bars = "".join(_bar(other, cosine, best=not place) for place, (other, cosine) in enumerate(ranked.pairs))
    small = f"{markup.milliseconds(ranked.seconds)}&thinsp;ms &middot; version {ranked.version} &middot; "
    return (
        '<div class="tg-result"><p class="tg-kicker">Most alike</p>'
        f'<ul class="tg-bars">{bars}</ul>'
        f'<p class="tg-small">{small}{markup.escaped(ranked.variant)} &middot; {_numbers(ranked.vector)}</p></div>'
    )


def _bar(text: str, cosine: float, *, best: bool) -> str:
    return (
        f'<li class="{"tg-best" if best else ""}"><span class="tg-name">{markup.escaped(text)}</span>'
        f'<span class="tg-share">{cosine:.3f}</span>'
        f'<span class="tg-track"><b style="width:{max(0.0, cosine):.2%}"></b></span></li>'
    )


def _numbers(vector: Sequence[float]) -> str:
    shown = ", ".join(f"{number:.3f}" for number in vector[:3])
    return f"{len(vector)} numbers: {shown}{', …' if len(vector) > 3 else ''}"
