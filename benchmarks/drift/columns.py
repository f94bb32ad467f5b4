"""Rows as the rivals see them: texts, probabilities, and the numbers that monitoring derives of each record.

The numbers are the product's own, so that a rival is not judged by worse descriptors. Before: `models`; after:
`rivals.ask` hands them over.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from monitoring.features import LABEL, Seen, derive
from tidegate.records import Record


@dataclass(frozen=True, slots=True)
class Table:
    """Some rows, in one order.

    Attributes:
        scores: (rows, classes).
        names: of the derived numbers.
        numbers: (rows, names).
        labels: predicted class of each row, (rows,).
    """

    texts: tuple[str, ...]
    scores: NDArray[np.float64]
    names: tuple[str, ...]
    numbers: NDArray[np.float64]
    labels: NDArray[np.str_]


def tabulate(records: Sequence[Record]) -> Table:
    """The table of some records; numbers that are the same in all of them are left out."""
    rows = derive(records, Seen(1))
    names = tuple(name for name, values in rows.numbers.items() if np.ptp(values) > 0)
    return Table(
        tuple(record.text for record in records),
        rows.scores,
        names,
        np.stack([rows.numbers[name] for name in names], axis=1),
        rows.classes[LABEL].astype(np.str_),
    )
