"""Alerts without models: a state database, a clock that is moved by hand, and findings made up."""

from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Engine

from monitoring import alerts
from monitoring.alerts import Alert
from monitoring.deliveries import Delivery, list_deliveries
from monitoring.findings import Finding, Kind, Severity
from monitoring.receivers import receivers_of
from monitoring.webhook import Sender, Webhooks
from tidegate.settings import Settings

KEY = ("headlines", 1)


def finding(kind: Kind = "drift", severity: Severity = "ticket", message: str = "inputs drifted") -> Finding:
    """What a window might say."""
    return Finding(kind, severity, message, [{"name": "words", "score": 0.4, "threshold": 0.2}], [1])


@dataclass
class State:
    """A database and what is done to it; `failures` counts tries that failed."""

    database: Engine
    now: float = 1_000_000.0
    settings: Settings = field(default_factory=lambda: Settings(webhook_allow_private=True))
    failures: int = 0
    windows: int = 0

    def close_window(self, *findings: Finding, key: tuple[str, int] = KEY, after: float = 0.0) -> list[tuple[int, str]]:
        """A window closes with these findings; (id, event) of the alerts that changed."""
        self.now += after
        self.windows += 1
        with self.database.begin() as connection:
            changed = alerts.settle(connection, key, findings, self.windows, self.now, self.settings)
        return [(alert.id, alert.event) for alert in changed]

    def alert(self, alert_id: int = 1) -> Alert:
        """As it is stored."""
        return alerts.find(self.database, alert_id)

    def listen(self, setting: str, **settings: Any) -> "Post":
        """What a server does with these receivers, by hand."""
        chosen = self.settings.model_copy(update={"webhook_url": setting, **settings})
        return Post(self, chosen)

    def deliveries(self) -> list[Delivery]:
        """All of them, oldest first."""
        return list_deliveries(self.database)[::-1]

    def states(self) -> list[str]:
        """Of all deliveries, oldest first."""
        return [delivery.state for delivery in self.deliveries()]

    def count_failure(self) -> None:
        """One more."""
        self.failures += 1


class Post:
    """The senders of one process, without their threads."""

    def __init__(self, state: State, settings: Settings) -> None:
        def clock() -> float:
            return state.now

        self.webhooks = Webhooks(state.database, settings, state.count_failure, clock)
        self._senders = [
            Sender(state.database, receiver, settings, state.count_failure, clock)
            for receiver in receivers_of(settings.webhook_url)
        ]

    def round(self) -> int:
        """Sort what is new, send what is due; returns how many tries were made."""
        self.webhooks.sort()
        return sum(sender.send_due() for sender in self._senders)
