"""What a demo page asks of the gateway: predictions, explanations, what other versions say, and to take a correction.

Before: `demos.page` and its sections call `Client`; after: the gateway's batcher and its `Monitor` (`demos.gateway`).
Errors become plain words here, in `explain`, because what a person at a demo can do about them differs from what a
caller of the API can do.
"""

import asyncio
import math
import operator
import time
from collections.abc import Sequence
from dataclasses import dataclass

from demos.gateway import Gateway, ServedModel
from demos.occlusion import MOST_CHARS, Explanation, split, weigh, without
from serving.caller import ANYONE, LOW, Caller
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
from tidegate.tasks import Answer

MAX_COMMENT_CHARS = 1_000
MOST_OTHERS = 32  # texts beside one that they are compared with; one batch of most plans
# Whoever sends a list waits behind those who ask one text.
_LIST = Caller("demo list", LOW)


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
class Opinion:
    """What one version says of a text.

    Attributes:
        role: champion, canary or shadow.
        fault: why it says nothing; empty where it does.
        seconds: from asking to answer, last in line.
    """

    role: str
    manifest: Manifest
    variant: str
    answer: Answer | None
    seconds: float
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Ranking:
    """Texts by how alike they are to one text.

    Attributes:
        pairs: text and cosine in [-1, 1], the highest first.
        vector: of the one text.
        seconds: from asking to answer, batching included.
    """

    pairs: Sequence[tuple[str, float]]
    vector: Sequence[float]
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
        self._check_text(text)
        [reply] = await self._predict([text], ANYONE)
        return reply

    async def ask_list(self, texts: Sequence[str]) -> list[Reply]:
        """Classify several texts, behind those who ask one; raises what `ask` raises, for all of them."""
        return await self._predict(texts, _LIST)

    async def ask_vectors(self, texts: Sequence[str]) -> list[tuple[str, Sequence[float]]]:
        """Prediction id and vector of each text, by a model whose task is embedding; raises what `ask` raises."""
        for text in texts:
            self._check_text(text)
        caller = ANYONE if len(texts) == 1 else _LIST
        answered = await self.gateway.repository.get(self.model).predict(texts, caller=caller)
        if not answered.vectors:
            raise NotReady("a version of another task answered")
        return list(zip(answered.ids, answered.vectors, strict=True))

    async def ask_versions(self, text: str) -> list[Opinion]:
        """What every version that is served now says of a text: champion, canary, shadow. Nothing is recorded.

        Raises what `ask` raises before anything was asked; a version that fails says so in its opinion.
        """
        self._check_text(text)
        rollout = self.gateway.repository.rollout(self.model)
        roles = {"champion": rollout.champion, "canary": rollout.canary, "shadow": rollout.shadow}
        return list(await asyncio.gather(*(_opinion(role, one, text) for role, one in roles.items() if one)))

    async def weigh_words(self, text: str) -> Explanation:
        """How much each word of a text speaks for the model's best label; at most `MOST_PARTS` + 1 runs, last in line.

        Raises:
            InvalidInput: what `ask` refuses, a text that is too long to explain, or a single word.
            RequestError: what the gateway raises when it cannot answer now.
        """
        self._check_text(text)
        if len(text) > MOST_CHARS:
            raise InvalidInput(f"the text has {len(text):,} characters; up to {MOST_CHARS:,} are explained")
        parts = split(text)
        if len(parts) < 2:
            raise InvalidInput("this is a single word, and without it nothing is left to ask; write a longer text")
        model = self.gateway.repository.get(self.model)
        answers = await model.compare([text, *(without(text, part) for part in parts)])
        whole, *rest = [answer.scores for answer in answers if isinstance(answer, Answer)]
        best = whole.index(max(whole))
        pieces = weigh(text, parts, whole[best], [scores[best] for scores in rest])
        return Explanation(model.manifest.labels[best], whole[best], pieces)

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

    async def rank(self, text: str, others: Sequence[str]) -> Ranking:
        """Order texts by the cosine of their vectors to that of one text, by a model whose task is embedding.

        Raises:
            InvalidInput: what `ask` refuses, no other text, or too many.
            RequestError: what the gateway raises when it cannot answer now.
        """
        if not 0 < len(others) <= MOST_OTHERS:
            raise InvalidInput(f"there are {len(others)} other texts; write 1 to {MOST_OTHERS}, one a line")
        for one in (text, *others):
            self._check_text(one)
        started = time.perf_counter()
        answered = await self.gateway.repository.get(self.model).predict([text, *others])
        seconds = time.perf_counter() - started
        if not answered.vectors:
            raise NotReady("a version of another task answered")
        vector, *rest = answered.vectors
        pairs = sorted(zip(others, (_cosine(vector, one) for one in rest), strict=True), key=lambda pair: -pair[1])
        return Ranking(pairs, vector, answered.version, answered.variant, seconds)

    def _check_text(self, text: str) -> None:
        if not text.strip():
            raise InvalidInput("there is no text yet; write one, or choose an example")
        _check(text, "text", self.gateway.settings.max_text_chars)

    async def _predict(self, texts: Sequence[str], caller: Caller) -> list[Reply]:
        started = time.perf_counter()
        answered = await self.gateway.repository.get(self.model).predict(texts, caller=caller)
        seconds = time.perf_counter() - started
        pairs = zip(answered.ids, answered.answers, strict=True)
        return [Reply(one, answer, answered.version, answered.variant, seconds) for one, answer in pairs]


def _cosine(one: Sequence[float], other: Sequence[float]) -> float:
    lengths = math.hypot(*one) * math.hypot(*other)
    return sum(map(operator.mul, one, other)) / lengths if lengths else 0.0


async def _opinion(role: str, model: ServedModel, text: str) -> Opinion:
    started = time.perf_counter()
    try:
        [answer] = await model.compare([text])
    except TidegateError as error:
        return Opinion(role, model.manifest, model.variant, None, 0.0, explain(error))
    if not isinstance(answer, Answer):
        return Opinion(role, model.manifest, model.variant, None, 0.0, "This version answers another task.")
    return Opinion(role, model.manifest, model.variant, answer, time.perf_counter() - started)


def _check(text: str, name: str, max_chars: int) -> None:
    """Refuse what the API refuses too; Gradio's JSON reader lets halves of surrogate pairs through."""
    if len(text) > max_chars:
        raise InvalidInput(f"the {name} has {len(text):,} characters; {max_chars:,} are the most")
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise InvalidInput(f"the {name} holds half a character, which no encoding can carry; paste it again")


def explain(error: TidegateError) -> str:
    """What went wrong, and what to do, for a person who knows nothing of the server; one or two sentences."""
    if isinstance(error, InvalidInput | PayloadTooLarge) or getattr(error, "reason", "") == "rate_limit":
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
