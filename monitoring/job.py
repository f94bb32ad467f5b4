"""The monitoring job: takes records, answers questions. Fits `Recorder` and `Monitor` of `tidegate.records`.

`record` returns in microseconds; one thread, the only one that touches whylogs, writes what was recorded, a turn every
two seconds. The other calls may come from any thread: they read and write the state database, and `drift` and
`feedback` first wait until the writer is done with all that was recorded before them. A server has its job in a process
of its own (`child`), since the interpreter's lock that its work would hold is the one that callers wait for.
Before: `child`, which speaks with the gateway's `process`; after: `writer`, `report`, `relabel`, `webhook`.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from prometheus_client import CollectorRegistry
from sqlalchemy import Engine, Row, insert, select

from monitoring import alerts, data_health, deliveries
from monitoring.alerts import Alert
from monitoring.examples import texts_of
from monitoring.intake import Intake
from monitoring.labels import relabel
from monitoring.labels.events import take_event
from monitoring.labels.known import KnownLabels
from monitoring.metrics import MonitoringMetrics
from monitoring.parcels import Sealed
from monitoring.reference import References
from monitoring.report import drift_report
from monitoring.tables import storable, turn
from monitoring.webhook import Webhooks
from monitoring.writer import Writer
from tidegate.bundle_store import BundleStore
from tidegate.errors import InvalidInput, NotReady, PredictionNotFound
from tidegate.records import AlertState, Record, Span
from tidegate.redaction import Redactor
from tidegate.settings import Settings
from tidegate.store import feedback as feedback_table
from tidegate.store import reachable
from tidegate.store import records as records_table

log = logging.getLogger(__name__)

GATHER_SECONDS = 2.0  # a turn takes 10 ms and 40 us a row; a kill loses no more than this
IDLE_SECONDS = 1.0
AT_ONCE_ROWS = 2_000  # some 50 ms, for which feedback and other workers wait
BARRIER_SECONDS = 5.0
STOP_SECONDS = 2.0
OTHERS_SECONDS = 3.0  # a record that another worker has just made is written by then
LOOK_SECONDS = 0.1
MAX_COMMENT_CHARS = 4_000


class MonitoringJob:
    """Records, windows, alerts, feedback; `start` and `stop` once each.

    Args:
        database: the state database.
        bundles: whose predictions are recorded.
        settings: of windows, alerts and the relabel queue.
        registry: where the metrics live.
        clock: Unix time in seconds.
        on_turn: called from the writing thread whenever records were dealt with, and once a second.

    Attributes:
        metrics: what it counts.
    """

    def __init__(
        self,
        database: Engine,
        bundles: BundleStore,
        settings: Settings,
        registry: CollectorRegistry,
        *,
        clock: Callable[[], float] = time.time,
        on_turn: Callable[[], None] = lambda: None,
    ) -> None:
        self._database = database
        self._clock = clock
        self._others_seconds = OTHERS_SECONDS if settings.workers > 1 else 0.0
        self._bundles = bundles
        self._budget_days = settings.false_alarm_days
        self._double_share = settings.relabel_double_share
        self.metrics = MonitoringMetrics(registry, clock)
        self._labels = KnownLabels(bundles)
        self._writer = Writer(database, References(bundles), settings, self.metrics, clock)
        self._webhooks = Webhooks(database, settings, self.metrics.webhook_failures.inc, clock)
        self._redact = Redactor.of(settings.redact)
        self._on_turn = on_turn
        self._intake = Intake(enough=AT_ONCE_ROWS)
        # Not daemonic: a daemon would be cut off in the middle of a write. `_run` ends with the main thread.
        self._thread = threading.Thread(target=self._run, name="tidegate-monitoring", daemon=False)

    def start(self) -> None:
        """Take over open windows and begin to write; whylogs warms up in the writer thread."""
        self._webhooks.start()
        self._thread.start()

    def stop(self) -> None:
        """Write what was recorded, save the open windows and end; 2 s at most, more is logged."""
        self._intake.close()
        if self._thread.is_alive():
            self._thread.join(STOP_SECONDS)
            if self._thread.is_alive():
                log.warning("monitoring is still writing after %s s; the process ends when it is done", STOP_SECONDS)
        self._webhooks.stop()

    def record(self, records: Sequence[Record] | Sealed) -> None:
        """Take the records of one request, or drop and count them when the queue is full; never waits."""
        if not self._intake.put(records):
            self.metrics.dropped.inc(len(records))

    def disagreed(self, model: str, ids: Sequence[str]) -> None:
        """Remember, for the relabel queue, predictions that two versions answered differently; never waits."""
        self._writer.slots.disagreed(model, ids)

    def drift(self, model: str, version: int, alert: int | None = None) -> dict[str, Any]:
        """The drift report of a version, over everything recorded before this call.

        Raises:
            ItemNotFound: no alert of that version with that number.
        """
        self._catch_up()
        with reachable("drift is not known"):
            return drift_report(self._database, self._bundles, self._budget_days, (model, version), alert)

    def data(self, model: str, version: int, window: str) -> dict[str, Any]:
        """Every feature in training, evaluation and a window; raises what `data_health.data_report` does."""
        self._catch_up()
        with reachable("the data is not known"):
            return data_health.data_report(self._database, self._bundles, self._budget_days, (model, version), window)

    def feature(self, model: str, version: int, feature: str, by: Span, most: int) -> dict[str, Any]:
        """One feature in depth; raises what `data_health.feature_report` does."""
        self._catch_up()
        key = (model, version)
        with reachable("the feature is not known"):
            return data_health.feature_report(self._database, self._bundles, self._budget_days, key, feature, by, most)

    def texts(self, model: str, ids: Sequence[str]) -> dict[str, str]:
        """Texts of a model's predictions by id, as they are kept; those no longer kept are missing."""
        with reachable("texts are not known"):
            return texts_of(self._database, model, ids)

    def feedback(self, model: str, prediction_id: str, label: str, comment: str) -> str:
        """Store a caller's report durably, put its text on the relabel queue, return the item's id.

        Raises:
            PredictionNotFound: no prediction of that model with that id is kept.
            InvalidInput: not a label of the model, or a comment of more than 4,000 characters.
            NotReady: the database cannot be written now, or the prediction is not written yet; nothing was stored.
        """
        with reachable("the feedback is not stored"):
            return self._feedback(model, prediction_id, label, comment)

    def label_studio(self, model: str, event: Any) -> dict[str, Any]:
        """Take what a webhook of Label Studio tells of annotations.

        Raises:
            InvalidInput: not such an event, or an annotation that cannot be taken; the others are taken.
            NotReady: the state database cannot be written now; nothing was stored.
        """
        with reachable("the annotation is not stored"):
            return take_event(self._database, model, event, self._labels, self._clock())

    def alerts(self, model: str | None, state: AlertState | None) -> list[dict[str, Any]]:
        """Alerts, newest first: all, or those of a model, or in a state."""
        with reachable("alerts are not known"):
            return [alert.document() for alert in alerts.list_alerts(self._database, model, state)]

    def alert(self, alert_id: int) -> dict[str, Any]:
        """One alert; raises what `alerts.find` does."""
        with reachable("the alert is not known"):
            return alerts.find(self._database, alert_id).document()

    def deliveries(self) -> list[dict[str, Any]]:
        """What receivers were told of alerts, newest first, without the documents that went along."""
        shown = ("alert_id", "event", "receiver", "state", "attempts", "created_at", "ended_at", "error")
        with reachable("deliveries are not known"):
            return [{name: getattr(one, name) for name in shown} for one in deliveries.list_deliveries(self._database)]

    def acknowledge(self, alert_id: int, by: str, note: str) -> dict[str, Any]:
        """Say that somebody looks at an alert; raises what `alerts.acknowledge` does."""
        with reachable("the alert is not acknowledged"):
            return alerts.acknowledge(self._database, alert_id, self._clock(), by, note).document()

    def resolve(self, alert_id: int, by: str, note: str) -> dict[str, Any]:
        """Say that an alert is over; raises what `alerts.resolve` does."""
        with reachable("the alert is not resolved"):
            return alerts.resolve(self._database, alert_id, self._clock(), by, note).document()

    def _feedback(self, model: str, prediction_id: str, label: str, comment: str) -> str:
        if len(comment) > MAX_COMMENT_CHARS:
            raise InvalidInput(f"the comment has {len(comment)} characters; {MAX_COMMENT_CHARS} at most are kept")
        prediction = self._find(model, prediction_id)
        known = self._labels(prediction.model, prediction.version)
        if label not in known:
            raise InvalidInput(f"{label!r} is no label of {prediction.model}; use one of: {', '.join(known)}")
        now, comment = self._clock(), self._redact(comment)
        values = {"label": label, "comment": storable(comment), "created_at": now}
        with turn(self._database) as connection:
            connection.execute(
                insert(feedback_table).values(prediction_id=prediction.id, model=prediction.model, **values)
            )
            return relabel.report(connection, prediction, label, comment, now, self._double_share)

    def _find(self, model: str, prediction_id: str) -> Row[Any]:
        found = self._lookup(prediction_id)
        if found is None:  # just made, perhaps: its record may still be on its way
            behind = not self._catch_up()
            found = self._lookup(prediction_id)
            if found is None and behind:
                log.error("monitoring is behind, so the feedback is not stored: its prediction is not written yet")
                raise NotReady("monitoring is behind, so the feedback is not stored; try again")
        until = time.monotonic() + self._others_seconds
        while found is None and time.monotonic() < until:  # another worker has it, perhaps, and is gathering
            time.sleep(LOOK_SECONDS)
            found = self._lookup(prediction_id)
        if found is None or found.model != model:
            raise PredictionNotFound(
                f"no prediction {prediction_id!r} of {model} is kept; report it soon after it was made, "
                "or raise the setting keep_records"
            )
        return found

    def _lookup(self, prediction_id: str) -> Row[Any] | None:
        with self._database.connect() as connection:
            query = select(records_table).where(records_table.c.id == storable(prediction_id))
            return connection.execute(query).one_or_none()

    def _catch_up(self) -> bool:
        """Wait until what was recorded so far is written; False when that takes too long, which is logged."""
        if not self._thread.is_alive() or self._intake.wait_written(BARRIER_SECONDS):
            return True
        log.warning("monitoring is more than %s s behind; answering from what is written", BARRIER_SECONDS)
        return False

    def _run(self) -> None:
        self._guarded(self._writer.resume)
        while (records := self._intake.take(GATHER_SECONDS, IDLE_SECONDS)) is not None:
            for start in range(0, len(records), AT_ONCE_ROWS):
                self._write(records[start : start + AT_ONCE_ROWS])
            self._guarded(lambda: self._tell(self._writer.close_due()))
            self._guarded(self._webhooks.sort)
            self._guarded(self._writer.select)
            self._guarded(self._writer.tidy)
            if not records:
                self._guarded(self._show_alerts)
                self._guarded(self._writer.show_depths)
            self._guarded(self._on_turn)
            if not threading.main_thread().is_alive():
                self._intake.close()  # nobody called `stop`: finish, so that the process can end
        self._guarded(self._writer.finish)

    def _write(self, records: Sequence[Record]) -> None:
        if not self._guarded(lambda: self._tell(self._writer.write(records))):
            self.metrics.dropped.inc(len(records))
        self._intake.done(len(records))
        self._guarded(self._on_turn)

    def _tell(self, changed: Sequence[Alert]) -> None:
        """Log and count alerts that changed; their deliveries are in the database already."""
        for alert in changed:
            if alert.event == "opened" and alert.kind == "drift":
                self.metrics.alerts.labels(alert.model).inc()
            level = logging.INFO if alert.event == "resolved" else logging.WARNING
            log.log(
                level, "%s alert %s (%s) %s: %s", *(alert.kind, alert.id, alert.severity, alert.event, alert.message)
            )

    def _show_alerts(self) -> None:
        """Read how alerts and deliveries stand, which other processes change too."""
        with self._database.connect() as connection:
            for *labels, unresolved in alerts.open_counts(connection):
                self.metrics.alerts_open.labels(*labels).set(unresolved)
            for state, count in deliveries.counts(connection).items():
                self.metrics.deliveries.labels(state).set(count)

    def _guarded(self, step: Callable[[], None]) -> bool:
        """Run a step of the loop; whatever it raises is logged, and monitoring goes on with the next one."""
        try:
            step()
        except Exception:
            log.exception("monitoring could not write; it goes on with what comes next")
            return False
        return True
