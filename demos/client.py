"""What a demo page asks of the gateway: a prediction, and to take a correction.

Serving's `Gateway` fits the protocols below; tests bring their own. Before: `demos.page` calls `ask` and
`report`; after: the gateway's batcher and its `Monitor`. Errors become plain words here, in `explain`, because
what a person at a demo can do about them differs from what a caller of the API can do.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from tidegate.behaviour_file import keep
from tidegate.bundle import Manifest
from tidegate.errors import (
    BundleNotFound,
    DeadlinePassed,
    Forbidden,
    InvalidInput,
    ModelNotFound,
    NotReady,
    Overloaded,
    PayloadTooLarge,
    PredictionNotFound,
    TidegateError,
)
from tidegate.records import Monitor
from tidegate.settings import Settings
from tidegate.tasks import Answer

MAX_COMMENT_CHARS = 1_000


class Predictions(Protocol):
    """The answers to the texts of one request, in their order."""

    @property
    def answers(self) -> Sequence[Answer]:
        """One answer a text."""
        ...

    @property
    def ids(self) -> Sequence[str]:
        """One prediction id a text."""
        ...

    @property
    def version(self) -> int:
        """Version of the bundle that answered."""
        ...

    @property
    def variant(self) -> str:
        """Its variant."""
        ...


class ServedModel(Protocol):
    """A model that answers."""

    @property
    def manifest(self) -> Manifest:
        """The manifest of the version that answers."""
        ...

    async def predict(self, texts: Sequence[str]) -> Predictions:
        """Answer texts, through the batcher that the API uses."""
        ...


class Repository(Protocol):
    """The models that are served."""

    def get(self, name: str) -> ServedModel:
        """The served model of that name, or `ModelNotFound`."""
        ...


class Gateway(Protocol):
    """The part of `serving`'s gateway that demos use."""

    @property
    def repository(self) -> Repository:
        """The models that are served."""
        ...

    @property
    def settings(self) -> Settings:
        """The limits that hold for the API too."""
        ...

    @property
    def monitor(self) -> Monitor:
        """Where corrections go; its calls block."""
        ...


@dataclass(frozen=True, slots=True)
class Reply:
    """One answered text.

    Attributes:
        id: prediction id, which a correction names.
        seconds: from asking to answer, batching included.
    """

    id: str
    answer: Answer
    version: int
    variant: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Client:
    """Asks one model of a gateway."""

    gateway: Gateway
    model: str

    async def ask(self, text: str) -> Reply:
        """Classify one text.

        Raises:
            InvalidInput: the text is blank, too long, or no text.
            RequestError: what the gateway raises when it cannot answer now.
        """
        if not text.strip():
            raise InvalidInput("there is no text yet; write one, or choose an example")
        _check(text, "text", self.gateway.settings.max_text_chars)
        started = time.perf_counter()
        predictions = await self.gateway.repository.get(self.model).predict([text])
        seconds = time.perf_counter() - started
        return Reply(predictions.ids[0], predictions.answers[0], predictions.version, predictions.variant, seconds)

    async def report(self, prediction_id: str, label: str, comment: str) -> str:
        """Hand in the right label of a prediction and return the id of its relabel item.

        Raises:
            InvalidInput: no label was chosen, or the comment is too long or no text.
            PredictionNotFound: the prediction is no longer kept.
        """
        if not label:
            raise InvalidInput("choose the right label first")
        _check(comment, "comment", MAX_COMMENT_CHARS)
        return await asyncio.to_thread(self.gateway.monitor.feedback, self.model, prediction_id, label, comment.strip())

    async def keep_as_test(self, text: str, label: str, note: str) -> bool:
        """Make a text a behavioural test of the model; False where it is one already.

        Raises:
            InvalidInput: no label was chosen, the tests have the text with another one, or it is no text.
            NotReady: the file of tests cannot be added to.
        """
        if not label:
            raise InvalidInput("choose the right label first")
        _check(text, "text", self.gateway.settings.max_text_chars)
        _check(note, "comment", MAX_COMMENT_CHARS)
        manifest = self.gateway.repository.get(self.model).manifest
        return await asyncio.to_thread(keep, self.gateway.settings, manifest, text, label, note.strip())


def _check(text: str, name: str, max_chars: int) -> None:
    """Refuse what the API refuses too; Gradio's JSON reader lets halves of surrogate pairs through."""
    if len(text) > max_chars:
        raise InvalidInput(f"the {name} has {len(text):,} characters; {max_chars:,} are the most")
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise InvalidInput(f"the {name} holds half a character, which no encoding can carry; paste it again")


def explain(error: TidegateError) -> str:
    """What went wrong, and what to do, for a person who knows nothing of the server; one or two sentences."""
    if isinstance(error, InvalidInput | PayloadTooLarge):
        message = str(error)  # written for whoever sent the text
        return f"{message[:1].upper()}{message[1:]}."
    if isinstance(error, Overloaded):
        return f"Many people are asking at once. Try again in {max(1, round(error.retry_after_seconds))} s."
    if isinstance(error, DeadlinePassed):
        return "The answer took too long and was given up. Try again, or try a shorter text."
    if isinstance(error, NotReady):
        return "The model is starting or stopping. Try again in a moment."
    if isinstance(error, ModelNotFound | BundleNotFound):
        return "This model is not served any more."
    if isinstance(error, Forbidden):
        return "This takes a key that may annotate."
    if isinstance(error, PredictionNotFound):
        return "This answer is no longer kept on the server. Ask again, then report it."
    return "Something failed on our side, not with your text. Try again; the server's log has the cause."
