"""What the rivals' processes have in common: read the job, watch every window, write what was found.

A job is a folder: `texts.json` (the rows' texts), `rows.npz` (scores (rows, classes), columns (rows, names), labels),
`windows.npz` (training and reference rows; rows of all windows end to end, and where each ends). The answer is
`NAME.npz` in it: a statistic and a verdict a window. Progress goes to stderr.
"""

import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

_TELL_SECONDS = 20.0


@dataclass(frozen=True)
class Rows:
    """Some rows as rivals see them.

    Attributes:
        texts: one string a row.
        scores: probability per class, (rows, classes).
        columns: name to values (rows,) of a derived number.
        labels: predicted class of each row.
    """

    texts: Any
    scores: Any
    columns: Any
    labels: Any


Watch = Callable[[Rows], "tuple[float, bool]"]


def main(fit: Callable[[Rows, Rows], Watch]) -> None:
    """Answer every job that the command line names.

    Args:
        fit: makes a watcher from training rows and reference rows.
    """
    name, *folders = sys.argv[1:]
    for number, folder in enumerate(map(Path, folders), 1):
        texts = np.array(json.loads((folder / "texts.json").read_text()), dtype=object)
        with np.load(folder / "rows.npz") as file:
            scores, columns, names, labels = (file[part] for part in ("scores", "columns", "names", "labels"))

        def take(index: Any) -> Rows:
            numbers = {str(name): columns[index, place] for place, name in enumerate(names)}  # noqa: B023
            return Rows(list(texts[index]), scores[index], numbers, list(labels[index]))  # noqa: B023

        with np.load(folder / "windows.npz") as file:
            watch = fit(take(file["training"]), take(file["reference"]))
            windows = np.split(file["rows"], file["ends"][:-1])
        found = _watch_all(watch, [lambda w=w: take(w) for w in windows], f"{name}, job {number} of {len(folders)}")
        np.savez(folder / f"{name}.npz", statistics=[s for s, _ in found], verdicts=[v for _, v in found])


def _watch_all(watch: Watch, windows: Any, title: str) -> Any:
    found, told = [], time.monotonic()
    for number, window in enumerate(windows):
        found.append(watch(window()))
        if time.monotonic() - told > _TELL_SECONDS:
            told = time.monotonic()
            print(f"    {title}: {number + 1} of {len(windows)} windows", file=sys.stderr, flush=True)  # noqa: T201
    return found


def surprise(p: float) -> float:
    """-log10 of a p-value; 300 where it is too small to tell."""
    return float(-np.log10(max(p, 1e-300)))
