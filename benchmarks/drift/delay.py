"""Rows until the alarm: streams that shift, everybody at the same measured false-alarm rate per row.

Ours runs first, at one window size, on drift-free streams: its measured alarms per row are the rate that each rival's
threshold is then set to, at each of several window sizes, from drift-free windows of its own. A rival competes with
the size that is best for it over all shifts of a case. An alarm that has not come after `LIMIT` rows counts as one at
`LIMIT`. Before: `measures`; after: `tables`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
from numpy.typing import NDArray

from benchmarks.conditions import drift_conditions
from benchmarks.drift.measures import CALM_WINDOWS, opened, rows_until, stream, streams_of, threshold_at, waited
from benchmarks.drift.models import Case, Trial, trials
from benchmarks.drift.ours import Ours
from benchmarks.drift.results import Contest, Wait
from benchmarks.drift.rivals.ask import Job, ask
from benchmarks.drift.rivals.catalog import OURS, Rival
from benchmarks.drift.shifts import SHIFTS, Shift
from benchmarks.drift.sources import affected
from benchmarks.drift.trial_rows import Seen, watched
from benchmarks.workspace import Workspace, own_folder
from monitoring.alarm import Detector
from tidegate.cli import console

LIMIT = 2_000  # rows after the change; as many as are fresh, so that no stream shows one twice
BUDGET_ROWS = 20_000  # one false alarm in so many rows: strict enough to matter, lax enough to be measured of rivals
_WARM_WINDOWS = 5
_SEED = 2_718


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is drawn.

    Attributes:
        splits: of each case.
        streams: of ours, for each shift and split.
        calm_streams: drift-free streams of ours, of `LIMIT` rows, for each split.
        our_sizes: window sizes of ours; the first is the one that is compared.
        sizes: window sizes of the rivals.
        calm_rows: drift-free rows of each rival and size, over all splits.
        shifted_windows: windows of each rival, size, shift and split.
    """

    splits: int = 5
    streams: int = 20
    calm_streams: int = 40
    our_sizes: Sequence[int] = (100, 50, 200)
    sizes: Sequence[int] = (50, 100, 200, 500)
    calm_rows: int = 40_000
    shifted_windows: int = 8


QUICK = Effort(2, 4, 4, (100, 50), (50, 100), 8_000, 4)

Statistics = dict[tuple[int, str], list[NDArray[np.float64]]]  # (size, shift or "") -> of each split, (windows,)


def contest(case: Case, workspace: Workspace, effort: Effort, environments: Path, rivals: Sequence[Rival]) -> Contest:
    """Everybody on one case."""
    chosen = trials(case, range(effort.splits), workspace)
    rates, waits = _ours(case, chosen, effort)
    compared = max(rates[effort.our_sizes[0]], 0.5 / (effort.splits * effort.calm_streams * LIMIT))
    jobs, keys = _jobs(chosen, effort)
    sizes: dict[str, int] = {OURS: effort.our_sizes[0]}
    for rival in rivals:
        console.say(f"  {case.title}: {rival.title} on {sum(len(job.windows) for job in jobs)} windows")
        found = ask(rival, jobs, environments, own_folder(workspace.root / "drift"))
        statistics = _collect([each.statistics for each in found], keys)
        theirs = _rival(rival, statistics, compared, effort)
        sizes[rival.name] = _best(theirs)
        waits += theirs
    return Contest(
        conditions=drift_conditions([rival.library for rival in rivals]),
        case=case.title,
        alarms_per_row=rates,
        best_sizes=sizes,
        limit=LIMIT,
        budget_rows=BUDGET_ROWS,
        waits=tuple(waits),
    )


def _ours(case: Case, chosen: Sequence[Trial], effort: Effort) -> tuple[dict[int, float], list[Wait]]:
    """Measured false alarms per row at each size, and how long each shift takes."""
    calm: dict[int, list[int]] = {size: [] for size in effort.our_sizes}
    rows: dict[tuple[int, str], list[float]] = {}
    for trial in chosen:
        console.say(f"  {case.title}: rows until the alarm, split {trial.split.seed + 1} of {len(chosen)}")
        ours = Ours(trial, watched(trial, shifted=True))
        for size in effort.our_sizes:
            budget = BUDGET_ROWS / size
            rng = np.random.default_rng([_SEED, trial.split.seed, size])
            for _ in range(effort.calm_streams):
                quiet = ours.summaries(stream(rng, trial.split.fresh, size, LIMIT // size))
                calm[size].append(int(opened(ours.watch(quiet, budget, Detector())[0]).sum()))
            for shift in SHIFTS:
                rows.setdefault((size, shift.name), []).extend(_streams(ours, trial, shift, size, rng, effort.streams))
    rates = {size: sum(alarms) / (len(alarms) * (LIMIT // size) * size) for size, alarms in calm.items()}
    return rates, [_wait(OURS, size, shift, values) for (size, shift), values in rows.items()]


def _streams(ours: Ours, trial: Trial, shift: Shift, size: int, rng: np.random.Generator, streams: int) -> list[float]:
    """Rows until the alarm of some streams that turn from drift-free to shifted."""
    fresh, brought, found = trial.split.fresh, affected(trial.universe, trial.split, shift), []
    for _ in range(streams):
        before = ours.summaries(stream(rng, fresh, size, _WARM_WINDOWS))
        after = ours.summaries(stream(rng, fresh, size, LIMIT // size, brought, shift.share))
        alarming, detector = ours.watch(before, BUDGET_ROWS / size, Detector())
        if alarming[-CALM_WINDOWS:].any():  # a false alarm is open: somebody sees to it before the change
            detector = detector.renewed()
        found.append(rows_until(ours.watch(after, BUDGET_ROWS / size, detector)[0], size))
    return found


def _jobs(chosen: Sequence[Trial], effort: Effort) -> tuple[list[Job], list[tuple[int, str]]]:
    """One job a split, and what each of its windows is: its size and shift, "" for none."""
    jobs: list[Job] = []
    keys: list[tuple[int, str]] = []
    for trial in chosen:
        rng = np.random.default_rng([_SEED, trial.split.seed])
        fresh, keys, windows = trial.split.fresh, [], []
        for size in effort.sizes:
            calm = effort.calm_rows // size // effort.splits
            drawn = {"": stream(rng, fresh, size, calm)}
            for shift in SHIFTS:
                brought = affected(trial.universe, trial.split, shift)
                drawn[shift.name] = stream(rng, fresh, size, effort.shifted_windows, brought, shift.share)
            windows += [rows for of_shift in drawn.values() for rows in of_shift]
            keys += [(size, name) for name, of_shift in drawn.items() for _ in of_shift]
        seen = Seen(trial, watched(trial, shifted=True))
        places = [seen.places(rows) for rows in windows]
        jobs.append(Job(seen.table, seen.places(trial.split.training), seen.places(trial.split.evaluation), places))
    return jobs, keys


def _collect(found: Sequence[NDArray[np.float64]], keys: Sequence[tuple[int, str]]) -> Statistics:
    places: dict[tuple[int, str], list[int]] = {}
    for place, key in enumerate(keys):
        places.setdefault(key, []).append(place)
    return {key: [split[chosen] for split in found] for key, chosen in places.items()}


def _rival(rival: Rival, statistics: Statistics, alarms_per_row: float, effort: Effort) -> list[Wait]:
    """Waits of one rival at each size, its threshold set to ours' measured rate."""
    waits = []
    for size in effort.sizes:
        threshold = threshold_at(statistics[size, ""], alarms_per_row * size)
        rng = np.random.default_rng([_SEED, size])
        for shift in SHIFTS:
            rows = streams_of(statistics[size, shift.name], threshold, size, LIMIT, rng)
            waits.append(_wait(rival.name, size, shift.name, rows))
    return waits


def _wait(contestant: str, size: int, shift: str, rows: Sequence[float]) -> Wait:
    found = waited(rows, LIMIT)
    return Wait(
        contestant=contestant, size=size, shift=shift, median=found.median, low=found.low, high=found.high,
        never=found.never, streams=len(rows),
    )  # fmt: skip


def _best(waits: Sequence[Wait]) -> int:
    """The size with the lowest median over the shifts; of equals, that with the lower mean."""

    def cost(size: int) -> tuple[float, float]:
        medians = [wait.median for wait in waits if wait.size == size]
        return median(medians), sum(medians)

    return min({wait.size for wait in waits}, key=cost)
