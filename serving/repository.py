"""The repository: every model of the bundle store, its live versions, and which of them answers whom.

What is live, and how it gets there, is `serving.following`'s business; here it is looked up. Before: the app's lifespan
starts and closes it; after: every protocol asks `predict`.
"""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from serving.caller import ANYONE, Caller
from serving.following import Follower, ModelState
from serving.metrics import ServingMetrics
from serving.model import ServedModel
from serving.opening import Opener, Planner
from serving.predictions import Predictions
from serving.rollout import Rollout
from serving.rollouts import Rollouts
from tidegate.bundle_store import BundleStore
from tidegate.errors import ModelNotFound, NotReady
from tidegate.logs import CURRENT
from tidegate.records import Recorder
from tidegate.settings import Settings


class Repository:
    """The models that are served, by name."""

    def __init__(
        self,
        bundles: BundleStore,
        settings: Settings,
        recorder: Recorder,
        metrics: ServingMetrics,
        planner: Planner | None = None,
        rollouts: Rollouts | None = None,
    ) -> None:
        opener = Opener(bundles, settings, recorder, metrics, planner)
        self._follower = Follower(bundles, opener, rollouts or Rollouts(), metrics)
        self._states, self._live = self._follower.states, self._follower.live

    @property
    def states(self) -> Mapping[str, ModelState]:
        """Every model of the store, by name."""
        return MappingProxyType(self._states)

    @property
    def ready(self) -> bool:
        """Whether there are models, and every one that is to be served answers."""
        wanted = [state for state in self._states.values() if state.status != "unloaded"]
        return bool(wanted) and all(state.standing == "ready" for state in wanted)

    def state(self, name: str) -> ModelState:
        """State of a model.

        Raises:
            ModelNotFound: the store has no such model.
        """
        state = self._states.get(name)
        if state is None:
            served = ", ".join(self._states) or "none"
            raise ModelNotFound(f"no model {name[:80]!r} is served; served: {served}")
        current = CURRENT.get()
        if current is not None:  # from here on the request's log lines and trace name the model
            current.model = name
        return state

    def get(self, name: str, version: int | None = None) -> ServedModel:
        """The champion of a model, or one of its live versions.

        Raises:
            ModelNotFound: the store has no such model, or that version is not live.
            NotReady: it is loading, failed or unloaded.
        """
        state = self.state(name)
        if state.served is None:
            raise NotReady(f"model {name!r} {_why_not(state)}")
        if version is None:
            return state.served
        opened = self._live[name].get(version)
        if opened is None:
            live = ", ".join(map(str, sorted(self._live[name])))
            raise ModelNotFound(f"version {version} of {name!r} is not live; live: {live}")
        return opened.served

    def rollout(self, name: str) -> Rollout:
        """Who answers whom; raises what `get` does."""
        self.get(name)
        rollout = self._states[name].rollout
        if rollout is None:
            raise NotReady(f"model {name!r} {_why_not(self._states[name])}")
        return rollout

    async def predict(
        self,
        name: str,
        texts: Sequence[str],
        *,
        deadline_seconds: float | None = None,
        caller: Caller = ANYONE,
        version: int | None = None,
    ) -> Predictions:
        """Answer texts by the version that this caller gets, or by the one that is named.

        Raises what `get` and `ServedModel.predict` raise.
        """
        if version is not None:
            return _noted(await self.get(name, version).predict(texts, deadline_seconds, caller))
        rollout = self.rollout(name)
        answer = rollout.predict if rollout.compares else rollout.champion.predict
        return _noted(await answer(texts, deadline_seconds, caller))

    def admit(self, name: str, deadline_seconds: float | None, caller: Caller) -> None:
        """Refuse a request before its body is read, where nothing of this caller could be answered in time.

        Raises what `get` and `ServedModel.admit` raise.
        """
        self.rollout(name).choose(caller).admit(deadline_seconds, caller)

    def show(self) -> None:
        """Show in the metrics where each model stands and what waits for it."""
        self._follower.show()

    def start(self, on_loaded: Callable[[], None]) -> None:
        """Begin to open every model; `on_loaded` is called on the loop once none is loading any more."""
        self._follower.start(on_loaded)

    async def close(self) -> None:
        """Stop following the store, and drain and close every version, all at once."""
        await self._follower.close()

    async def change(self, name: str, change: Callable[[], object]) -> ModelState:
        """Change the aliases of a model in the store, and follow at once; see `Follower.change`.

        Raises:
            ModelNotFound: the store has no such model.
            OpeningFailed: a version could not be opened; nothing changed.
        """
        self.state(name)
        return await self._follower.change(name, change)

    async def load(self, name: str) -> ModelState:
        """Serve a model that was unloaded, or try again with one that failed; raises what `Follower.load` does."""
        return await self._follower.load(name)

    async def unload(self, name: str) -> ModelState:
        """Serve a model no more, wherever this store is served, until it is loaded again; raises what `change` does."""
        self.state(name)
        return await self._follower.unload(name)


def _noted(predictions: Predictions) -> Predictions:
    """The answer, after noting for log and trace where it came from."""
    current = CURRENT.get()
    if current is not None:
        timings = predictions.timings
        current.version, current.variant, current.texts = predictions.version, predictions.variant, len(predictions.ids)
        current.stages = (timings.tokenize, timings.queue, timings.infer)
    return predictions


def _why_not(state: ModelState) -> str:
    if state.status == "loading":
        return "is still loading; ask again in a moment"
    if state.status == "unloaded":
        return "is unloaded; `POST /v2/repository/models/NAME/load` serves it again"
    return f"failed: {state.error}"
