"""The writer: everything that happens to records once they are off the request path, in one thread.

Before: `job`, which owns the queue and the thread; after: profile -> window -> score -> alert -> relabel queue,
in one transaction a batch, so that a killed process leaves either all of a batch or nothing. A batch is cut
where a window is full: windows hold exactly `window_rows` rows. A window whose time is up but that holds
fewer than 50 rows stays open until it has them, since it could not be judged.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

from sqlalchemy import Connection, Engine

from monitoring import alerts, detectors, drift, findings, relabel, windows
from monitoring.alarm import Verdict, limit_of
from monitoring.alerts import Alert
from monitoring.calibration import MIN_ROWS
from monitoring.features import Seen, derive
from monitoring.metrics import MonitoringMetrics
from monitoring.reference import Reference, References
from monitoring.windows import Key, Window
from tidegate.errors import TidegateError
from tidegate.records import Record
from tidegate.redaction import Redactor
from tidegate.settings import Settings

log = logging.getLogger(__name__)

Raised = list[Alert]  # those that were opened, raised, reopened or resolved


class Writer:
    """Holds the open windows; not thread-safe, as whylogs is not."""

    def __init__(
        self,
        database: Engine,
        references: References,
        settings: Settings,
        metrics: MonitoringMetrics,
        clock: Callable[[], float],
    ) -> None:
        self._database = database
        self._references = references
        self._settings = settings
        self._metrics = metrics
        self._clock = clock
        self._redact = Redactor.of(settings.redact)
        self._open: dict[Key, Window] = {}
        self._unreadable: set[Key] = set()
        self._seen: dict[Key, Seen] = {}

    def resume(self) -> None:
        """Take over the windows that an earlier process left open."""
        with self._database.begin() as connection:
            for window in windows.read_all_open(connection):
                self._open[(window.model, window.version)] = window
            self._show_depths(connection)

    def write(self, records: Sequence[Record]) -> Raised:
        """Profile and store records, in order; returns the alerts that they led to."""
        raised: Raised = []
        groups = _by_version(records)
        try:
            with self._database.begin() as connection:
                for key, group in groups.items():
                    self._catch_up(connection, key)
                    for part in self._parts(key, group):
                        raised += self._extend(connection, key, part)
                for model in {model for model, _ in groups}:
                    windows.trim_records(connection, model, self._settings.keep_records)
                if raised:
                    self._show_depths(connection)
        except BaseException:
            for key in groups:  # rolled back: the database is right, and memory is not
                self._open.pop(key, None)
            raise
        for key, group in groups.items():
            self._metrics.grew(key[0], len(group))
        return raised

    def close_due(self) -> Raised:
        """Close the windows whose time is up."""
        now = self._clock()
        due = [
            (key, window)
            for key, window in self._open.items()
            if window.rows >= MIN_ROWS and now - window.started_at >= self._settings.window_seconds
        ]
        if not due:
            return []
        raised: Raised = []
        with self._database.begin() as connection:
            for key, window in due:
                raised += self._save(connection, key, window, window, closing=True) or []
                self._open.pop(key, None)  # also when another process has changed it: read again
            self._show_depths(connection)
        return raised

    def show_depths(self) -> None:
        """Read the relabel queue's depths, which other processes change too."""
        with self._database.connect() as connection:
            self._show_depths(connection)

    def _catch_up(self, connection: Connection, key: Key) -> None:
        """Take over what another process did to the version's window, before anything is cut to fit into it."""
        window = self._open.get(key)
        if window is None or not windows.is_current(connection, window):
            window = windows.read_open(connection, key)
        if window is not None:
            self._open[key] = window
        else:
            self._open.pop(key, None)

    def _parts(self, key: Key, records: Sequence[Record]) -> Iterator[Sequence[Record]]:
        """Cut records so that each part at most fills the window that is open when its turn comes."""
        start = 0
        while start < len(records):
            window = self._open.get(key)
            room = self._settings.window_rows - (window.rows if window else 0)
            part = records[start : start + max(room, 1)]
            start += len(part)
            yield part

    def _extend(self, connection: Connection, key: Key, records: Sequence[Record]) -> Raised:
        reference = self._reference(key)
        rows = derive(records, self._seen.setdefault(key, Seen()))
        delta, typicality = reference.layout.summarise(rows), reference.typicality(rows)
        while True:
            before = self._current(connection, key, records[0].created_at, len(delta.sums))
            after = before.grown(records, delta)
            closing = after.rows >= self._settings.window_rows
            raised = self._save(
                connection, key, before, after, closing=closing, records=records, typicality=typicality.tolist()
            )
            if raised is not None:
                return raised
            self._open.pop(key, None)  # another process was here first: read what it left

    def _current(self, connection: Connection, key: Key, at: float, width: int) -> Window:
        """The open window: as remembered, else as the database has it, else a new one."""
        found = self._open.get(key) or windows.read_open(connection, key)
        return found or windows.begin(connection, key, at, width)

    def _save(
        self,
        connection: Connection,
        key: Key,
        before: Window,
        after: Window,
        *,
        closing: bool,
        records: Sequence[Record] = (),
        typicality: Sequence[float] = (),
    ) -> Raised | None:
        """Score and store a window and its new records; None when the window has changed meanwhile."""
        reference = self._reference(key)
        detector, closed_at = detectors.read(connection, key, len(after.summary.sums))
        verdict: Verdict | None = None
        if closing:
            seconds = after.ended_at - (after.started_at if closed_at is None else closed_at)
            detector, verdict = detector.observe(
                after.summary, max(seconds, 0.0), reference, self._settings.false_alarm_days
            )
            score = verdict.window
        else:
            rate = detector.rate(self._settings.false_alarm_days)
            score = drift.score(after.summary, reference, limit_of(reference, after.summary.rows, rate))
        if not windows.save(connection, before, after, score, verdict):
            return None
        if records:
            windows.keep_records(connection, after.id, self._redacted(records), typicality)
        self._metrics.scored(key[0], score.features)
        if verdict is None:
            self._open[key] = after
            return []
        self._open.pop(key, None)
        detectors.write(connection, key, detector, after.ended_at)
        windows.trim(connection, key[0], self._settings.keep_windows)
        if score.status == "insufficient" and not verdict.breaches:
            return []
        found = findings.of_verdict(connection, key, after.id, verdict)
        return alerts.settle(connection, key, found, after.id, self._clock(), self._settings)

    def _redacted(self, records: Sequence[Record]) -> Sequence[Record]:
        """Records as they are stored; they were profiled as they came, since profiles hold no text."""
        if not self._redact.steps:
            return records
        return [replace(record, text=self._redact(record.text)) for record in records]

    def _reference(self, key: Key) -> Reference:
        """The version's reference; an empty one, said once, when its bundle cannot be read."""
        try:
            return self._references.get(*key)
        except TidegateError as error:
            if key not in self._unreadable:
                self._unreadable.add(key)
                log.warning("%s/%s is profiled but not scored: %s", *key, error)
            return Reference.blank()

    def _show_depths(self, connection: Connection) -> None:
        for model, depth in relabel.depths(connection).items():
            self._metrics.depth.labels(model).set(depth)


def _by_version(records: Iterable[Record]) -> dict[Key, list[Record]]:
    groups: dict[Key, list[Record]] = {}
    for record in records:
        groups.setdefault((record.model, record.version), []).append(record)
    return groups
