"""A gateway in this process whose monitor is the real one, over windows that were written by hand."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI
from prometheus_client import CollectorRegistry

from demos.dashboard.app import mount_dashboard
from demos.dashboard.content import Page, Table
from demos.dashboard.views import VIEWS
from demos.dashboard.visit import NoRuns, Visit
from monitoring.alerts import list_alerts
from serving.access import ADMIN, ANNOTATE, PREDICT, Role
from serving.app import create_app
from serving.keys import ApiKeys
from tests import bundles
from tests.monitoring.conftest import House as BareHouse
from tidegate import store
from tidegate.bundle_store import BundleStore
from tidegate.records import NullRecorder
from tidegate.settings import Settings


class House(BareHouse):
    """A home whose model has seen something."""

    def drift(self) -> int:
        """Three usual windows and three strange ones, an hour apart; the number of the alert that they raise."""
        writer = self.writer()
        for number in range(6):
            self.now += 3_600.0
            usual = number < 3
            writer.write(self.usual(100, f"u{number}", number) if usual else self.novel(100, f"n{number}"))
        return list_alerts(self.database)[0].id


@dataclass
class Watched:
    """A started gateway with the dashboard, and what is behind it."""

    house: House
    app: FastAPI
    client: httpx.AsyncClient
    keys: Mapping[Role, str]

    async def view(self, address: str, path: Mapping[str, str], **query: str) -> Page:
        """A view as a value."""
        asked = {name: [value] for name, value in query.items()}
        return await VIEWS[address](Visit(self.app.state.gateway, NoRuns(), path, asked))

    def drift(self) -> int:
        """What `House.drift` does."""
        return self.house.drift()


def make_house(home: Path) -> House:
    """A home with `sentiment` and an embedding model."""
    settings = Settings(home=home, window_rows=100, relabel_per_day=0, window_spacing_seconds=0)
    bundle_store = BundleStore(settings.bundles_dir)
    bundle = bundles.sentiment(bundle_store)
    bundles.embedder(bundle_store)
    return House(settings, bundle_store, bundle, store.open_database(settings.state_url))


def on_watched(home: Path, scenario: Callable[[Watched], Coroutine[Any, Any, None]], *, keys: bool = False) -> None:
    """Run a scenario on a started gateway that serves `sentiment` and an embedding model.

    With `keys` it asks for one; there is one of each role.
    """

    async def main() -> None:
        house, loaded = make_house(home), asyncio.Event()
        settings, bundle_store, database = house.settings, house.bundles, house.database
        ring = ApiKeys(database) if keys else None
        known = {role: ring.create(role.name.lower(), role)[1] for role in (PREDICT, ANNOTATE, ADMIN)} if ring else {}
        app = create_app(
            settings, bundle_store, NullRecorder(), house.job(), CollectorRegistry(), keys=ring, on_loaded=loaded.set
        )
        mount_dashboard(app)
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=transport, base_url="http://localhost") as client,
        ):
            await asyncio.wait_for(loaded.wait(), 60)
            await scenario(Watched(house, app, client, known))
        database.dispose()

    asyncio.run(main())


def table(page: Page, name: str) -> Table:
    """A table of a page."""
    (found,) = [one for one in page.tables() if one.name == name]
    return found
