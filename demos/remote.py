"""The gateway, as the demos' process sees it: fits `demos.gateway.Gateway`, and asks over the pipe.

Which versions serve it was told before the request that it answers (`demos.told`). A question that nobody waits for any
more is given up there, too. Before: `demos.client` and the pages; after: `demos.granted` in the gateway.
Limits: used on the event loop, but for corrections, which block a thread.
"""

import asyncio
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from demos.granted import Predicted
from demos.told import Version, Versions
from serving.caller import ANYONE, Caller
from tidegate.bundle import Bundle, Manifest
from tidegate.errors import InvalidInput, ModelNotFound, TidegateError
from tidegate.settings import Settings
from tidegate.tasks import Answer

Say = Callable[..., None]  # a list for the gateway, and bytes


class Questions:
    """What was asked and is not answered."""

    def __init__(self, say: Say) -> None:
        self._say = say
        self._numbers = itertools.count()
        self._waiting: dict[int, asyncio.Future[Any]] = {}

    async def ask(self, what: str, *arguments: Any) -> Any:
        """Ask the gateway; raises the `TidegateError` that it answers with, or `InvalidInput` for half a character."""
        number = next(self._numbers)
        answer = self._waiting[number] = asyncio.get_running_loop().create_future()
        try:
            self._say(["ask", number, what, arguments])
            return await answer
        except orjson.JSONEncodeError:
            raise InvalidInput("this holds half a character, which no encoding can carry; paste it again") from None
        except asyncio.CancelledError:
            self._say(["give up", number])
            raise
        finally:
            del self._waiting[number]

    def answer(self, number: int, value: Any, error: TidegateError | None) -> None:
        """Take an answer."""
        waiting = self._waiting.get(number)
        if waiting is None or waiting.done():
            return
        if error is None:
            waiting.set_result(value)
        else:
            waiting.set_exception(error)


@dataclass(frozen=True, slots=True)
class RemoteModel:
    """One version that serves."""

    questions: Questions
    bundle: Bundle
    variant: str

    @property
    def manifest(self) -> Manifest:
        """Of its bundle."""
        return self.bundle.manifest

    async def predict(
        self, texts: Sequence[str], deadline_seconds: float | None = None, caller: Caller = ANYONE
    ) -> Predicted:
        """Answer texts, by the version that is the model's champion when they come."""
        asked = (self.manifest.name, list(texts), deadline_seconds, caller.key, caller.priority)
        found: Predicted = await self.questions.ask("predict", *asked)
        return found

    async def compare(self, texts: Sequence[str]) -> Sequence[Answer | Sequence[float]]:
        """Answer texts by this version, last in line, with nothing recorded."""
        asked = (self.manifest.name, self.manifest.version, list(texts))
        found: Sequence[Answer | Sequence[float]] = await self.questions.ask("compare", *asked)
        return found


@dataclass(frozen=True, slots=True)
class RemoteRollout:
    """The versions of a model."""

    champion: RemoteModel
    canary: RemoteModel | None
    shadow: RemoteModel | None


@dataclass(frozen=True, slots=True)
class RemoteRepository:
    """The models, as told."""

    questions: Questions
    _rollouts: dict[str, RemoteRollout] = field(default_factory=dict)

    def learn(self, name: str, versions: Versions | None) -> None:
        """Which versions of a model serve from here on; None for none."""
        if versions is None:
            self._rollouts.pop(name, None)
            return
        self._rollouts[name] = RemoteRollout(
            self._model(versions.champion), self._if_any(versions.canary), self._if_any(versions.shadow)
        )

    def get(self, name: str) -> RemoteModel:
        """The champion of a model, or `ModelNotFound`."""
        return self.rollout(name).champion

    def rollout(self, name: str) -> RemoteRollout:
        """The versions of a model; raises what `get` does."""
        if name not in self._rollouts:
            raise ModelNotFound(f"no model {name!r} is served")
        return self._rollouts[name]

    def _model(self, version: Version) -> RemoteModel:
        return RemoteModel(self.questions, version.bundle, version.variant)

    def _if_any(self, version: Version | None) -> RemoteModel | None:
        return None if version is None else self._model(version)


@dataclass(frozen=True, slots=True)
class RemoteCorrections:
    """Where corrections go."""

    questions: Questions
    loop: asyncio.AbstractEventLoop

    def feedback(self, model: str, prediction_id: str, label: str, comment: str) -> str:
        """The id of the item; called in a thread."""
        asking = self.questions.ask("report", model, prediction_id, label, comment)
        item: str = asyncio.run_coroutine_threadsafe(asking, self.loop).result()
        return item


@dataclass(frozen=True, slots=True)
class RemoteGateway:
    """All of it."""

    repository: RemoteRepository
    monitor: RemoteCorrections
    settings: Settings
