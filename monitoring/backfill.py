"""Backfill: past inputs judged window by window, by the rules and in the order in which they would have been live.

Pure: rows in, verdicts out. A window closes after `window_rows` rows, or `window_seconds` after its first one if it has
50 by then; past its end it is judged by what the detector remembers of those before it. Without times a window is taken
to have lasted `window_seconds`, which is what the alarm budget then rests on.
Before: `tidegate monitor --backfill`; after: its printing, `history`.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from monitoring.alarm import Detector, Verdict
from monitoring.calibration import MIN_ROWS
from monitoring.reference import Reference
from monitoring.summary import Summary


@dataclass(frozen=True, slots=True)
class PastWindow:
    """Rows [start, stop) of a file; times are Unix seconds."""

    start: int
    stop: int
    started_at: float
    ended_at: float


@dataclass(frozen=True, slots=True)
class Judged:
    """A window with its sums and what is to be thought of it."""

    window: PastWindow
    summary: Summary
    verdict: Verdict


def nominal_seconds(rows: int, window_rows: int, window_seconds: float) -> NDArray[np.float64]:
    """Times of rows that have none, float64 (rows,): full windows of `window_seconds`, from the epoch on."""
    return np.arange(rows, dtype=np.float64) * (window_seconds / window_rows)


def cut(seconds: NDArray[np.float64], window_rows: int, window_seconds: float) -> list[PastWindow]:
    """Cut rows into windows as the writer does; `seconds` is sorted. The last one may be short, as the file ends."""
    windows = []
    start = 0
    while start < len(seconds):
        due = int(np.searchsorted(seconds, seconds[start] + window_seconds, side="left"))
        stop = min(max(due, start + MIN_ROWS), start + window_rows, len(seconds))
        windows.append(PastWindow(start, stop, float(seconds[start]), float(seconds[stop - 1])))
        start = stop
    return windows


def replay(
    windows: Sequence[PastWindow], summarise: Callable[[PastWindow], Summary], reference: Reference, budget_days: float
) -> Iterator[Judged]:
    """Judge windows in turn.

    Args:
        windows: of `cut`.
        summarise: a window's sums.
        reference: of the model, or of usual rows.
        budget_days: days in which one false alarm may be.
    """
    detector, before = Detector(), windows[0].started_at if windows else 0.0
    for window in windows:
        summary = summarise(window)
        seconds = max(window.ended_at - before, 0.0)
        detector, verdict = detector.observe(summary, seconds, reference, budget_days)
        before = window.ended_at
        yield Judged(window, summary, verdict)


def alarms(judged: Sequence[Judged]) -> list[list[Judged]]:
    """Runs of windows that call for attention, each of which would have been one alert."""
    return [list(run) for called, run in groupby(judged, lambda each: bool(each.verdict.causes)) if called]
