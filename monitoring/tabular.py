"""Tables without texts: numeric and categorical columns as derived rows, and a reference from a table of usual rows.

Numbers are watched by their distribution, categories by their shares, both by how many values are missing (a column of
its own each) and categories also by how many the reference does not know (`contracts`). Half of the usual rows become
the reference, the other half says how far drift-free rows lie from it. Before: a table; after: `backfill`.
Limits: rows are taken as independent of each other; columns of dates, or with more than 200 categories (names, ids),
are left out, since their shares say nothing.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from monitoring.building import reference_of
from monitoring.calibration import MIN_DOCUMENTS
from monitoring.contracts import MISSING
from monitoring.features import Rows
from monitoring.reference import Reference
from tidegate.errors import UsageError

MOST_CATEGORIES = 200
_ABSENT = "(missing)"
_SEED = 20_261


@dataclass(frozen=True, slots=True)
class Columns:
    """Which columns of a table are watched.

    Attributes:
        numbers: name to the median of the usual rows, which stands for a missing value in the distribution.
        classes: names of the categorical ones.
        left_out: those that are not watched, each with the reason.
    """

    numbers: dict[str, float]
    classes: tuple[str, ...]
    left_out: tuple[str, ...]

    @classmethod
    def of(cls, table: pd.DataFrame) -> "Columns":
        """The columns of a table of usual rows."""
        numbers: dict[str, float] = {}
        classes: list[str] = []
        left_out: list[str] = []
        for name, column in table.items():
            kinds = column.nunique()
            if pd.api.types.is_bool_dtype(column) or not pd.api.types.is_numeric_dtype(column):
                if pd.api.types.is_datetime64_any_dtype(column) or not 0 < kinds <= MOST_CATEGORIES:
                    left_out.append(f"{name} ({kinds:,} different values)")
                else:
                    classes.append(str(name))
            elif kinds:
                numbers[str(name)] = float(_numbers(column).median())
            else:
                left_out.append(f"{name} (empty)")
        return cls(numbers, tuple(classes), tuple(left_out))

    def rows(self, table: pd.DataFrame) -> Rows:
        """The derived rows of a table.

        Raises:
            UsageError: a watched column is not there, or a number is none.
        """
        if absent := {*self.numbers, *self.classes} - set(map(str, table.columns)):
            raise UsageError(f"the table lacks {', '.join(sorted(absent))}, which the reference has")
        numbers: dict[str, NDArray[np.float64]] = {}
        for name in (*self.numbers, *self.classes):
            numbers[name + MISSING] = table[name].isna().to_numpy().astype(np.float64)
        for name, median in self.numbers.items():
            numbers[name] = _numbers(table[name]).fillna(median).to_numpy(np.float64)
        classes = {name: _categories(table[name]) for name in self.classes}
        return Rows(
            numbers=numbers,
            classes=classes,
            scores=np.zeros((len(table), 0)),
            tokens=np.zeros(0, dtype=np.int64),
            counts=np.zeros(len(table), dtype=np.int64),
            embedding=np.zeros((len(table), 0), dtype=np.float32),
        )


def tabular_reference(table: pd.DataFrame, columns: Columns) -> Reference:
    """A reference from usual rows.

    Raises:
        UsageError: too few rows to know what is normal, or no column to watch.
    """
    if len(table) < 2 * MIN_DOCUMENTS:
        raise UsageError(
            f"the reference has {len(table)} rows; {2 * MIN_DOCUMENTS} are the least that say what is normal"
        )
    if not columns.numbers and not columns.classes:
        raise UsageError(f"the reference has no column to watch: {'; '.join(columns.left_out)}")
    order = np.random.default_rng(_SEED).permutation(len(table))
    known, held_out = (columns.rows(table.iloc[np.sort(half)]) for half in np.array_split(order, 2))
    return reference_of(held_out, (), dict(known.numbers), dict(known.classes))


def _numbers(column: pd.Series) -> pd.Series:
    numbers = pd.to_numeric(column, errors="coerce").astype(np.float64)
    if bad := column[numbers.isna() & column.notna()].tolist():
        raise UsageError(f"column {column.name!r} holds {bad[0]!r}, and in the reference it holds numbers")
    return numbers.replace([np.inf, -np.inf], np.nan)


def _categories(column: pd.Series) -> NDArray[np.object_]:
    return column.map(str, na_action="ignore").astype(object).where(column.notna(), _ABSENT).to_numpy(object)
