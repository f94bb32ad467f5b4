"""One demo page as Gradio blocks: a text, its answer and why, "report a wrong label", and folded parts for more.

Before: `demos.app` hands over the manifest and a `Client`; after: `gr.mount_gradio_app`. The page keeps no
`gr.State`: the prediction id travels in a hidden field, so a page outlives a server restart and opens no
heartbeat stream that would hold up a shutdown. Sections: `report_section`, `many_section`, `more_sections`.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import gradio as gr

from demos import highlights, markup
from demos.about import about
from demos.client import Client
from demos.many_section import build_many
from demos.more_sections import More, build_code, build_versions
from demos.mounting import MAX_WAITING
from demos.occlusion import split
from demos.report_section import build_report, cleared, may_annotate, wire_report
from demos.wiring import Update, Updates, charge, explained, html, on, while_awaited
from tidegate import __version__
from tidegate.bundle import Manifest

MOST_SAMPLES = 6
PRIVACY = (
    "What you enter may be kept on this server to watch over the model and improve it. Enter nothing confidential."
)


@dataclass(frozen=True, slots=True)
class Answerer:
    """What the events of a single text run; each returns one value per output component."""

    manifest: Manifest
    client: Client
    more: More

    async def answer(self, text: str, request: gr.Request) -> Updates:
        """Values for the outputs that `build_page` lists, in their order.

        What shows beside an answer is the style sheet's to say: each component whose visibility changed would be built
        anew, for the session to keep.
        """
        try:
            reply = await while_awaited(request, self.client.ask(text))
        except Exception as error:
            return (markup.problem(explained(error)), "", *cleared(), "", "", gr.update())
        shown = markup.result(reply, self.manifest, may_test=may_annotate(request))
        return (shown, reply.id, *cleared(), text, "", self.more.programs(text, request))

    def answer_sample(self, sample: str) -> Callable[[gr.Request], Awaitable[Updates]]:
        """What runs when a sample is chosen: as `answer`, with the update of the text field first."""

        async def answer(request: gr.Request) -> Updates:
            return (sample, *await self.answer(sample, request))

        return answer

    async def weigh(self, asked: str, request: gr.Request) -> Update:
        """The explanation."""
        try:
            await charge(request, len(split(asked)))
            return highlights.explanation(await self.client.weigh_words(asked))
        except Exception as error:
            return markup.problem(explained(error))


def build_page(manifest: Manifest, client: Client, failed_tests: Sequence[str] = ()) -> gr.Blocks:
    """Build the demo of one model that gives labels; `failed_tests` are named among what it does not do."""
    more = More(client, next(iter(manifest.samples), "Write or paste a text"))
    answerer = Answerer(manifest, client, more)
    explains = client.gateway.settings.demo_explanations
    blocks = gr.Blocks(title=f"{markup.title(manifest)} · Tidegate", analytics_enabled=False)
    with blocks:
        html(markup.header(manifest))
        with gr.Row(elem_classes="tg-columns"):
            with gr.Column(elem_classes=["tg-card", "tg-ask"]):
                text = gr.Textbox(label="Text", lines=4, max_lines=14, placeholder="Write or paste a text")
                go = gr.Button("Classify", variant="primary", elem_classes="tg-go")
            with gr.Column(elem_classes=["tg-card", "tg-reply"]):
                answer = html(markup.waiting())
                explain = gr.Button("Which words mattered?", visible=explains, elem_classes=["tg-send", "tg-explain"])
                explanation = html("", elem_classes="tg-late")
                prediction_id, asked = gr.Textbox(visible=False), gr.Textbox(visible=False)
                report = build_report(manifest)
            with gr.Column(elem_classes=["tg-card", "tg-samples"]):
                samples = _samples(manifest)
        html(about(manifest, failed_tests))
        build_many(client)
        build_versions(more, text)
        programs = build_code(more, text)
        html(f'<div class="tg-foot">{PRIVACY} Tidegate {__version__}.{markup.unshown(manifest)}</div>')

        outputs = [answer, prediction_id, report.label, report.comment, report.outcome, asked, explanation, programs]
        on([go.click, text.submit], answerer.answer, [text], outputs, answer)
        for button, sample in samples:
            on([button.click], answerer.answer_sample(sample), [], [text, *outputs], answer)
        wire_report(report, client, prediction_id, asked)
        if explains:
            on([explain.click], answerer.weigh, [asked], [explanation], explanation, long=True)
    blocks.queue(api_open=False, max_size=MAX_WAITING)
    return blocks


def _samples(manifest: Manifest) -> list[tuple[gr.Button, str]]:
    html("<h2>Or try one of these</h2>")
    chosen = list(dict.fromkeys(manifest.samples))[:MOST_SAMPLES]
    samples = [(gr.Button(sample, variant="secondary", size="sm"), sample) for sample in chosen]
    note = markup.threshold_note(manifest)
    if note:
        html(note)
    return samples
