"""A demo page of a run's own: headlines side by side, and a way to say that an answer is wrong.

Logged with `examples/train_tfidf.py --demo examples/demo.py`, carried in the bundle, and shown by
`tidegate serve --trust-demo NAME` in a process of its own. `page(client)` returns Gradio blocks; functions are `def`.
"""

from typing import Any

import gradio as gr


def page(client: Any) -> gr.Blocks:
    """Two texts, two answers; `client.predict` asks the gateway, through the batcher that its API uses."""

    def compare(first: str, second: str) -> tuple[dict[str, float], dict[str, float], list[str]]:
        one, other = client.predict([first, second])
        return one["scores"], other["scores"], [one["id"], other["id"]]

    def report(ids: list[str], which: str, label: str) -> str:
        if not ids or not which or not label:
            raise gr.Error("Compare first, then choose a headline and its right label.", print_exception=False)
        client.report(ids[0 if which == "the first" else 1], label)
        return "Thank you: it is on the list of texts that people look at."

    first, second, *_ = [*client.samples, "", ""]
    with gr.Blocks(title=f"{client.model}, two at a time") as blocks:
        gr.Markdown(f"# Two headlines, one model\n\n`{client.model}` knows {', '.join(client.labels)}.")
        ids = gr.State([])
        with gr.Row():
            with gr.Column():
                one, one_scores = gr.Textbox(first, label="First headline"), gr.Label(label="The first is")
            with gr.Column():
                other, other_scores = gr.Textbox(second, label="Second headline"), gr.Label(label="The second is")
        gr.Button("Compare", variant="primary").click(compare, [one, other], [one_scores, other_scores, ids])
        with gr.Row():
            which = gr.Radio(["the first", "the second"], label="Wrong is")
            label = gr.Radio(list(client.labels), label="Its right label")
        told = gr.Markdown()
        gr.Button("Tell us").click(report, [ids, which, label], told)
    return blocks
