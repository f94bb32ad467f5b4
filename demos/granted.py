"""What the demos' process may ask of the gateway: predictions, comparisons, to take a correction, to charge a link.

Before: `demos.link` reads a question off the pipe; after: the batcher that the API uses, monitoring, and the meter of
share links. What is answered goes back as it is, or the `TidegateError` that stood in the way; of any other error only
that there was one. Limits: a version that is compared must serve still.
"""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from demos.gateway import Gateway, ServedModel
from demos.meter import Charge
from serving.caller import Caller
from tidegate.errors import Forbidden, InferenceFailed, NotReady, TidegateError
from tidegate.tasks import Answer

MOST_LINKS = 1_024  # that visitors came by and can be charged; the oldest is forgotten first

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Predicted:
    """The answers to the texts of one request, in their order; fits `demos.gateway.Predictions`."""

    answers: Sequence[Answer]
    vectors: Sequence[Sequence[float]]
    ids: Sequence[str]
    version: int
    variant: str


class Granted:
    """Answers what one process asks."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._charges: dict[str, Charge] = {}

    def expect(self, share_id: str, charge: Charge) -> None:
        """A visitor of a link comes in: what they ask later is charged to it."""
        if share_id not in self._charges and len(self._charges) >= MOST_LINKS:
            del self._charges[next(iter(self._charges))]
        self._charges[share_id] = charge

    async def answer(self, what: str, arguments: Sequence[Any]) -> tuple[Any, TidegateError | None]:
        """The answer, or why there is none."""
        try:
            return await self._answer(what, arguments), None
        except TidegateError as error:
            return None, error
        except Exception:
            _log.exception("a question of the demos failed")
            return None, InferenceFailed("unforeseen; the server's log has the trace")

    async def _answer(self, what: str, arguments: Sequence[Any]) -> Any:
        match what, arguments:
            case "predict", [model, texts, deadline_seconds, key, priority]:
                served = self._gateway.repository.get(model)
                found = await served.predict(texts, deadline_seconds, Caller(key, priority))
                return Predicted(found.answers, found.vectors, found.ids, found.version, found.variant)
            case "compare", [model, version, texts]:
                return await self._live(model, version).compare(texts)
            case "report", [model, prediction_id, label, comment]:
                return await asyncio.to_thread(self._gateway.monitor.feedback, model, prediction_id, label, comment)
            case "charge", [share_id, questions]:
                return await self._charge(share_id, questions)
        raise Forbidden(f"demos may not ask for {what!r}")

    def _live(self, model: str, version: int) -> ServedModel:
        rollout = self._gateway.repository.rollout(model)
        for served in (rollout.champion, rollout.canary, rollout.shadow):
            if served is not None and served.manifest.version == version:
                return served
        raise NotReady(f"version {version} of {model!r} does not serve any more")

    async def _charge(self, share_id: str, questions: int) -> None:
        charge = self._charges.get(share_id)
        if charge is None:
            raise Forbidden(f"nobody came by the share link {share_id!r}")
        await charge(questions)
