"""The part of a demo page that takes several texts: pasted lines or a CSV file, a table, its progress, a download.

The file never becomes one on the server: `page.js` reads it in the browser into a hidden field, and makes the download
out of another, so Gradio's upload and file routes stay closed. Before: `demos.page`; after: `demos.many` and the
batcher, in pieces, behind those who ask one text.
Limits: `demos.many`. A visitor who leaves ends the list at the piece that is being asked.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

import gradio as gr

from demos import many, markup, results
from demos.client import Client
from demos.many import Outcome, Row
from demos.wiring import Updates, charge, explained, html, on

ROWS_AT_ONCE = 32  # one batch of most plans: progress moves, and others get their turn in between


@dataclass(frozen=True, slots=True)
class Lists:
    """What the section's events run."""

    client: Client

    async def read_file(self, content: str) -> Updates:
        """Updates for: pasted lines, column, note on the file."""
        if not content:
            return gr.update(visible=True), gr.update(choices=[], value=None, visible=False), gr.update(visible=False)
        try:
            sheet = many.read_sheet(content)
        except Exception as error:
            note = gr.update(value=markup.problem(explained(error)), visible=True)
            return gr.update(visible=True), gr.update(choices=[], value=None, visible=False), note
        column = gr.update(choices=list(sheet.columns), value=sheet.wordiest(), visible=True)
        return gr.update(visible=False), column, gr.update(value=results.chosen_file(sheet), visible=True)

    async def answer(self, lines: str, content: str, column: str | None, request: gr.Request) -> AsyncIterator[Updates]:
        """Updates for: table, contents of the download, download button; one for each piece that was answered."""
        hidden = gr.update(visible=False)
        try:
            rows = self._rows(lines, content, column or "")
            await charge(request, sum(not row.fault for row in rows) - 1)
        except Exception as error:
            yield markup.problem(explained(error)), "", hidden
            return
        outcomes: list[Outcome] = []
        for start in range(0, len(rows), ROWS_AT_ONCE):
            yield results.progress(start, len(rows)), "", hidden
            outcomes += await self._ask(rows[start : start + ROWS_AT_ONCE])
        yield results.table(outcomes), many.to_csv(outcomes), gr.update(visible=True)

    def _rows(self, lines: str, content: str, column: str) -> list[Row]:
        max_chars = self.client.gateway.settings.max_text_chars
        if content:
            return many.from_sheet(many.read_sheet(content), column, max_chars)
        return many.from_lines(lines, max_chars)

    async def _ask(self, rows: Sequence[Row]) -> list[Outcome]:
        """What became of each row; when the gateway refuses, of each the same."""
        good = [row for row in rows if not row.fault]
        try:
            replies = iter(await self.client.ask_list([row.text for row in good]) if good else [])
        except Exception as error:
            fault = explained(error)
            return [Outcome(row, None, fault) for row in rows]
        return [Outcome(row, None if row.fault else next(replies)) for row in rows]


def build_many(client: Client) -> None:
    """The section, folded until somebody wants it."""
    lists = Lists(client)
    with gr.Accordion("Several texts at once", open=False, elem_classes=["tg-card", "tg-fold"]):
        lines = gr.Textbox(
            label="Texts, one a line", lines=5, max_lines=14, placeholder=f"Up to {many.MOST_ROWS:,} lines"
        )
        html(
            '<div class="tg-file"><label class="tg-pick">Or choose a CSV file<input type="file" '
            'accept=".csv,.tsv,text/csv"></label><span class="tg-file-name"></span>'
            '<button type="button" class="tg-drop">Remove the file</button></div>'
        )
        content = gr.Textbox(visible="hidden", elem_classes="tg-file-content")
        # Gradio would check the choice against what it remembers of the session, and a page outlives that.
        column = gr.Dropdown([], label="Column with the texts", visible=False, allow_custom_value=True)
        note = html("", visible=False)
        go = gr.Button("Classify all", variant="primary", elem_classes="tg-go")
        shown = html("")
        download_content = gr.Textbox(visible="hidden", elem_classes="tg-download-content")
        download = gr.Button("Download as CSV", visible=False, elem_classes=["tg-send", "tg-download"])
    on([content.change], lists.read_file, [content], [lines, column, note], note)
    on([go.click], lists.answer, [lines, content, column], [shown, download_content, download], shown, long=True)
