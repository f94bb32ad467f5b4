"""The part of a demo page that takes a correction: "wrong? tell us", and a test out of a wrong answer.

Before: `demos.page` shows it below an answer; after: `demos.client` hands the correction to monitoring. The prediction
id and the text that was asked travel in hidden fields, so that what is reported is what was answered.
"""

from dataclasses import dataclass

import gradio as gr

from demos import markup
from demos.client import MAX_COMMENT_CHARS, Client
from demos.wiring import Updates, explained, html, on
from serving.access import ANNOTATE
from serving.auth import PRINCIPAL, SHARE_KEY
from tidegate.bundle import Manifest
from tidegate.errors import Forbidden

MOST_RADIOS = 8  # more labels than this read better as a searchable list


@dataclass(frozen=True, slots=True)
class Report:
    """The components."""

    label: gr.Radio | gr.Dropdown
    comment: gr.Textbox
    send: gr.Button
    make_test: gr.Button
    outcome: gr.Markdown


@dataclass(frozen=True, slots=True)
class Reporter:
    """What the form's events run."""

    client: Client

    async def take_report(self, prediction_id: str, label: str | None, comment: str) -> str:
        """The outcome to show; the form gives way to one that says thanks."""
        try:
            item = await self.client.report(prediction_id, label or "", comment)
        except Exception as error:
            return markup.notice(explained(error), good=False)
        return markup.reported(f"Thank you. It is on the relabel queue now, as item {item[:8]}; someone will check it.")

    async def take_test(self, text: str, label: str | None, comment: str, request: gr.Request) -> str:
        """The outcome to show."""
        try:
            if not may_annotate(request):
                raise Forbidden("this takes a key that may annotate")
            added = await self.client.keep_as_test(text, label or "", comment)
        except Exception as error:
            return markup.notice(explained(error), good=False)
        said = (
            "It is a behavioural test now; every export will run it." if added else "It is a behavioural test already."
        )
        return markup.notice(said, good=True)


def may_annotate(request: gr.Request) -> bool:
    """Whether who asks may change the model's tests: no share link's visitor, and a key that may annotate, if any."""
    asked = request.request
    if asked is None or asked.scope.get(SHARE_KEY) is not None:
        return False
    key = asked.scope.get(PRINCIPAL)  # none where the server asks for no key, which is then everybody's
    return key is None or key.role >= ANNOTATE


def cleared() -> Updates:
    """The form as before: no label, no comment, no outcome."""
    return None, "", ""


def build_report(manifest: Manifest) -> Report:
    """The form; the style sheet hides it until there is an answer, and the second button from who may not use it."""
    labels = list(manifest.labels)
    with gr.Column(elem_classes="tg-report"):
        html("<h2>Is this label wrong?</h2>")
        if len(labels) <= MOST_RADIOS:
            label: gr.Radio | gr.Dropdown = gr.Radio(labels, label="The right label")
        else:
            label = gr.Dropdown(labels, value=None, label="The right label", filterable=True)
        comment = gr.Textbox(label="Comment (optional)", lines=1, max_length=MAX_COMMENT_CHARS)
        send = gr.Button("Report wrong label", variant="secondary", elem_classes="tg-send")
        make_test = gr.Button(
            "Make this a behavioural test", variant="secondary", elem_classes=["tg-send", "tg-make-test"]
        )
    return Report(label, comment, send, make_test, html("", elem_classes="tg-late"))


def wire_report(report: Report, client: Client, prediction_id: gr.Textbox, asked: gr.Textbox) -> None:
    """Connect the form's buttons."""
    reporter = Reporter(client)
    inputs = [prediction_id, report.label, report.comment]
    on([report.send.click], reporter.take_report, inputs, [report.outcome], report.outcome)
    inputs = [asked, report.label, report.comment]
    on([report.make_test.click], reporter.take_test, inputs, [report.outcome], report.outcome)
