"""The gateway in this process, for tests: real toy bundles, an ASGI client, a monitor that remembers."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI
from prometheus_client import CollectorRegistry
from starlette.routing import BaseRoute, Mount
from starlette.types import ASGIApp

from serving.app import create_app
from serving.keys import ApiKeys
from serving.rollouts import ComparisonLog
from tests import bundles
from tidegate.annotation import Desk
from tidegate.bundle_store import BundleStore
from tidegate.errors import InvalidInput, ItemNotFound, PredictionNotFound
from tidegate.records import AlertState, Record, Span
from tidegate.settings import Settings


@dataclass(slots=True)
class MemoryMonitor:
    """A `Recorder` and `Monitor` that keeps everything in memory."""

    records: list[Record] = field(default_factory=list)
    corrections: list[tuple[str, str, str]] = field(default_factory=list)
    disputed: list[tuple[str, str]] = field(default_factory=list)
    report: dict[str, Any] | None = None
    asked: tuple[str, int, int | None] | None = None
    found: list[dict[str, Any]] = field(default_factory=list)
    events: list[tuple[str, Any]] = field(default_factory=list)

    def record(self, records: Sequence[Record]) -> None:
        self.records.extend(records)

    def disagreed(self, model: str, ids: Sequence[str]) -> None:
        self.disputed += [(model, one) for one in ids]

    def drift(self, model: str, version: int, alert: int | None = None) -> dict[str, Any]:
        self.asked = (model, version, alert)
        nothing = {"model": model, "version": version, "status": "insufficient", "alert": False, "windows": []}
        return self.report or nothing

    def data(self, model: str, version: int, window: str) -> dict[str, Any]:
        raise ItemNotFound(f"nothing was counted of {model}/{version}")

    def feature(self, model: str, version: int, feature: str, by: Span, most: int) -> dict[str, Any]:
        raise ItemNotFound(f"no feature {feature!r} of {model}/{version}")

    def deliveries(self) -> list[dict[str, Any]]:
        return []

    def texts(self, model: str, ids: Sequence[str]) -> dict[str, str]:
        return {record.id: record.text for record in self.records if record.model == model and record.id in ids}

    def feedback(self, model: str, prediction_id: str, label: str, comment: str) -> str:
        if prediction_id not in {record.id for record in self.records}:
            raise PredictionNotFound(f"no prediction {prediction_id!r} is kept")
        if label not in bundles.LABELS:
            raise InvalidInput(f"{label!r} is no label")
        self.corrections.append((prediction_id, label, comment))
        return f"item-{len(self.corrections)}"

    def label_studio(self, model: str, event: Any) -> dict[str, Any]:
        self.events.append((model, event))
        return {"labelled": 1, "changed": 0, "unchanged": 0}

    def alerts(self, model: str | None, state: AlertState | None) -> list[dict[str, Any]]:
        return [a for a in self.found if model in (None, a["model"]) and state in (None, a["state"])]

    def alert(self, alert_id: int) -> dict[str, Any]:
        for alert in self.found:
            if alert["id"] == alert_id:
                return alert
        raise ItemNotFound(f"no alert {alert_id}")

    def acknowledge(self, alert_id: int, by: str, note: str) -> dict[str, Any]:
        return self.alert(alert_id) | {"state": "acknowledged", "acknowledged_by": by, "note": note}

    def resolve(self, alert_id: int, by: str, note: str) -> dict[str, Any]:
        return self.alert(alert_id) | {"state": "resolved", "resolved_by": by, "note": note}


@dataclass(slots=True)
class Running:
    """A started gateway."""

    app: FastAPI
    client: httpx.AsyncClient
    monitor: MemoryMonitor
    registry: CollectorRegistry


@asynccontextmanager
async def gateway(
    home: Path,
    *,
    ready: bool = True,
    comparisons: ComparisonLog | None = None,
    keys: ApiKeys | None = None,
    desk: Desk | None = None,
    compose: Callable[[FastAPI], ASGIApp] = lambda app: app,
    **settings: Any,
) -> AsyncIterator[Running]:
    """Start a gateway over `home/bundles` (filled with the toys when empty) and stop it at the end.

    `compose` mounts what belongs beside it and returns what stands in front.
    """
    store = BundleStore(home / "bundles")
    if not store.names():
        bundles.sentiment(store)
        bundles.wordpieces(store)
    registry, monitor, loaded = CollectorRegistry(), MemoryMonitor(), asyncio.Event()
    options = Settings.load({}, home=home, **settings)
    app = create_app(
        options, store, monitor, monitor, registry, comparisons=comparisons, keys=keys, desk=desk, on_loaded=loaded.set
    )
    transport = httpx.ASGITransport(compose(app), raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://localhost") as client,
    ):
        if ready:
            await asyncio.wait_for(loaded.wait(), 30)
        yield Running(app, client, monitor, registry)


def on_gateway(
    home: Path,
    scenario: Callable[[Running], Coroutine[Any, Any, None]],
    *,
    ready: bool = True,
    comparisons: ComparisonLog | None = None,
    keys: ApiKeys | None = None,
    desk: Desk | None = None,
    **settings: Any,
) -> None:
    """Run a scenario on a started gateway; no task may be left when it has stopped."""

    async def main() -> None:
        async with gateway(home, ready=ready, comparisons=comparisons, keys=keys, desk=desk, **settings) as running:
            await scenario(running)
        await asyncio.sleep(0)
        assert [task for task in asyncio.all_tasks() if task is not asyncio.current_task()] == []

    asyncio.run(main())


def routes_of(routes: list[BaseRoute], above: str = "") -> Iterator[tuple[str, str]]:
    """Method and path of every route, those of mounted apps and included routers among them."""
    for route in routes:
        path = above + str(getattr(route, "path", ""))
        if isinstance(route, Mount):
            yield "GET", f"{path}/anything"
            continue
        nested = getattr(getattr(route, "original_router", None), "routes", None)
        if nested is not None:
            yield from routes_of(nested, above)
            continue
        for method in getattr(route, "methods", None) or ():
            yield method, path
