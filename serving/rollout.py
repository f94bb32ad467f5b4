"""A rollout: which version answers which caller, and how the versions compare. Of one model, until an alias moves.

The canary answers a share of the callers, always the same ones: a caller's place is a hash of its key. What the canary
answered, the champion is asked as well, and what the champion answered, the shadow: off the request path, from a
bounded queue, last in line. Vectors agree from a cosine of 0.98 on, and their shift is that cosine less 1.
Before: `Repository.predict`; after: counts in the state database (`Rollouts.judge`), and the recorder hears where they
differ, which people may settle.
Limits: a caller without key or address goes to the champion.
"""

import asyncio
import hashlib
import logging
import time
from collections.abc import Sequence
from contextvars import Context
from dataclasses import dataclass, field

import numpy as np

from serving.caller import Caller
from serving.model import ServedModel
from serving.predictions import Predictions
from tidegate.comparisons import Comparison
from tidegate.errors import TidegateError
from tidegate.tasks import Answer

# Requests that wait to be asked again; beyond it they are counted as skipped. A second of traffic, about.
MIRROR_QUEUE = 256
# What the export asks of an int8 version of the same model, on average.
AGREEING_COSINE = 0.98
_EPSILON = 1e-12

Outcome = Answer | Sequence[float]  # an answer, or a vector where the task is embedding

log = logging.getLogger(__name__)


def place_of(key: str, salt: str) -> float:
    """Where a caller stands between 0 and 100: anywhere, evenly, and for one salt always there."""
    digest = hashlib.blake2b(f"{salt}\n{key}".encode(errors="replace"), digest_size=8).digest()
    return int.from_bytes(digest) / 2**64 * 100


def difference(champion: Outcome, challenger: Outcome) -> tuple[bool, float]:
    """Whether two answers to a text agree, and the challenger's score minus the champion's."""
    if isinstance(champion, Answer) and isinstance(challenger, Answer):
        return champion.label == challenger.label, challenger.score - champion.score
    if isinstance(champion, Answer) or isinstance(challenger, Answer) or len(champion) != len(challenger):
        return False, 0.0  # versions of different tasks, or of different dimensions
    first, second = np.asarray(champion), np.asarray(challenger)
    cosine = float(first @ second / max(float(np.linalg.norm(first) * np.linalg.norm(second)), _EPSILON))
    return cosine >= AGREEING_COSINE, cosine - 1


@dataclass(slots=True)
class Mirror:
    """Asks `other` what somebody else has answered, and counts how the challenger differs from the champion.

    Attributes:
        other: the version to ask.
        counts: of the challenger.
        sign: 1 when `other` is the challenger, -1 when it is the champion.
    """

    other: ServedModel
    counts: Comparison
    sign: int
    _queue: asyncio.Queue[tuple[Sequence[str], Predictions]] = field(
        default_factory=lambda: asyncio.Queue(MIRROR_QUEUE)
    )
    _task: asyncio.Task[None] | None = None

    def offer(self, texts: Sequence[str], predictions: Predictions) -> None:
        """Take what was answered, or count that it was not taken; never waits."""
        if self._task is None:
            # in a context of its own: what it logs is not of the request that happened to come first
            self._task = asyncio.create_task(self._work(), name="tidegate-mirror", context=Context())
        try:
            self._queue.put_nowait((texts, predictions))
        except asyncio.QueueFull:
            self.counts.skipped += len(texts)

    async def close(self) -> None:
        """Stop asking; what waits is dropped."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _work(self) -> None:
        while True:
            texts, predictions = await self._queue.get()
            answered = predictions.vectors or predictions.answers
            started = time.perf_counter()
            try:
                answers = await self.other.compare(texts)
            except TidegateError:
                self._count(predictions.ids, answered, [], time.perf_counter() - started)
            except Exception:
                log.exception("the mirror could not compare; it goes on")
                self._count(predictions.ids, answered, [], time.perf_counter() - started)
            else:
                self._count(predictions.ids, answered, answers, time.perf_counter() - started)

    def _count(
        self, ids: Sequence[str], answered: Sequence[Outcome], mirrored: Sequence[Outcome], seconds: float
    ) -> None:
        """Count one request; `mirrored` is empty where the other could not answer."""
        self.counts.unpaired += len(answered) - len(mirrored)
        differ = []
        for prediction_id, one, other in zip(ids, answered, mirrored, strict=False):
            agreed, shift = difference(one, other) if self.sign == 1 else difference(other, one)
            self.counts.pair(agreed=agreed, shift=shift)
            if not agreed:
                differ.append(prediction_id)
        if differ:
            self.other.disagreed(differ)
        if self.sign == 1:  # a shadow has no callers of its own whose requests count
            self.counts.observe(seconds, failed=not mirrored)


class Rollout:
    """Who answers whom; made on the event loop, replaced in whole when an alias moves.

    Attributes:
        since: when it began, Unix seconds; names it in the database.
        counts: by version, what happened since this process began with it.
    """

    def __init__(
        self,
        champion: ServedModel,
        canary: ServedModel | None = None,
        shadow: ServedModel | None = None,
        percent: float = 0.0,
        since: float = 0.0,
    ) -> None:
        self.champion = champion
        self.canary = canary
        self.shadow = shadow
        self.percent = percent
        self.since = since
        versions = [model.manifest.version for model in (champion, canary, shadow) if model is not None]
        self.counts = {version: Comparison() for version in versions}
        self._to_champion = Mirror(champion, self._of(canary), -1) if canary else None
        self._to_shadow = Mirror(shadow, self._of(shadow), 1) if shadow else None

    @property
    def compares(self) -> bool:
        """Whether there is anything but the champion."""
        return self.canary is not None or self.shadow is not None

    def choose(self, caller: Caller) -> ServedModel:
        """The version that answers a caller."""
        if self.canary is None or not caller.key:
            return self.champion
        salt = f"{self.canary.manifest.name}/{self.canary.manifest.version}"
        return self.canary if place_of(caller.key, salt) < self.percent else self.champion

    async def predict(self, texts: Sequence[str], deadline_seconds: float | None, caller: Caller) -> Predictions:
        """Answer texts by the version of this caller; raises what `ServedModel.predict` raises."""
        model = self.choose(caller)
        counts = self._of(model)
        started = time.perf_counter()
        try:
            predictions = await model.predict(texts, deadline_seconds, caller)
        except TidegateError as error:
            if error.status >= 500:
                counts.observe(time.perf_counter() - started, failed=True)
            raise
        counts.observe(time.perf_counter() - started, failed=False)
        mirror = self._to_champion if model is self.canary else self._to_shadow
        if mirror is not None:
            mirror.offer(texts, predictions)
        return predictions

    async def close(self) -> None:
        """Stop comparing."""
        for mirror in (self._to_champion, self._to_shadow):
            if mirror is not None:
                await mirror.close()

    def _of(self, model: ServedModel | None) -> Comparison:
        return self.counts[model.manifest.version] if model else Comparison()
