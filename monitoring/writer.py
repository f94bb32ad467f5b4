"""The writer: everything that happens to records once they are off the request path, in one thread.

A batch is derived first, on its own; then, in one transaction, it is added to the open window and to its minutes, kept
with its texts, and the windows that are full are judged: so a killed process leaves either all of a batch or nothing.
A batch is cut where a window is full: windows hold exactly `window_rows` rows, or more while a model is so busy that
`spacing` does not let them close. A window whose time is up but that holds fewer than 50 rows stays open until it
has them, since it could not be judged.
Before: `job`, which owns the queue and the thread; after: `closing`, `periods`, `kept`, `sketches`.
"""

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, Engine

from monitoring import kept, periods, profiles, windows
from monitoring.calibration import MIN_ROWS
from monitoring.closing import Raised, close
from monitoring.features import Rows, Seen, derive
from monitoring.intake import MAX_ROWS
from monitoring.labels import budget, random_stream
from monitoring.labels.budget import Budget
from monitoring.labels.slots import Slots
from monitoring.metrics import MonitoringMetrics
from monitoring.periods import Period
from monitoring.reference import Reference, References
from monitoring.sketches import Sketches
from monitoring.spacing import Spacing
from monitoring.summary import Summary
from monitoring.tables import turn
from monitoring.windows import Key, Window
from tidegate.errors import TidegateError
from tidegate.records import Record
from tidegate.redaction import Redactor
from tidegate.settings import Settings

log = logging.getLogger(__name__)

ROLL_UP_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Batch:
    """Records of one model version and all that is derived from them, each column as long as `records`."""

    key: Key
    records: Sequence[Record]
    rows: Rows
    created_at: NDArray[np.float64]
    typicality: Sequence[float | None]
    reference: Reference


class Writer:
    """Not thread-safe, as whylogs is not; of other processes it waits its turn.

    Attributes:
        slots: what chooses texts for people.
    """

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
        self._sketches = Sketches(database)
        self._budget = Budget.of(settings)
        self.slots = Slots(database, settings, clock)
        self._open: dict[Key, Window] = {}  # as this process last saw them
        self._unreadable: set[Key] = set()
        self._seen: dict[Key, Seen] = {}
        self._spacing: dict[Key, Spacing] = {}
        self._rolled_up_at = float("-inf")

    def resume(self) -> None:
        """Take over the windows that an earlier process left open, and wake whylogs."""
        profiles.warm_up()
        with self._database.begin() as connection:
            for window in windows.read_all_open(connection):
                self._open[(window.model, window.version)] = window
            self._show_depths(connection)

    def write(self, records: Sequence[Record]) -> Raised:
        """Count and store records, in order; returns the alerts that they led to."""
        batches = [self._derived(key, group) for key, group in _by_version(records).items()]
        raised: Raised = []
        models = Counter(batch.key[0] for batch in batches for _ in batch.records)
        most = self._settings.keep_records
        with turn(self._database) as connection:
            for model, rows in models.items():
                kept.trim(connection, model, max(0, most - rows))
            for batch in batches:
                raised += self._add(connection, batch)
            for model, rows in models.items():
                if rows > most:
                    kept.trim(connection, model, most)
            if raised:
                self._show_depths(connection)
        for batch in batches:
            self._sketches.take(batch.key, batch.created_at, batch.rows, self._clock())
            self._metrics.grew(batch.key[0], len(batch.records))
        return raised

    def close_due(self) -> Raised:
        """Close the windows whose time is up."""
        due = [key for key, window in self._open.items() if self._is_due(window)]
        if not due:
            return []
        raised: Raised = []
        with turn(self._database) as connection:
            for key in due:
                window = windows.read_open(connection, key)  # another process may have grown or closed it
                if window is not None and self._is_due(window):
                    raised += self._close(connection, window)
                else:
                    self._remember(key, window)
            self._show_depths(connection)
        return raised

    def tidy(self) -> None:
        """Write profiles that are due, and roll up what is old; a few steps of some 10 ms at a time."""
        now = self._clock()
        if self._sketches.due(now):
            self._sketches.flush()
        if abs(now - self._rolled_up_at) < ROLL_UP_SECONDS:
            return
        with turn(self._database) as connection:
            periods.roll_up(connection, now)
        if not self._sketches.roll_up(now):
            self._rolled_up_at = now

    def select(self) -> None:
        """Put recent texts on the relabel queue where its budget allows."""
        if self.slots.select():
            self.show_depths()

    def finish(self) -> None:
        """Write the profiles of what has been counted; the last call."""
        self._sketches.flush()

    def show_depths(self) -> None:
        """Read the relabel queue's depths, which other processes change too."""
        with self._database.connect() as connection:
            self._show_depths(connection)

    def _derived(self, key: Key, records: Sequence[Record]) -> Batch:
        reference = self._reference(key)
        rows = reference.mapped(derive(records, self._seen.setdefault(key, Seen())))
        created_at = np.array([record.created_at for record in records])
        told = rows.mapped is not None and rows.embedding.shape[1] > 0
        typical = reference.typicality(rows).tolist() if told else [None] * len(rows)
        return Batch(key, records, rows, created_at, typical, reference)

    def _add(self, connection: Connection, batch: Batch) -> Raised:
        """Add a batch to its windows, closing those that it fills, and to its periods."""
        raised: Raised = []
        sums: dict[Period, Summary] = {}
        places = list(periods.place(batch.created_at, self._clock()))
        start = 0
        while start < len(batch.records):
            window = self._current(connection, batch, start)
            part = slice(start, min(start + self._room(batch.key, window), len(batch.records)))
            delta = Summary.empty(batch.reference.layout.width)
            rows = batch.rows.part(part.start, part.stop)
            for period, summary in _summaries(batch.reference, rows, [(each, mask[part]) for each, mask in places]):
                delta += summary
                sums[period] = sums[period] + summary if period in sums else summary
            raised += self._grow(connection, batch, part, window.grown(batch.created_at[part], delta))
            start = part.stop
        for period, summary in sums.items():
            periods.add(connection, batch.key, period, summary)
        self._draw(connection, batch)
        return raised

    def _room(self, key: Key, window: Window) -> int:
        """Rows until the window may be closed; all there are while it may not."""
        if not self._spacing_of(key).open(self._clock()):
            return MAX_ROWS
        return self._settings.window_rows - window.rows % self._settings.window_rows

    def _draw(self, connection: Connection, batch: Batch) -> None:
        """Some of the records for labels that tell the true accuracy."""
        ids, known = [record.id for record in batch.records], batch.reference.document.accuracy
        chances = None if known is None else lambda: known.chances(batch.rows).tolist()
        most, double = self._budget.random, self._settings.relabel_double_share
        random_stream.draw(connection, ids, chances, batch.key[0], most, self._clock(), double)

    def _grow(self, connection: Connection, batch: Batch, part: slice, grown: Window) -> Raised:
        """Keep a part of a batch with the window that it is in now."""
        rows = batch.rows.part(part.start, part.stop)
        kept.keep(connection, grown.id, batch.records[part], rows, batch.typicality[part], self._redact)
        if grown.rows >= self._settings.window_rows and self._spacing_of(batch.key).open(self._clock()):
            return self._close(connection, grown)
        windows.save(connection, grown)
        self._remember(batch.key, grown)
        return []

    def _current(self, connection: Connection, batch: Batch, start: int) -> Window:
        """The open window that the rows from `start` on go to: as the database has it, else a new one."""
        found = windows.read_open(connection, batch.key)
        width = batch.reference.layout.width
        return found or windows.begin(connection, batch.key, float(batch.created_at[start]), width)

    def _close(self, connection: Connection, window: Window) -> Raised:
        key = (window.model, window.version)
        self._spacing_of(key).close(self._clock())
        closed = close(connection, window, self._reference(key), self._settings, self._clock())
        self.slots.closed(window.model)
        self._metrics.scored(window.model, closed.verdict.window.features)
        if closed.appraisal is not None:
            self._metrics.estimated(window.model, closed.appraisal.estimate)
            self._metrics.labelled(window.model, closed.appraisal.measured)
        self._remember(key, None)
        return closed.raised

    def _remember(self, key: Key, window: Window | None) -> None:
        if window is None:
            self._open.pop(key, None)
        else:
            self._open[key] = window

    def _is_due(self, window: Window) -> bool:
        waited = self._clock() - window.started_at
        full = window.rows >= self._settings.window_rows
        return (window.rows >= MIN_ROWS and waited >= self._settings.window_seconds) or (
            full and self._spacing_of((window.model, window.version)).open(self._clock())
        )

    def _spacing_of(self, key: Key) -> Spacing:
        return self._spacing.setdefault(key, Spacing(self._settings.window_spacing_seconds))

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
        for (model, slot), depth in budget.depths(connection).items():
            self._metrics.depth.labels(model, slot).set(depth)


def _summaries(
    reference: Reference, rows: Rows, places: Iterable[tuple[Period, NDArray[np.bool_]]]
) -> Iterator[tuple[Period, Summary]]:
    """The sums of some rows in each period that they touch."""
    for period, mask in places:
        if mask.any():
            yield period, reference.layout.summarise(rows.where(mask))


def _by_version(records: Iterable[Record]) -> dict[Key, list[Record]]:
    groups: dict[Key, list[Record]] = {}
    for record in records:
        groups.setdefault((record.model, record.version), []).append(record)
    return groups
