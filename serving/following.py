"""Following the store: what its aliases say is brought to life, in this process, for as long as it runs.

When an alias moves, the new version is loaded, verified and warmed, then takes the traffic in one step, and the old one
goes when its last request has. A version that cannot be opened changes nothing; one that hangs is opened anew.
Before: aliases in the store (`tidegate.aliases`); after: `states` and `live`, which `serving.repository` answers from.
Limits: versions are opened one after the other, since each takes every core while it loads.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from serving.metrics import ServingMetrics
from serving.model import ServedModel
from serving.opening import Opened, Opener, OpeningFailed
from serving.rollout import Rollout
from serving.rollout_metrics import RolloutMetrics
from serving.rollouts import Rollouts
from serving.store_watch import StoreWatch
from tidegate.aliases import ALIASES, CHAMPION, Alias, Aliases
from tidegate.bundle_store import BundleStore
from tidegate.errors import BundleNotFound, TidegateError
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


class Follower:
    """Keeps what is live as the store says; make it on the event loop, `close` it there.

    Attributes:
        states: every model of the store, by name.
        live: versions that are open, by model and number.
    """

    def __init__(self, bundles: BundleStore, opener: Opener, rollouts: Rollouts, metrics: ServingMetrics) -> None:
        self.states: dict[str, ModelState] = {}
        self.live: dict[str, dict[int, Opened]] = {}
        self._bundles = bundles
        self._watch = StoreWatch(bundles)
        self._opener = opener
        self._rollouts = rollouts
        self._metrics = metrics
        self._shown = RolloutMetrics(metrics)
        self._seen: dict[str, Aliases] = {}
        self._changing = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False

    def show(self) -> None:
        """Show in the metrics where each model stands and what waits for it: one that hangs says nothing itself."""
        for name, state in self.states.items():
            self._metrics.stand(name, state.standing)
        for live in self.live.values():
            for opened in live.values():
                opened.served.show()

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
        rollouts = [state.rollout for state in self.states.values() if state.rollout is not None]
        await asyncio.gather(*(rollout.close() for rollout in rollouts))
        models = [opened.served for live in self.live.values() for opened in live.values()]
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
        state, after = self.states[name], await asyncio.to_thread(self._bundles.aliases, name)
        moved = {after.of(alias) for alias in ALIASES if after.of(alias) != before.of(alias)} - {None}
        if moved <= self.live[name].keys() and (state.served or after.unloaded):
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
        for name, mark in (await asyncio.to_thread(self._watch.changed, tuple(self.states))).items():
            await self.follow(name)
            self._watch.remember(name, mark if name in self._seen else None)  # else it could not be read
        self.show()
        for name in list(self.states):
            await self._mend(name)
            state = self.states.get(name)
            if state is not None and state.rollout is not None:
                self._shown.show(name, state.rollout)
                await self._rollouts.judge(state.rollout, name, self._bundles)

    async def _mend(self, name: str) -> None:
        """Open every version anew that has stopped answering; callers of the old one are told at once."""
        if not any(opened.served.stuck for opened in self.live.get(name, {}).values()):
            return
        async with self._changing:
            live = self.live.get(name, {})
            stuck = {version: opened for version, opened in live.items() if opened.served.stuck}
            if not stuck or self._closed:
                return
            log.critical("model %s hangs or died, version %s; it is opened anew", name, ", ".join(map(str, stuck)))
            self._metrics.restarts.labels(name).inc(len(stuck))
            self.live[name] = {version: opened for version, opened in live.items() if version not in stuck}
            await self._become(name, self._seen[name])
            for version, opened in stuck.items():
                opened.served.abandon()
                self._own(self._opener.retire(opened), f"tidegate-give-up-{name}-{version}")

    async def _become(self, name: str, aliases: Aliases) -> None:
        """Open what is wanted and not there, switch, and let go of what is not wanted any more."""
        if aliases.unloaded:
            await self._switch(name, {}, ModelState("unloaded", aliases=aliases))
            return
        before = self.states.get(name)
        if before is None or before.served is None:
            self._put(name, ModelState("loading"))
        live = dict(self.live.get(name, {}))
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
        old_state, old = self.states.get(name), self.live.get(name, {})
        self.live[name] = {opened.served.manifest.version: opened for opened in used.values()}
        self._shown.roles(name, state.rollout)
        self._put(name, state)
        if old_state is not None and old_state.rollout is not None:
            await old_state.rollout.close()
            self._shown.show(name, old_state.rollout)  # its last counts
        for version, opened in old.items():
            if version not in self.live[name]:
                self._own(self._opener.retire(opened), f"tidegate-retire-{name}-{version}")

    async def _lose(self, name: str, error: TidegateError) -> None:
        """A model that left the store is served no more; one whose aliases cannot be read stays as it is."""
        state = self.states.get(name)
        self._seen.pop(name, None)
        if isinstance(error, BundleNotFound):
            await self._switch(name, {}, ModelState("unloaded"))
            del self.states[name], self.live[name]
        elif state is None or state.served is None:
            if state is None or state.error != str(error):
                log.error("model %s: %s", name, error)
            self._put(name, ModelState("failed", str(error)))
        elif state.error != str(error):
            log.error("model %s: %s; what is served stays", name, error)
            self._put(name, replace(state, error=str(error)))

    def _put(self, name: str, state: ModelState) -> None:
        self.states[name] = state
        self._metrics.stand(name, state.standing)

    def _own(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
