"""Worth: what the labels that came back tell of a model, and how many choosing them has saved.

Accuracy twice: by the random stream alone, and by all labels that selection chose with a known probability, the two
streams weighed by how many even draws each is worth; and the `meter`. Texts of alerts and callers' reports are left
out: their predictions stand for a window, or for nobody. Of the newest version that has labels.
Before: `answers`; after: `tidegate relabel stats`. Limits: repeats of a text count once, so traffic that repeats what
the model finds hard has a lower accuracy than what is told here by all labels.
"""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, Row, func, select

from monitoring.labels import meter, weighted
from monitoring.labels.budget import SLOT_OF
from monitoring.labels.duplicates import units
from monitoring.labels.items import FINAL
from monitoring.labels.labelled import Check, Measured, measure, read
from monitoring.labels.random_stream import REASON
from monitoring.labels.weighted import Weighted
from tidegate.store import relabel_items as table

_EVER = float("inf")


def worth_of(connection: Connection, model: str) -> dict[str, Any] | None:
    """Accuracy by random labels and by all, and labels saved, as JSON takes them; None while no label came back."""
    came_back = (table.c.model == model, table.c.state.in_(FINAL), table.c.gold.is_(None))
    version = connection.scalar(select(func.max(table.c.version)).where(*came_back))
    if version is None:
        return None
    items = connection.execute(select(table).where(*came_back, table.c.version == version)).all()
    draws = read(connection, model, version, 0.0, _EVER)
    chosen = [
        Check(item.predicted == item.label, None, item.selection_probability)
        for item in items
        if item.reason in SLOT_OF and item.selection_probability
    ]
    return {
        "version": version,
        "random": _document(measure(draws)),
        "weighted": _document(together(draws, chosen)),
        "saved": asdict(_saved(items)),
    }


def together(draws: Sequence[Check], chosen: Sequence[Check]) -> Weighted:
    """Accuracy by two independent streams of labels, each with its shares; either may be empty.

    Each stream counts by the even draws that it is worth (Kish 1965), which does not depend on what its labels say.
    """
    streams = [np.array([1.0 / check.share for check in stream]) for stream in (draws, chosen) if stream]
    if not streams:
        return weighted.estimate(np.zeros(0, dtype=np.bool_), np.zeros(0))
    weights = np.concatenate([_even(weight) * weight / weight.sum() for weight in streams])
    right = np.array([check.right for check in (*draws, *chosen)], dtype=np.bool_)
    return weighted.estimate(right, weights.min() / weights)


def _even(weights: NDArray[np.float64]) -> float:
    return float(weights.sum() ** 2 / (weights**2).sum())


def _saved(items: Sequence[Row[Any]]) -> meter.Saved:
    known = [item for item in items if item.embedding and (item.reason == REASON or item.reason in SLOT_OF)]
    labels = np.array([item.label for item in known], dtype=np.str_)
    random = np.array([item.reason == REASON for item in known], dtype=np.bool_)
    return meter.saved(units([item.embedding for item in known]), labels, random)


def _document(told: Measured | Weighted) -> dict[str, Any]:
    """An accuracy that too few labels tell is null."""
    figures = {"accuracy": told.accuracy, "low": told.low, "high": told.high}
    return {"labels": told.rows, **(figures if told.trusted else dict.fromkeys(figures))}
