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

from monitoring import alerts, drift, profiles, relabel, selection, windows
from monitoring.alerts import Alert
from monitoring.calibration import MIN_ROWS
from monitoring.features import record_features
from monitoring.metrics import MonitoringMetrics
from monitoring.reference import Reference, References
from monitoring.windows import Key, Window
from tidegate.errors import TidegateError
from tidegate.records import Record
from tidegate.redaction import Redactor
from tidegate.settings import Settings

log = logging.getLogger(__name__)

Raised = list[tuple[Alert, int]]  # an alert and how many items it put on the relabel queue


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

    def resume(self) -> None:
        """Warm whylogs up and take over the windows that an earlier process left open."""
        profiles.warm_up()
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
        delta = profiles.profile_frame(record_features(records))
        while True:
            before = self._current(connection, key, records[0].created_at)
            after = before.grown(records, delta)
            closing = after.rows >= self._settings.window_rows
            raised = self._save(connection, key, before, after, closing=closing, records=records)
            if raised is not None:
                return raised
            self._open.pop(key, None)  # another process was here first: read what it left

    def _current(self, connection: Connection, key: Key, at: float) -> Window:
        """The open window: as remembered, else as the database has it, else a new one."""
        return self._open.get(key) or windows.read_open(connection, key) or windows.begin(connection, key, at)

    def _save(
        self,
        connection: Connection,
        key: Key,
        before: Window,
        after: Window,
        *,
        closing: bool,
        records: Sequence[Record] = (),
    ) -> Raised | None:
        """Score and store a window and its new records; None when the window has changed meanwhile."""
        score = drift.score(after.profile, self._reference(key))
        if not windows.save(connection, before, after, score, still_open=not closing):
            return None
        if records:
            windows.keep_records(connection, after.id, self._redacted(records))
        self._metrics.scored(key[0], score.features)
        if not closing:
            self._open[key] = after
            return []
        self._open.pop(key, None)
        windows.trim(connection, key[0], self._settings.keep_windows)
        return self._raise_if_due(connection, key)

    def _raise_if_due(self, connection: Connection, key: Key) -> Raised:
        now = self._clock()
        due = alerts.open_if_due(connection, key, now)
        if due is None:
            return []
        alert, drifted = due
        queued = selection.enqueue_uncertain(connection, drifted, self._settings.relabel_per_alert, now)
        return [(alert, queued)]

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
            return Reference()

    def _show_depths(self, connection: Connection) -> None:
        for model, depth in relabel.depths(connection).items():
            self._metrics.depth.labels(model).set(depth)


def _by_version(records: Iterable[Record]) -> dict[Key, list[Record]]:
    groups: dict[Key, list[Record]] = {}
    for record in records:
        groups.setdefault((record.model, record.version), []).append(record)
    return groups
