"""The monitor process, from the gateway's side: what serving talks to. Fits `Recorder` and `Monitor`.

Monitoring works in bursts of milliseconds, and in the gateway each would hold the interpreter's lock for which callers
wait. So it runs in a process of its own (`child`), and here are only a bounded queue, a thread that sends what is in it
in small parcels, and one that listens, shows the child's metrics as the gateway's, and starts another child, later and
later, in the place of one that ended. What is recorded meanwhile waits in the queue; what does not fit, or was sent to
the child that ended and not dealt with (4,000 predictions at most), is counted as dropped. This module imports nothing
heavy, which a test holds.
Before: serving; after: `link`. Limits: calls wait for what was recorded before them, for 15 s at most.
"""

import logging
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from prometheus_client import CollectorRegistry

from monitoring.intake import Intake
from monitoring.link import Link
from monitoring.metrics import MonitoringMetrics
from monitoring.parcels import divide
from monitoring.receivers import receivers_of
from tidegate.errors import NotReady, PredictionNotFound
from tidegate.records import AlertState, Record, Span
from tidegate.redaction import Redactor
from tidegate.settings import Settings

log = logging.getLogger(__name__)

GATHER_SECONDS = 0.25  # the sender wakes four times a second at most: each time callers may wait for it
IDLE_SECONDS = 1.0
BARRIER_SECONDS = 15.0  # a child that is starting on a busy machine takes nothing for some seconds
STOP_SECONDS = 2.0
LEAVE_SECONDS = 6.0  # less than what workers are given to end
FIRST_WAIT_SECONDS = 0.5
LONGEST_WAIT_SECONDS = 30.0
STEADY_SECONDS = 10.0  # a child that lived this long did not fail at its start
MOST_DISPUTED = 1_000


class MonitorProcess:
    """A monitoring job in a process of its own; `start` and `stop` once each.

    Args:
        settings: what the job is to do.
        registry: where its metrics are shown.
        name: of the child in its log.
        tell: is told a child's process id once there is one, and None when it has ended.

    Raises:
        UsageError: settings that the job would refuse.
    """

    def __init__(
        self,
        settings: Settings,
        registry: CollectorRegistry,
        name: str = "monitor",
        tell: Callable[[int | None], None] = lambda _: None,
    ) -> None:
        receivers_of(settings.webhook_url)
        Redactor.of(settings.redact)
        self._settings = settings
        self._name = name
        self._tell = tell
        self._metrics = MonitoringMetrics(registry)
        self._intake = Intake()
        self._disputed: deque[tuple[str, Sequence[str]]] = deque(maxlen=MOST_DISPUTED)
        self._link: Link | None = None
        self._changed = threading.Condition()  # of `_link` and `_stopping`
        self._stopping = False
        self._keeper = threading.Thread(target=self._keep, name="tidegate-monitor-keep", daemon=True)
        self._sender = threading.Thread(target=self._send, name="tidegate-monitor-send", daemon=True)

    def start(self) -> None:
        """Start the child, which takes over the windows that are open."""
        self._keeper.start()
        self._sender.start()
        self._linked(STOP_SECONDS)  # from here on it may be stopped without losing what is recorded until then

    def stop(self) -> None:
        """Have the child write what was recorded, save its windows and end; 2 s or so, more is logged."""
        self._intake.close()
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        if self._keeper.is_alive() and not self._ends_within(STOP_SECONDS):
            log.warning("monitoring is still writing after %s s; the server ends when it is done", STOP_SECONDS)
            if not self._ends_within(LEAVE_SECONDS):
                log.warning("monitoring is left to write what it was sent, and ends by itself")

    def _ends_within(self, seconds: float) -> bool:
        """Wait until all is sent, and then for the child's end."""
        until = time.monotonic() + seconds
        self._sender.join(seconds)
        if self._sender.is_alive():
            return False
        if (link := self._linked(0)) is not None:
            link.end(max(0.0, until - time.monotonic()))
        self._keeper.join(max(0.0, until - time.monotonic()))
        return not self._keeper.is_alive()

    def record(self, records: Sequence[Record]) -> None:
        """Take the records of one request, or drop and count them when the queue is full; never waits."""
        if not self._intake.put(records):
            self._metrics.dropped.inc(len(records))

    def disagreed(self, model: str, ids: Sequence[str]) -> None:
        """Remember, for the relabel queue, predictions that two versions answered differently; never waits."""
        self._disputed.append((model, ids))

    def drift(self, model: str, version: int, alert: int | None = None) -> dict[str, Any]:
        """The drift report of a version, over everything recorded before this call; as `MonitoringJob.drift`."""
        report: dict[str, Any] = self._ask("drift", model, version, alert)
        return report

    def data(self, model: str, version: int, window: str) -> dict[str, Any]:
        """As `MonitoringJob.data`."""
        report: dict[str, Any] = self._ask("data", model, version, window)
        return report

    def feature(self, model: str, version: int, feature: str, by: Span, most: int) -> dict[str, Any]:
        """As `MonitoringJob.feature`."""
        report: dict[str, Any] = self._ask("feature", model, version, feature, by, most)
        return report

    def texts(self, model: str, ids: Sequence[str]) -> dict[str, str]:
        """As `MonitoringJob.texts`."""
        texts: dict[str, str] = self._ask("texts", model, ids)
        return texts

    def feedback(self, model: str, prediction_id: str, label: str, comment: str) -> str:
        """As `MonitoringJob.feedback`; stored once this returns."""
        sent = self._caught_up()
        try:
            item: str = self._call("feedback", model, prediction_id, label, comment)
        except PredictionNotFound:
            if sent:
                raise
            raise NotReady("monitoring is behind, so the feedback is not stored; try again") from None
        return item

    def label_studio(self, model: str, event: Any) -> dict[str, Any]:
        """As `MonitoringJob.label_studio`; stored once this returns."""
        counts: dict[str, Any] = self._ask("label_studio", model, event)
        return counts

    def alerts(self, model: str | None, state: AlertState | None) -> list[dict[str, Any]]:
        """As `MonitoringJob.alerts`."""
        found: list[dict[str, Any]] = self._ask("alerts", model, state)
        return found

    def alert(self, alert_id: int) -> dict[str, Any]:
        """As `MonitoringJob.alert`."""
        found: dict[str, Any] = self._ask("alert", alert_id)
        return found

    def deliveries(self) -> list[dict[str, Any]]:
        """As `MonitoringJob.deliveries`."""
        found: list[dict[str, Any]] = self._ask("deliveries")
        return found

    def acknowledge(self, alert_id: int, by: str, note: str) -> dict[str, Any]:
        """As `MonitoringJob.acknowledge`."""
        changed: dict[str, Any] = self._ask("acknowledge", alert_id, by, note)
        return changed

    def resolve(self, alert_id: int, by: str, note: str) -> dict[str, Any]:
        """As `MonitoringJob.resolve`."""
        changed: dict[str, Any] = self._ask("resolve", alert_id, by, note)
        return changed

    def _ask(self, name: str, *arguments: Any) -> Any:
        """Have the child do it, behind everything that was recorded before."""
        self._caught_up()
        return self._call(name, *arguments)

    def _caught_up(self) -> bool:
        """Wait until what was recorded so far is sent; False when that takes too long, which is logged."""
        sent = self._intake.wait_written(BARRIER_SECONDS)
        if not sent:
            log.warning("monitoring is more than %s s behind; answering from what is written", BARRIER_SECONDS)
        return sent

    def _call(self, name: str, *arguments: Any) -> Any:
        link = self._linked(BARRIER_SECONDS)
        if link is None:
            raise NotReady("monitoring has stopped and is started again; ask again in a few seconds")
        return link.ask(name, *arguments)

    def _linked(self, timeout_seconds: float | None, ended: Link | None = None) -> Link | None:
        """The child's link, once there is one but that; None when it takes too long, or there will be none."""
        with self._changed:
            self._changed.wait_for(lambda: self._link not in (None, ended) or self._stopping, timeout_seconds)
            return None if self._link is ended else self._link

    def _send(self) -> None:
        while (records := self._intake.take(GATHER_SECONDS, IDLE_SECONDS)) is not None:
            for part in divide(records):
                self._hand_over(part)
            while self._disputed and (link := self._linked(0)) is not None:
                link.disagreed(*self._disputed.popleft())
            self._intake.done(len(records))

    def _hand_over(self, part: Sequence[Record]) -> None:
        """Send a parcel to the child that is there, or to the next where that one has just ended."""
        ended = None
        while (link := self._linked(None, ended)) is not None:
            if link.record(part):
                return
            ended = link
        self._metrics.dropped.inc(len(part))

    def _keep(self) -> None:
        """Run a child, and another in its place whenever it ends."""
        failures = 0
        while not self._stopping:
            started = time.monotonic()
            end = self._run_one()
            failures = 0 if time.monotonic() - started >= STEADY_SECONDS else failures + 1
            wait = min(FIRST_WAIT_SECONDS * 2 ** max(0, failures - 1), LONGEST_WAIT_SECONDS)
            with self._changed:
                if not self._stopping:
                    log.error("the monitor process ended (%s); another takes its place in %s s", end, wait)
                self._changed.wait_for(lambda: self._stopping, wait)

    def _run_one(self) -> str:
        """Run a child to its end; says how it ended."""
        try:
            link = Link(self._settings, self._name)
        except OSError as error:  # no memory, too many processes or files: for now, perhaps
            return f"it could not be started: {error}"
        self._set(link)
        code, lost = link.attend(self._metrics.add)
        self._set(None)
        self._metrics.dropped.inc(lost)
        reason = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        return f"{reason}, {lost} predictions were on their way to it"

    def _set(self, link: Link | None) -> None:
        self._tell(link.pid if link else None)
        with self._changed:
            self._link = link
            self._changed.notify_all()
