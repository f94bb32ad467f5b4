"""A home with one published bundle, its state database, and a clock that stands still until it is moved."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from sqlalchemy import Engine

from monitoring.job import MonitoringJob
from monitoring.metrics import MonitoringMetrics
from monitoring.reference import References
from monitoring.writer import Writer
from tests import bundles, postgres
from tests.monitoring.states import State
from tidegate import store
from tidegate.bundle import Bundle
from tidegate.bundle_store import BundleStore
from tidegate.records import Record
from tidegate.settings import Settings

NOVEL = "an utterly unseen film !!! 1999 with WORDS nobody has written , truly & deeply boring"


@dataclass
class House:
    """What the composition root would build."""

    settings: Settings
    bundles: BundleStore
    bundle: Bundle
    database: Engine
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)
    now: float = 1_000.0

    def job(self) -> MonitoringJob:
        """A job that is not started."""
        return MonitoringJob(self.database, self.bundles, self.settings, self.registry, clock=lambda: self.now)

    def job_of_another_worker(self) -> MonitoringJob:
        """The same, with figures of its own."""
        return MonitoringJob(self.database, self.bundles, self.settings, CollectorRegistry(), clock=lambda: self.now)

    def writer(self, **settings: object) -> Writer:
        """A writer without a thread around it."""
        metrics = MonitoringMetrics(CollectorRegistry(), lambda: self.now)
        changed = self.settings.model_copy(update=settings)
        return Writer(self.database, References(self.bundles), changed, metrics, lambda: self.now)

    def usual(self, rows: int, prefix: str, seed: int = 14) -> list[Record]:
        """Predictions on what the bundle was made for."""
        texts = bundles.headlines(rows, seed)
        return bundles.predictions(self.bundle, texts, prefix=prefix, created_at=self.now)

    def novel(self, rows: int, prefix: str) -> list[Record]:
        """Predictions on something else; the texts are distinct."""
        texts = [f"{NOVEL} {prefix} {index}" for index in range(rows)]
        return bundles.predictions(self.bundle, texts, prefix=prefix, created_at=self.now)

    def sample(self, name: str, **labels: str) -> float | None:
        """A metric's value."""
        return self.registry.get_sample_value(name, labels)


@pytest.fixture
def house(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[House]:
    """On SQLite; modules that are tested on both parametrize it indirectly with `DATABASES`."""
    if getattr(request, "param", "sqlite") == "sqlite":
        yield from _house(tmp_path, "")
        return
    with postgres.server() as url:
        yield from _house(tmp_path, url)


def _house(home: Path, url: str) -> Iterator[House]:
    settings = Settings(
        home=home,
        database_url=url,
        window_rows=100,
        relabel_per_alert=10,
        relabel_per_day=0,
        relabel_double_share=0,
        window_spacing_seconds=0,
    )
    bundle_store = BundleStore(settings.bundles_dir)
    bundle = bundles.sentiment(bundle_store, fallback="unsure", threshold=0.34)
    database = store.open_database(settings.state_url)
    yield House(settings, bundle_store, bundle, database)
    database.dispose()


@pytest.fixture
def job(house: House) -> Iterator[MonitoringJob]:
    running = house.job()
    running.start()
    yield running
    running.stop()


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    database = store.open_database(f"sqlite:///{tmp_path / 'state.db'}")
    yield State(database)
    database.dispose()
