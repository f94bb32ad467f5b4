"""The repository: every model of the bundle store, its live versions, and which of them answers whom.

It follows the store: when an alias moves, the new version is loaded, verified and warmed, then takes the traffic in
one step, and the old one goes when its last request has. A version that cannot be opened changes nothing.
Before: the app's lifespan starts and closes it; after: every protocol asks `predict`.
Limits: versions are opened one after the other, since each takes every core while it loads.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Literal

from serving.caller import ANYONE, Caller
from serving.metrics import ServingMetrics
from serving.model import Predictions, ServedModel
from serving.opening import Opened, Opener, OpeningFailed, Planner
from serving.rollout import Rollout
from serving.rollouts import Rollouts
from tidegate.aliases import ALIASES, CHAMPION, Alias, Aliases
from tidegate.bundle_store import BundleStore
from tidegate.errors import BundleNotFound, ModelNotFound, NotReady, TidegateError
from tidegate.records import Recorder
from tidegate.settings import Settings
from tidegate.tunings import Planned

WATCH_SECONDS = 1.0  # how soon an alias that another process moved is seen

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ModelState:
    """Where a model stands; replaced in whole when that changes.

    Attributes:
        error: why it failed, or why the newest change could not be made; empty otherwise.
        served: the champion, once it is ready.
        planned: how the champion runs and why, once it is ready.
        rollout: who answers whom, once it is ready.
        aliases: what the store said last.
    """

    status: Literal["loading", "ready", "failed", "unloaded"]
    error: str = ""
    served: ServedModel | None = None
    planned: Planned | None = None
    rollout: Rollout | None = None
    aliases: Aliases = field(default_factory=Aliases)

    @property
    def standing(self) -> Literal["loading", "ready", "failed", "unloaded", "stuck"]:
        """The status, or `stuck` where a model that was ready has stopped answering."""
        return "stuck" if self.served is not None and self.served.stuck else self.status


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
        self._bundles = bundles
        self._metrics = metrics
        self._opener = Opener(bundles, settings, recorder, metrics, planner)
        self._rollouts = rollouts or Rollouts()
        self._states: dict[str, ModelState] = {}
        self._live: dict[str, dict[int, Opened]] = {}
        self._seen: dict[str, Aliases] = {}
        self._changing = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False

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
            return await self.get(name, version).predict(texts, deadline_seconds, caller)
        rollout = self.rollout(name)
        answer = rollout.predict if rollout.compares else rollout.champion.predict
        return await answer(texts, deadline_seconds, caller)

    def admit(self, name: str, deadline_seconds: float | None, caller: Caller) -> None:
        """Refuse a request before its body is read, where nothing of this caller could be answered in time.

        Raises what `get` and `ServedModel.admit` raise.
        """
        self.rollout(name).choose(caller).admit(deadline_seconds, caller)

    def start(self, on_loaded: Callable[[], None]) -> None:
        """Begin to open every model; `on_loaded` is called on the loop once none is loading any more."""
        for name in self._bundles.names():
            self._put(name, ModelState("loading"))
        self._own(self._follow(on_loaded), "tidegate-follow-store")

    async def close(self) -> None:
        """Stop following the store, and drain and close every version, all at once."""
        self._closed = True
        self._opener.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        rollouts = [state.rollout for state in self._states.values() if state.rollout is not None]
        await asyncio.gather(*(rollout.close() for rollout in rollouts))
        models = [opened.served for live in self._live.values() for opened in live.values()]
        await asyncio.gather(*(model.close() for model in models))
        log.info("closed %s models", len(models))

    async def change(self, name: str, change: Callable[[], object]) -> ModelState:
        """Change the aliases of a model in the store, and follow at once; returns its new state.

        Raises:
            OpeningFailed: a version could not be opened; the change is taken back, what was served is served still.
            TidegateError: what `change` raises.
        """
        before = await asyncio.to_thread(self._bundles.aliases, name)
        await asyncio.to_thread(change)
        await self.follow(name)
        state, after = self.state(name), await asyncio.to_thread(self._bundles.aliases, name)
        moved = {after.of(alias) for alias in ALIASES if after.of(alias) != before.of(alias)} - {None}
        if moved <= self._live[name].keys() and (state.served or after.unloaded):
            return state
        await asyncio.to_thread(self._bundles.change_aliases, name, lambda now: before if now == after else now)
        await self.follow(name)
        raise OpeningFailed(f"{state.error}; what was served before is served still")

    async def load(self, name: str) -> ModelState:
        """Serve a model that was unloaded, or try again with one that failed; raises what `change` does."""
        self._seen.pop(name, None)
        return await self.change(name, lambda: self._set_unloaded(name, False))

    async def unload(self, name: str) -> ModelState:
        """Serve a model no more, here and wherever this store is served, until it is loaded again."""
        self.state(name)
        return await self.change(name, lambda: self._set_unloaded(name, True))

    async def follow(self, name: str) -> None:
        """Bring what the store says of one model to life."""
        async with self._changing:
            try:
                aliases = await asyncio.to_thread(self._wanted, name)
            except TidegateError as error:  # removed meanwhile, or its aliases are damaged
                await self._lose(name, error)
                return
            if self._seen.get(name) != aliases and not self._closed:
                self._seen[name] = aliases
                await self._become(name, aliases)

    def _set_unloaded(self, name: str, unloaded: bool) -> None:
        self._bundles.resolve(name, CHAMPION)
        self._bundles.change_aliases(name, lambda aliases: aliases.model_copy(update={"unloaded": unloaded}))

    def _wanted(self, name: str) -> Aliases:
        """What the store says, with the champion's number in any case; runs in a thread."""
        champion = self._bundles.resolve(name, CHAMPION)
        return self._bundles.aliases(name).model_copy(update={"champion": champion})

    async def _follow(self, on_loaded: Callable[[], None]) -> None:
        await self._look()
        on_loaded()
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            try:
                await self._look()
            except Exception:  # the store's disk may be gone for a while; what is live goes on
                log.exception("cannot look at the bundle store; what is served stays")

    async def _look(self) -> None:
        names = await asyncio.to_thread(self._bundles.names)
        for name in dict.fromkeys([*names, *self._states]):
            await self.follow(name)
            await self._mend(name)
            state = self._states.get(name)
            if state is not None and state.rollout is not None:
                await self._rollouts.judge(state.rollout, name, self._bundles)

    async def _mend(self, name: str) -> None:
        """Open every version anew that has stopped answering; callers of the old one are told at once."""
        async with self._changing:
            live = self._live.get(name, {})
            stuck = {version: opened for version, opened in live.items() if opened.served.stuck}
            if not stuck or self._closed:
                return
            log.critical("model %s hangs or died, version %s; it is opened anew", name, ", ".join(map(str, stuck)))
            self._live[name] = {version: opened for version, opened in live.items() if version not in stuck}
            await self._become(name, self._seen[name])
            for version, opened in stuck.items():
                opened.served.abandon()
                self._own(self._opener.retire(opened), f"tidegate-give-up-{name}-{version}")

    async def _become(self, name: str, aliases: Aliases) -> None:
        """Open what is wanted and not there, switch, and let go of what is not wanted any more."""
        if aliases.unloaded:
            await self._switch(name, {}, ModelState("unloaded", aliases=aliases))
            return
        before = self._states.get(name)
        if before is None or before.served is None:
            self._put(name, ModelState("loading"))
        live = dict(self._live.get(name, {}))
        used: dict[Alias, Opened] = {}
        faults: list[str] = []
        for alias in ALIASES:
            version = aliases.of(alias)
            if version is None:
                continue
            try:
                used[alias] = live[version] = live.get(version) or await self._opener.open(name, version)
            except OpeningFailed as error:
                faults.append(f"{alias} {version}: {error}" if before and before.served else str(error))
                if alias == CHAMPION and before is not None and before.served is not None:
                    stays = live.get(before.served.manifest.version)  # None when it is the one that hangs
                    used |= {alias: stays} if stays else {}
        await self._switch(name, used, self._state(used, aliases, "; ".join(faults)))

    def _state(self, used: Mapping[Alias, Opened], aliases: Aliases, error: str) -> ModelState:
        champion = used.get(CHAMPION)
        if champion is None:
            return ModelState("failed", error, aliases=aliases)
        rollout = self._rollouts.of(
            champion.served,
            used["canary"].served if "canary" in used else None,
            used["shadow"].served if "shadow" in used else None,
            aliases.canary_percent,
            aliases.since,
        )
        return ModelState("ready", error, champion.served, champion.planned, rollout, aliases)

    async def _switch(self, name: str, used: Mapping[Alias, Opened], state: ModelState) -> None:
        """In one step, between two requests: the new state answers; then the old is let go."""
        old_state, old = self._states.get(name), self._live.get(name, {})
        self._live[name] = {opened.served.manifest.version: opened for opened in used.values()}
        self._put(name, state)
        if old_state is not None and old_state.rollout is not None:
            await old_state.rollout.close()
        for version, opened in old.items():
            if version not in self._live[name]:
                self._own(self._opener.retire(opened), f"tidegate-retire-{name}-{version}")

    async def _lose(self, name: str, error: TidegateError) -> None:
        """A model that left the store is served no more; one whose aliases cannot be read stays as it is."""
        state = self._states.get(name)
        self._seen.pop(name, None)
        if isinstance(error, BundleNotFound):
            await self._switch(name, {}, ModelState("unloaded"))
            del self._states[name], self._live[name]
        elif state is None or state.served is None:
            if state is None or state.error != str(error):
                log.error("model %s: %s", name, error)
            self._put(name, ModelState("failed", str(error)))
        elif state.error != str(error):
            log.error("model %s: %s; what is served stays", name, error)
            self._put(name, replace(state, error=str(error)))

    def _put(self, name: str, state: ModelState) -> None:
        self._states[name] = state
        self._metrics.ready.labels(name).set(state.status == "ready")

    def _own(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _why_not(state: ModelState) -> str:
    if state.status == "loading":
        return "is still loading; ask again in a moment"
    if state.status == "unloaded":
        return "is unloaded; `POST /v2/repository/models/NAME/load` serves it again"
    return f"failed: {state.error}"
