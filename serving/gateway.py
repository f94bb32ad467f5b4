"""The gateway: the parts of serving that routes and demos reach, held together for the life of the app."""

import asyncio
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry

from serving.auth import Door
from serving.metrics import ServingMetrics
from serving.repository import Repository
from serving.rollouts import Rollouts
from tidegate.annotation import Desk
from tidegate.bundle_store import BundleStore
from tidegate.records import Monitor
from tidegate.settings import Settings


@dataclass(frozen=True, slots=True)
class Gateway:
    """At `app.state.gateway`."""

    settings: Settings
    bundles: BundleStore
    repository: Repository
    rollouts: Rollouts
    monitor: Monitor
    metrics: ServingMetrics
    registry: CollectorRegistry
    door: Door
    desk: Desk | None = None
    leaving: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def ready(self) -> bool:
        """Whether new callers should be sent here: every model answers, and the server is not about to leave."""
        return self.repository.ready and not self.leaving.is_set()
