"""One demo page as Gradio blocks: a text, its answer, and "report a wrong label".

Before: `demos.app` hands over the manifest and a `Client`; after: `gr.mount_gradio_app`. The page keeps no
`gr.State`: the prediction id travels in a hidden field, so a page outlives a server restart and opens no
heartbeat stream that would hold up a shutdown. Every function is private to the page: no public API name.
"""

import logging
import traceback
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import gradio as gr

from demos import markup
from demos.client import MAX_COMMENT_CHARS, Client, explain
from serving.access import ANNOTATE
from serving.auth import PRINCIPAL, SHARE_KEY
from tidegate import __version__
from tidegate.bundle import Manifest
from tidegate.errors import Forbidden, InferenceFailed, TidegateError

MAX_AT_ONCE = 32  # questions in flight per demo; the batcher behind answers them together
MAX_WAITING = 128  # beyond it Gradio answers "busy"
MAX_SESSIONS = 200  # Gradio copies the page's configuration per visitor; the oldest are dropped first
MOST_SAMPLES = 6
MOST_RADIOS = 8  # more labels than this read better as a searchable list
PRIVACY = (
    "What you enter may be kept on this server to watch over the model and improve it. Enter nothing confidential."
)

_log = logging.getLogger(__name__)

Updates = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """The part of the page that takes a correction."""

    form: gr.Column
    label: gr.Radio | gr.Dropdown
    comment: gr.Textbox
    send: gr.Button
    make_test: gr.Button
    outcome: gr.Markdown


@dataclass(frozen=True, slots=True)
class Answerer:
    """What the page's events run; each returns one update per output component."""

    manifest: Manifest
    client: Client

    async def answer(self, text: str, request: gr.Request) -> Updates:
        """Updates for: answer, prediction id, report form, its label, comment and outcome, asked text, test button."""
        try:
            reply = await self.client.ask(text)
        except Exception as error:
            hidden = gr.update(visible=False)
            return (markup.problem(_explained(error)), "", hidden, *_cleared(), "", hidden)
        shown = gr.update(visible=may_annotate(request))
        return (markup.result(reply, self.manifest), reply.id, gr.update(visible=True), *_cleared(), text, shown)

    def answer_sample(self, sample: str) -> Callable[[gr.Request], Awaitable[Updates]]:
        """What runs when a sample is chosen: as `answer`, with the update of the text field first."""

        async def answer(request: gr.Request) -> Updates:
            return (sample, *await self.answer(sample, request))

        return answer

    async def take_report(self, prediction_id: str, label: str | None, comment: str) -> Updates:
        """Updates for: report form, report outcome."""
        try:
            item = await self.client.report(prediction_id, label or "", comment)
        except Exception as error:
            return gr.update(), gr.update(value=markup.notice(_explained(error), good=False), visible=True)
        thanks = f"Thank you. It is on the relabel queue now, as item {item[:8]}; someone will check it."
        return gr.update(visible=False), gr.update(value=markup.notice(thanks, good=True), visible=True)

    async def take_test(self, text: str, label: str | None, comment: str, request: gr.Request) -> Updates:
        """Updates for: test button, report outcome."""
        try:
            if not may_annotate(request):
                raise Forbidden("this takes a key that may annotate")
            added = await self.client.keep_as_test(text, label or "", comment)
        except Exception as error:
            return gr.update(), gr.update(value=markup.notice(_explained(error), good=False), visible=True)
        said = (
            "It is a behavioural test now; every export will run it." if added else "It is a behavioural test already."
        )
        return gr.update(), gr.update(value=markup.notice(said, good=True), visible=True)


def may_annotate(request: gr.Request) -> bool:
    """Whether who asks may change the model's tests: no share link's visitor, and a key that may annotate, if any."""
    asked = request.request
    if asked is None or asked.scope.get(SHARE_KEY) is not None:
        return False
    key = asked.scope.get(PRINCIPAL)  # none where the server asks for no key, which is then everybody's
    return key is None or key.role >= ANNOTATE


def build_page(manifest: Manifest, client: Client) -> gr.Blocks:
    """Build the demo of one model."""
    answerer = Answerer(manifest, client)
    blocks = gr.Blocks(title=f"{markup.title(manifest)} · Tidegate", analytics_enabled=False)
    with blocks:
        _html(markup.header(manifest))
        with gr.Row(elem_classes="tg-columns"):
            with gr.Column(elem_classes=["tg-card", "tg-ask"]):
                text = gr.Textbox(label="Text", lines=4, max_lines=14, placeholder="Write or paste a text")
                go = gr.Button("Classify", variant="primary", elem_classes="tg-go")
            with gr.Column(elem_classes=["tg-card", "tg-reply"]):
                answer = _html(markup.waiting())
                prediction_id, asked = gr.Textbox(visible=False), gr.Textbox(visible=False)
                report = _report(manifest)
            with gr.Column(elem_classes=["tg-card", "tg-samples"]):
                samples = _samples(manifest)
        _html(f'<div class="tg-foot">{PRIVACY} Tidegate {__version__}.</div>')

        outputs = [answer, prediction_id, report.form, report.label, report.comment, report.outcome]
        outputs += [asked, report.make_test]
        _on([go.click, text.submit], answerer.answer, [text], outputs, answer)
        for button, sample in samples:
            _on([button.click], answerer.answer_sample(sample), [], [text, *outputs], answer)
        inputs = [prediction_id, report.label, report.comment]
        _on([report.send.click], answerer.take_report, inputs, [report.form, report.outcome], report.outcome)
        inputs = [asked, report.label, report.comment]
        _on([report.make_test.click], answerer.take_test, inputs, [report.make_test, report.outcome], report.outcome)
    blocks.state_session_capacity = MAX_SESSIONS
    blocks.queue(api_open=False, max_size=MAX_WAITING, default_concurrency_limit=MAX_AT_ONCE)
    return blocks


def _samples(manifest: Manifest) -> list[tuple[gr.Button, str]]:
    _html("<h2>Or try one of these</h2>")
    chosen = list(dict.fromkeys(manifest.samples))[:MOST_SAMPLES]
    samples = [(gr.Button(sample, variant="secondary", size="sm"), sample) for sample in chosen]
    note = markup.threshold_note(manifest)
    if note:
        _html(note)
    return samples


def _report(manifest: Manifest) -> Report:
    labels = list(manifest.labels)
    with gr.Column(visible=False, elem_classes="tg-report") as form:
        _html("<h2>Is this label wrong?</h2>")
        if len(labels) <= MOST_RADIOS:
            label: gr.Radio | gr.Dropdown = gr.Radio(labels, label="The right label")
        else:
            label = gr.Dropdown(labels, value=None, label="The right label", filterable=True)
        comment = gr.Textbox(label="Comment (optional)", lines=1, max_length=MAX_COMMENT_CHARS)
        send = gr.Button("Report wrong label", variant="secondary", elem_classes="tg-send")
        make_test = gr.Button(
            "Make this a behavioural test", variant="secondary", elem_classes="tg-send", visible=False
        )
    return Report(form, label, comment, send, make_test, _html("", visible=False))


def _on(
    triggers: list[Any],
    fn: Callable[..., Awaitable[Updates]],
    inputs: list[Any],
    outputs: list[Any],
    progress_on: gr.Markdown,
) -> None:
    """Connect an event; all of a page share one concurrency limit."""
    gr.on(
        triggers,
        fn,
        inputs,
        outputs,
        api_visibility="private",
        show_progress="minimal",
        show_progress_on=progress_on,
        concurrency_id="page",
        concurrency_limit=MAX_AT_ONCE,
    )


def _html(content: str, *, visible: bool = True) -> gr.Markdown:
    """HTML through the Markdown sanitizer; `$` is money here, not mathematics."""
    return gr.Markdown(content, visible=visible, latex_delimiters=[], padding=False)


def _explained(error: Exception) -> str:
    """Plain words for the visitor; a failure that nobody foresaw goes to the log, without the text."""
    if isinstance(error, TidegateError):
        return explain(error)
    frames = traceback.extract_tb(error.__traceback__)
    where = f"{frames[-1].filename}:{frames[-1].lineno}" if frames else "nowhere"
    _log.error("a demo event failed with %s at %s", type(error).__name__, where)
    return explain(InferenceFailed("unforeseen"))


def _cleared() -> Updates:
    """The report form as before: no label, no comment, no outcome."""
    return None, "", gr.update(value="", visible=False)
