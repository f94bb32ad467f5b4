"""The models that are served: opens every champion of the bundle store in the background, and closes them.

A model that fails to open is named with its reason and stops no other. Versions do not move while the server
runs; the state per model is where that will happen.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from serving.metrics import Metrics
from serving.model import ServedModel
from tidegate import devices
from tidegate.bundle_store import BundleStore
from tidegate.engine import Engine
from tidegate.errors import ModelNotFound, NotReady, TidegateError
from tidegate.records import Recorder
from tidegate.settings import Settings

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ModelState:
    """Where a model stands: loading, ready (with `served`) or failed (with `error`)."""

    status: Literal["loading", "ready", "failed"]
    served: ServedModel | None = None
    error: str = ""


class Repository:
    """Served models by name."""

    def __init__(self, settings: Settings, bundles: BundleStore, recorder: Recorder, metrics: Metrics) -> None:
        self._settings = settings
        self._bundles = bundles
        self._recorder = recorder
        self._metrics = metrics
        self._states = {name: ModelState("loading") for name in bundles.names()}
        self._loading: asyncio.Task[None] | None = None

    @property
    def states(self) -> Mapping[str, ModelState]:
        """Every model's state, by name."""
        return self._states

    @property
    def ready(self) -> bool:
        """Every model answers."""
        return all(state.status == "ready" for state in self._states.values())

    def get(self, name: str) -> ServedModel:
        """The model of that name.

        Raises:
            ModelNotFound: it is not served.
            NotReady: it is still loading, or failed to load.
        """
        state = self._states.get(name)
        if state is None:
            known = ", ".join(self._states) or "none"
            raise ModelNotFound(f"no model named {name[:80]!r} is served; there are: {known}")
        if state.served is None:
            raise NotReady(f"model {name!r} is {state.status}" + (f": {state.error}" if state.error else "; try again"))
        return state.served

    def start(self, on_loaded: Callable[[], None]) -> None:
        """Begin to open every model; `on_loaded` is called once, when none is loading any more."""
        self._loading = asyncio.create_task(self._load_all(on_loaded))

    async def close(self) -> None:
        """Stop loading, then drain and close every model, all at once."""
        if self._loading:
            self._loading.cancel()
            await asyncio.gather(self._loading, return_exceptions=True)
        served = [state.served for state in self._states.values() if state.served]
        await asyncio.gather(*(model.close() for model in served))

    async def _load_all(self, on_loaded: Callable[[], None]) -> None:
        for name in self._states:
            self._states[name] = await self._load(name)
        on_loaded()

    async def _load(self, name: str) -> ModelState:
        try:
            served = await asyncio.to_thread(self._open, name)
        except TidegateError as error:
            _log.error("model %s failed to load: %s", name, error)
            self._metrics.ready.labels(name).set(0)
            return ModelState("failed", error=str(error))
        served.start()
        manifest = served.bundle.manifest
        _log.info("model %s version %s variant %s on %s", name, manifest.version, manifest.chosen, served.device.name)
        return ModelState("ready", served)

    def _open(self, name: str) -> ServedModel:
        device = devices.choose(self._settings.device, devices.available_providers())
        engine = Engine.open(self._bundles.load(name), device, threads=self._settings.threads)
        engine.warm_up()
        return ServedModel(engine, device, self._settings, self._recorder, self._metrics)
