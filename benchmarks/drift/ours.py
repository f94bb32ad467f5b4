"""Tidegate as a contestant: the reference as an export builds it, and the detector as the writer drives it.

Windows are sums over rows, so every row is laid out once, in the reference's own places, and a window is drawn by
adding some of them up. Whatever the detector names a cause of (a window, the slow window, a broken contract) is an
alarm here, false or true. Before: `models`; after: `replay` and `delay` ask for alarms.
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.drift.models import Trial
from benchmarks.drift.sources import Index
from exporters.perturb import perturbed
from monitoring.alarm import DAY_SECONDS, Detector
from monitoring.building import build_reference
from monitoring.features import Seen, derive
from monitoring.reference import ARRAYS, CALIBRATION, Document, Reference
from monitoring.summary import Summary

_SECONDS = 3_600.0  # of each window; only its share of the budget matters
_LAID_OUT = 4_000  # rows at once: their terms take 30 MB


class Ours:
    """A detector's reference for one trial, and the trial's rows laid out for it."""

    def __init__(self, trial: Trial, rows: Index) -> None:
        self._reference = _reference(trial)
        self._rows = rows  # increasing
        # A row and its changed copy may be the same text; no stream holds both, so neither repeats the other.
        parts = [derive(trial.records(part), Seen(1)) for part in np.array_split(rows, -(-len(rows) // _LAID_OUT))]
        self._matrix = np.concatenate([self._reference.layout.matrix(part) for part in parts])  # (rows, width)

    def summaries(self, windows: Sequence[Index]) -> list[Summary]:
        """The summary of each window."""
        return [
            Summary(float(len(window)), self._matrix[np.searchsorted(self._rows, window)].sum(axis=0, dtype=np.float64))
            for window in windows
        ]

    def watch(
        self, windows: Sequence[Summary], budget: float, detector: Detector
    ) -> tuple[NDArray[np.bool_], Detector]:
        """In which windows of a stream the detector sees cause for alarm, and what it then remembers.

        Args:
            windows: in order, each as long as the others.
            budget: windows in which one false alarm is allowed.
            detector: as the windows before left it.
        """
        days = budget * _SECONDS / DAY_SECONDS
        alarming = np.zeros(len(windows), dtype=np.bool_)
        for number, window in enumerate(windows):
            detector, verdict = detector.observe(window, _SECONDS, self._reference, days)
            alarming[number] = bool(verdict.causes)
        return alarming, detector


def _reference(trial: Trial) -> Reference:
    """What `tidegate export` would put into the bundle, from the same rows."""
    of, part = trial.universe, trial.split
    truths = [of.truths[row] for row in part.evaluation]
    texts = [of.texts[row] for row in part.evaluation]
    copies = perturbed(list(zip(texts, truths, strict=True)), part.seed)
    answered = trial.model.records([text for text, _ in copies])
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        build_reference(
            trial.model.labels,
            [(record.text, record.row) for record in trial.records(part.training)],
            trial.records(part.evaluation),
            truths,
            [(record, label) for record, (_, label) in zip(answered, copies, strict=True)],
            folder,
        )
        with np.load(folder / ARRAYS) as arrays:
            return Reference(Document.model_validate_json((folder / CALIBRATION).read_bytes()), dict(arrays))
