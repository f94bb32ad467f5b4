"""The rows of one trial that are ever watched, and the same rows as rivals see them."""

import numpy as np

from benchmarks.drift.columns import Table, tabulate
from benchmarks.drift.models import Trial
from benchmarks.drift.shifts import SHIFTS
from benchmarks.drift.sources import Index, affected


def watched(trial: Trial, *, shifted: bool) -> Index:
    """Fresh rows and, where asked for, those that the shifts bring in; each once, in order."""
    brought = [affected(trial.universe, trial.split, shift) for shift in SHIFTS] if shifted else []
    return np.unique(np.concatenate([trial.split.fresh, *brought]))


class Seen:
    """A trial's rows as a table, and where each stands in it."""

    def __init__(self, trial: Trial, rows: Index) -> None:
        every = np.unique(np.concatenate([trial.split.training, trial.split.evaluation, rows]))
        self.table: Table = tabulate(trial.records(every))
        self._every = every

    def places(self, rows: Index) -> Index:
        """Where rows stand in the table."""
        return np.searchsorted(self._every, rows)
