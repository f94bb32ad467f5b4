"""The repository: every model of the bundle store, opened in the background, each with its own state.

A model is loading, ready or failed; one that fails (a changed byte, a file that onnxruntime refuses) stops no
other. How it runs here says a planner, which may measure for a while. Before: the app's lifespan starts and closes
it; after: `get` hands routes and demos the served model.
Limits: it opens the champions once, at start; new versions come with the next start.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from threading import Event
from types import MappingProxyType
from typing import Literal

from serving.metrics import ServingMetrics
from serving.model import ServedModel
from tidegate import devices
from tidegate.bundle import Bundle
from tidegate.bundle_store import BundleStore
from tidegate.devices import Device
from tidegate.engine import Engine
from tidegate.errors import DeviceUnavailable, InferenceFailed, ModelNotFound, NotReady, TidegateError
from tidegate.permits import Permits
from tidegate.placement import parse_devices
from tidegate.plan import Plan, exported
from tidegate.records import Recorder
from tidegate.settings import Settings
from tidegate.tunings import Planned

# Says how to run a bundle here; called in a thread, ends soon after the event is set.
Planner = Callable[[Bundle, Event], Planned]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ModelState:
    """Where a model stands.

    Attributes:
        error: why it failed; empty otherwise.
        served: the model once it is ready.
        planned: how it runs and why, once it is ready.
    """

    status: Literal["loading", "ready", "failed"]
    error: str = ""
    served: ServedModel | None = None
    planned: Planned | None = None


class Repository:
    """The models that are served, by name."""

    def __init__(
        self,
        bundles: BundleStore,
        settings: Settings,
        recorder: Recorder,
        metrics: ServingMetrics,
        planner: Planner | None = None,
    ) -> None:
        self._bundles = bundles
        self._settings = settings
        self._recorder = recorder
        self._metrics = metrics
        self._planner = planner or as_exported(settings)
        self._permits = Permits(settings.threads or devices.cores())
        self._stopping = Event()
        self._states: dict[str, ModelState] = {}
        self._opening: asyncio.Task[None] | None = None

    @property
    def states(self) -> Mapping[str, ModelState]:
        """Every model of the store at start, by name."""
        return MappingProxyType(self._states)

    @property
    def ready(self) -> bool:
        """Whether there are models and every one of them answers."""
        return bool(self._states) and all(state.status == "ready" for state in self._states.values())

    def get(self, name: str) -> ServedModel:
        """The served model of that name.

        Raises:
            ModelNotFound: the store had no such model at start.
            NotReady: it is still loading, or it failed.
        """
        state = self.state(name)
        if state.served is None:
            reason = (
                "is still loading; ask again in a moment" if state.status == "loading" else f"failed: {state.error}"
            )
            raise NotReady(f"model {name!r} {reason}")
        return state.served

    def state(self, name: str) -> ModelState:
        """State of a model.

        Raises:
            ModelNotFound: the store had no such model at start.
        """
        state = self._states.get(name)
        if state is None:
            served = ", ".join(self._states) or "none"
            raise ModelNotFound(f"no model {name[:80]!r} is served; served: {served}")
        return state

    def start(self, on_loaded: Callable[[], None]) -> None:
        """Begin to open every model; `on_loaded` is called on the loop once none is loading any more."""
        for name in self._bundles.names():
            self._put(name, ModelState("loading"))
        self._opening = asyncio.create_task(self._open_all(on_loaded), name="tidegate-open-models")

    async def close(self) -> None:
        """Stop opening, and drain and close every model, all at once."""
        self._stopping.set()
        if self._opening is not None:
            self._opening.cancel()
            await asyncio.gather(self._opening, return_exceptions=True)
        models = [state.served for state in self._states.values() if state.served is not None]
        await asyncio.gather(*(model.close() for model in models))
        log.info("closed %s models", len(models))

    async def _open_all(self, on_loaded: Callable[[], None]) -> None:
        """One after the other: each takes every core while it loads."""
        for name in tuple(self._states):
            self._put(name, await self._open(name))
        on_loaded()

    async def _open(self, name: str) -> ModelState:
        try:
            engine, planned = await asyncio.to_thread(self._load, name)
        except TidegateError as error:
            log.error("model %s failed to open: %s", name, error)
            return ModelState("failed", str(error))
        except Exception as error:  # one model's trouble, of whatever kind, must not stop the others
            log.exception("model %s failed to open", name)
            return ModelState("failed", f"{type(error).__name__}; the server's log has the trace")
        manifest = engine.bundle.manifest
        log.info(
            "serving %s version %s, %s: %s",
            name,
            manifest.version,
            engine.plan,
            planned.note,
        )
        device = Device(engine.plan.device, engine.plan.provider, planned.note)
        for place in (engine.plan.device, *engine.plan.replicas):
            self._metrics.info.labels(name, str(manifest.version), engine.variant.name, place).set(1)
        return ModelState(
            "ready",
            served=ServedModel(engine, device, self._settings, self._recorder, self._metrics.of(name), self._permits),
            planned=planned,
        )

    def _load(self, name: str) -> tuple[Engine, Planned]:
        """Verify, plan, open and warm up the champion; runs in a thread."""
        bundle = self._bundles.load(name)
        planned = self._planner(bundle, self._stopping)
        try:
            return _open_warm(bundle, planned.plan), planned
        except (DeviceUnavailable, InferenceFailed) as error:
            if planned.plan.provider == devices.CPU or parse_devices(self._settings.device).of(name) != "auto":
                raise
            log.warning("model %s: %s; it runs on the CPU instead", name, error)
            cpu = exported(bundle.manifest, Device("cpu", devices.CPU, str(error)), threads=self._settings.threads)
            planned = Planned(cpu, str(error), planned.tuning)
        return _open_warm(bundle, cpu), planned

    def _put(self, name: str, state: ModelState) -> None:
        self._states[name] = state
        self._metrics.ready.labels(name).set(state.status == "ready")


def _open_warm(bundle: Bundle, plan: Plan) -> Engine:
    engine = Engine.follow(bundle, plan)
    engine.warm_up()
    return engine


def as_exported(settings: Settings) -> Planner:
    """The planner that measures nothing: the exported choice on the device of the settings."""

    def plan(bundle: Bundle, _stopping: Event) -> Planned:
        requested = parse_devices(settings.device).of(bundle.manifest.name)
        device = devices.choose(requested, devices.available_providers())
        return Planned(exported(bundle.manifest, device, threads=settings.threads), device.reason)

    return plan
