"""Asks a rival about many windows: writes jobs, starts its process, reads what it found.

Before: `measures` draws windows; every contestant gets the same ones. Answers are kept beside the jobs in the work
folder, named by all that they depend on, so that a run that was stopped goes on where it was.
"""

import hashlib
import json
import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.drift.columns import Table
from benchmarks.drift.rivals.catalog import Rival
from benchmarks.environments import interpreter
from tidegate.environments import CHECKOUT
from tidegate.errors import TidegateError

Index = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Job:
    """Windows over one table.

    Attributes:
        training, reference: rows that rivals may compare with.
        windows: rows of each window.
    """

    table: Table
    training: Index
    reference: Index
    windows: Sequence[Index]


@dataclass(frozen=True, slots=True)
class Found:
    """What a rival said of each window: its statistic (windows,), larger for more drift, and its own verdict."""

    statistics: NDArray[np.float64]
    verdicts: NDArray[np.bool_]


def ask(rival: Rival, jobs: Sequence[Job], environments: Path, folder: Path) -> list[Found]:
    """What a rival finds in every job, in order.

    Raises:
        EnvironmentMissing: its environment cannot be made.
        TidegateError: it failed.
    """
    places = [_write(job, folder) for job in jobs]
    left = [place for place in places if not (place / f"{rival.name}.npz").is_file()]
    if left:
        _run(rival, left, interpreter(rival.library, environments))
    return [_read(place / f"{rival.name}.npz") for place in places]


def _write(job: Job, folder: Path) -> Path:
    rows = np.concatenate(job.windows)
    ends = np.cumsum([len(window) for window in job.windows])
    digest = hashlib.sha256("\0".join(job.table.texts).encode())
    for array in (job.table.scores, job.table.numbers, job.training, job.reference, rows, ends):
        digest.update(np.ascontiguousarray(array).tobytes())
    place = folder / digest.hexdigest()[:16]
    if not (place / "windows.npz").is_file():
        place.mkdir(parents=True, exist_ok=True)
        table = job.table
        (place / "texts.json").write_text(json.dumps(table.texts))
        np.savez(place / "rows.npz", scores=table.scores, columns=table.numbers, names=table.names, labels=table.labels)
        np.savez(place / "windows.npz", training=job.training, reference=job.reference, rows=rows, ends=ends)
    return place


def _run(rival: Rival, places: Sequence[Path], python: Path) -> None:
    """One process for all jobs; libraries take seconds to import."""
    command = [str(python), "-m", rival.module, rival.name, *(str(place.absolute()) for place in places)]
    quiet = {"DO_NOT_TRACK": "1", "WHYLOGS_NO_ANALYTICS": "true", "OMP_NUM_THREADS": "1"}
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "TIDEGATE_"))}
    done = subprocess.run(command, cwd=CHECKOUT, env=inherited | quiet | {"PYTHONPATH": str(CHECKOUT)}, check=False)
    if done.returncode:
        raise TidegateError(f"{rival.title} ended with exit code {done.returncode}; its own message is above")


def _read(file: Path) -> Found:
    with np.load(file) as found:
        return Found(found["statistics"].astype(np.float64), found["verdicts"].astype(np.bool_))
