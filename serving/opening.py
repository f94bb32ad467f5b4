"""Opening a version: verify its bytes, plan, load, warm up; only then is it anybody's. In a thread, one at a time.

Before: `serving.repository` says which version; how it runs here says a planner, which may measure for a while.
After: a `ServedModel` that answers at once.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from threading import Event

from serving.metrics import ServingMetrics
from serving.model import ServedModel
from tidegate import devices
from tidegate.bundle import Bundle
from tidegate.bundle_store import BundleStore
from tidegate.devices import Device
from tidegate.engine import Engine
from tidegate.errors import DeviceUnavailable, InferenceFailed, TidegateError
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
class Opened:
    """A version that answers, and why it runs as it does."""

    served: ServedModel
    planned: Planned


class OpeningFailed(TidegateError):
    """A version could not be opened, for a reason that is told."""

    status = 503


class Opener:
    """Opens versions; `stop` ends what is being measured."""

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

    def stop(self) -> None:
        """Have whoever measures come to an end."""
        self._stopping.set()

    async def open(self, name: str, version: int) -> Opened:
        """Open a version; call it on the event loop.

        Raises:
            OpeningFailed: with the reason.
        """
        try:
            engine, planned = await asyncio.to_thread(self._load, name, version)
        except TidegateError as error:
            log.error("model %s version %s failed to open: %s", name, version, error)
            raise OpeningFailed(str(error)) from error
        except Exception as error:  # one model's trouble, of whatever kind, must not stop the others
            log.exception("model %s version %s failed to open", name, version)
            raise OpeningFailed(f"{type(error).__name__}; the server's log has the trace") from error
        log.info("serving %s version %s, %s: %s", name, version, engine.plan, planned.note)
        device = Device(engine.plan.device, engine.plan.provider, planned.note)
        served = ServedModel(engine, device, self._settings, self._recorder, self._metrics.of(name), self._permits)
        self._show(served, 1)
        return Opened(served, planned)

    async def retire(self, opened: Opened) -> None:
        """Close a version once its last request is answered."""
        await opened.served.retire()
        self._show(opened.served, 0)
        log.info("closed %s version %s", opened.served.manifest.name, opened.served.manifest.version)

    def _show(self, served: ServedModel, value: int) -> None:
        manifest, plan = served.manifest, served.engine.plan
        for place in (plan.device, *plan.replicas):
            labels = (manifest.name, str(manifest.version), served.engine.variant.name, place)
            self._metrics.info.labels(*labels).set(value)

    def _load(self, name: str, version: int) -> tuple[Engine, Planned]:
        bundle = self._bundles.load(name, version)
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


def as_exported(settings: Settings) -> Planner:
    """The planner that measures nothing: the exported choice on the device of the settings."""

    def plan(bundle: Bundle, _stopping: Event) -> Planned:
        requested = parse_devices(settings.device).of(bundle.manifest.name)
        device = devices.choose(requested, devices.available_providers())
        return Planned(exported(bundle.manifest, device, threads=settings.threads), device.reason)

    return plan


def _open_warm(bundle: Bundle, plan: Plan) -> Engine:
    engine = Engine.follow(bundle, plan)
    engine.warm_up()
    return engine
