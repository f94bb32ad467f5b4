"""False alarms: drift-free streams replayed, ours against the stated budget, the rivals with what they ship.

A stream holds each row that neither training, reference nor calibration has seen once, in random order, and its
detector starts new; over several splits, since what is drawn of one split shares its chance. A size that the fresh
rows fill less than three times is left out, as two of three windows alarm: only the generator has rows for the
largest. Before: `measures`; after: `tables`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.conditions import drift_conditions
from benchmarks.drift.measures import opened, rate, stream
from benchmarks.drift.models import Case, Trial, trials
from benchmarks.drift.ours import Ours
from benchmarks.drift.results import FalseAlarms, Replay, Verdicts
from benchmarks.drift.rivals.ask import Job, ask
from benchmarks.drift.rivals.catalog import LIBRARIES, RIVALS, Rival
from benchmarks.drift.sources import Index
from benchmarks.drift.trial_rows import Seen, watched
from benchmarks.workspace import Workspace, own_folder
from monitoring.alarm import Detector
from tidegate.cli import console

SIZES = (50, 100, 200, 500, 1_000, 2_000, 5_000)
BUDGETS = (100.0, 720.0)  # windows: an hour each makes one false alarm in 4 days, or in the 30 that ship
_SEED = 1_906


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is replayed.

    Attributes:
        splits: of each case.
        windows: drift-free windows of each size and case, over all splits.
        rival_windows: the same for each rival, some of which take tenths of a second a window.
        sizes: rows of a window.
    """

    splits: int = 10
    windows: int = 10_000
    rival_windows: int = 200
    sizes: Sequence[int] = SIZES


QUICK = Effort(splits=4, windows=400, rival_windows=16, sizes=(50, 200, 1_000))


def measure_ours(case: Case, workspace: Workspace, effort: Effort) -> list[FalseAlarms]:
    """Alarms of drift-free streams of each size at each budget."""
    found: dict[tuple[int, float], list[list[NDArray[np.bool_]]]] = {}
    for trial in trials(case, range(effort.splits), workspace):
        console.say(f"  {case.title}: false alarms, split {trial.split.seed + 1} of {effort.splits}")
        ours = Ours(trial, watched(trial, shifted=False))
        for size in _sizes(trial, effort):
            streams = [ours.summaries(rows) for rows in _streams(trial, size, effort.windows // effort.splits)]
            for budget in BUDGETS:
                alarming = [ours.watch(each, budget, Detector())[0] for each in streams]
                found.setdefault((size, budget), []).append(alarming)
    return [_counted(case, size, budget, splits) for (size, budget), splits in found.items()]


def measure_rivals(case: Case, workspace: Workspace, effort: Effort, environments: Path) -> list[Verdicts]:
    """Shipped verdicts of each rival on drift-free windows of each size."""
    sizes: list[int] = []
    jobs: list[Job] = []
    share = max(1, effort.rival_windows // effort.splits)
    for trial in trials(case, range(effort.splits), workspace):
        chosen = _sizes(trial, effort)
        drawn = [rows for size in chosen for rows in list(chain(*_streams(trial, size, share)))[:share]]
        sizes = [size for size in chosen for _ in range(share)]
        seen = Seen(trial, np.unique(np.concatenate(drawn)))
        windows = [seen.places(rows) for rows in drawn]
        jobs.append(Job(seen.table, seen.places(trial.split.training), seen.places(trial.split.evaluation), windows))
    return [
        verdict
        for rival in RIVALS
        for verdict in _verdicts(case, rival, jobs, np.array(sizes), environments, own_folder(workspace.root / "drift"))
    ]


def _verdicts(
    case: Case,
    rival: Rival,
    jobs: Sequence[Job],
    sizes: Index,
    environments: Path,
    folder: Path,
) -> Iterator[Verdicts]:
    console.say(f"  {case.title}: {rival.title} on {len(jobs) * len(sizes)} drift-free windows")
    said = np.stack([found.verdicts for found in ask(rival, jobs, environments, folder)])  # (splits, windows)
    for size in np.unique(sizes):
        of_size = said[:, sizes == size]
        yield Verdicts(
            case=case.title, rival=rival.name, size=int(size), windows=of_size.size, alarms=int(of_size.sum())
        )


def _sizes(trial: Trial, effort: Effort) -> list[int]:
    return [size for size in effort.sizes if 3 * size <= len(trial.split.fresh)]


def _streams(trial: Trial, size: int, windows: int) -> list[list[Index]]:
    """Streams that hold each fresh row once, as many as it takes for so many windows."""
    rng = np.random.default_rng([_SEED, trial.split.seed, size])
    length = len(trial.split.fresh) // size
    return [stream(rng, trial.split.fresh, size, length) for _ in range(-(-windows // length))]


def _counted(case: Case, size: int, budget: float, splits: Sequence[Sequence[NDArray[np.bool_]]]) -> FalseAlarms:
    alarms = [sum(int(opened(each).sum()) for each in streams) for streams in splits]
    windows = [sum(map(len, streams)) for streams in splits]
    found = rate(alarms, windows, np.random.default_rng(_SEED))
    return FalseAlarms(
        case=case.title,
        size=size,
        budget=budget,
        splits=len(splits),
        windows=sum(windows),
        alarms=sum(alarms),
        alarming=float(np.concatenate([each for streams in splits for each in streams]).mean()),
        ratio=found.value * budget,
        low=found.low * budget,
        high=found.high * budget,
    )


def replay(cases: Sequence[Case], workspace: Workspace, effort: Effort, environments: Path) -> Replay:
    """All of it, case by case."""
    ours: list[FalseAlarms] = []
    rivals: list[Verdicts] = []
    for case in cases:
        ours += measure_ours(case, workspace, effort)
        rivals += measure_rivals(case, workspace, effort, environments)
    return Replay(conditions=drift_conditions(LIBRARIES), ours=tuple(ours), rivals=tuple(rivals))
