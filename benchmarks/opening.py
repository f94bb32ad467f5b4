"""Tidegate's engine as its server would open it here, for the measurements that look inside one process.

The plan comes from where `tidegate serve` takes it: this machine's tuning, measured now if there is none yet.
"""

import asyncio
from collections.abc import Callable, Coroutine
from threading import Event

from prometheus_client import CollectorRegistry

from benchmarks.workspace import MODEL, Workspace
from serving.metrics import ServingMetrics
from serving.model import ServedModel
from tidegate import devices
from tidegate.cli import planner
from tidegate.engine import Engine
from tidegate.permits import Permits
from tidegate.plan import Plan
from tidegate.records import NullRecorder
from tidegate.settings import Settings


def settings_of(workspace: Workspace) -> Settings:
    """The defaults, in the work folder's home."""
    return Settings(home=workspace.home.absolute())


def plan_of(workspace: Workspace) -> Plan:
    """How the server runs the bundle here."""
    return planner.plan(settings_of(workspace), workspace.bundle(), Event()).plan


def open_engine(workspace: Workspace) -> Engine:
    """The engine, warm."""
    engine = Engine.follow(workspace.bundle(), plan_of(workspace))
    engine.warm_up()
    return engine


def served(
    engine: Engine,
    workspace: Workspace,
    registry: CollectorRegistry,
    work: Callable[[ServedModel], Coroutine[None, None, float]],
) -> float:
    """Run `work` on a served model of this engine, on a loop of its own; what it returns."""

    async def run() -> float:
        metrics = ServingMetrics(registry).of(MODEL)
        settings, permits = settings_of(workspace), Permits(devices.cores())
        model = ServedModel(engine, engine.plan.where, settings, NullRecorder(), metrics, permits)
        try:
            return await work(model)
        finally:
            await model.close()

    return asyncio.run(run())
