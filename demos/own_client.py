"""What a `demo.py` is handed: asks its model through the gateway, over the pipe that its process was born with.

Before: functions of the page, in Gradio's threads; after: `demos.own_process` in the gateway, which allows one model's
predictions and reports and nothing else. No address and no key: whoever is not this process cannot ask.
Limits: it blocks, so a page's functions are `def`, not `async def`.
"""

import asyncio
import itertools
import json
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from typing import IO, Any

import gradio as gr

MOST_SECONDS = 120.0  # beyond every deadline that the gateway keeps by itself, unless it was set longer


class Client:
    """Asks one model.

    Attributes:
        model: its name.
        labels: what it answers with; none where it answers vectors.
        samples: example inputs.
    """

    def __init__(self, questions: IO[bytes], orders: dict[str, Any]) -> None:
        self.model: str = orders["model"]
        self.labels: tuple[str, ...] = tuple(orders["labels"])
        self.samples: tuple[str, ...] = tuple(orders["samples"])
        self._most_bytes: int = orders["most_bytes"]
        self._questions = questions
        self._numbers = itertools.count()
        self._waiting: dict[int, Future[Any]] = {}
        self._writing = threading.Lock()

    def predict(self, texts: str | Sequence[str]) -> list[dict[str, Any]]:
        """Answer texts.

        Args:
            texts: one, or up to 1,000; a list waits behind those who ask one text.

        Returns:
            For each text `{"id", "label", "score", "abstained", "scores"}`, scores by label in [0, 1]; of a model that
            answers vectors `{"id", "vector"}`.

        Raises:
            gradio.Error: it cannot be answered, in words for the visitor, to whom Gradio shows them.
            RuntimeError: asked from an `async def`, which would stop the page for everybody.
        """
        answers: list[dict[str, Any]] = self._ask("predict", texts=[texts] if isinstance(texts, str) else list(texts))
        return answers

    def report(self, prediction_id: str, label: str, comment: str = "") -> str:
        """Hand in the right label of a prediction, for the relabel queue, and return the id of its item there.

        Raises what `predict` does.
        """
        item: str = self._ask("report", prediction=prediction_id, label=label, comment=comment)
        return item

    def listen(self, answers: IO[bytes]) -> None:
        """Take answers until there are no more; in a thread of its own."""
        for line in answers:
            answer = json.loads(line)
            self._waiting.pop(answer["number"]).set_result(answer)

    def _ask(self, what: str, **details: Any) -> Any:
        _refuse_loop()
        number, future = next(self._numbers), Future[Any]()
        line = json.dumps({"ask": what, "number": number} | details).encode() + b"\n"
        if len(line) > self._most_bytes:
            raise gr.Error(f"This is too much at once: {self._most_bytes:,} bytes are the most.", print_exception=False)
        self._waiting[number] = future
        with self._writing:
            self._questions.write(line)
            self._questions.flush()
        answer = future.result(MOST_SECONDS)
        if "fault" in answer:
            raise gr.Error(answer["fault"], print_exception=False)
        return answer["answer"]


def _refuse_loop() -> None:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise RuntimeError("ask the model from a function that is `def`, not `async def`: Gradio gives it a thread")
