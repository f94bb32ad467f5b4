"""What routes and demos share: `app.state.gateway`."""

from dataclasses import dataclass

from serving.metrics import Metrics
from serving.repository import Repository
from tidegate.records import Monitor
from tidegate.settings import Settings


@dataclass(frozen=True, slots=True)
class Gateway:
    """The parts of a running server."""

    settings: Settings
    repository: Repository
    monitor: Monitor
    metrics: Metrics
