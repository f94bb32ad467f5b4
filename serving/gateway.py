"""The gateway: the parts of serving that routes and demos reach, held together for the life of the app."""

from dataclasses import dataclass

from prometheus_client import CollectorRegistry

from serving.metrics import ServingMetrics
from serving.repository import Repository
from tidegate.records import Monitor
from tidegate.settings import Settings


@dataclass(frozen=True, slots=True)
class Gateway:
    """At `app.state.gateway`."""

    settings: Settings
    repository: Repository
    monitor: Monitor
    metrics: ServingMetrics
    registry: CollectorRegistry
