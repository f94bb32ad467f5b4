"""Past inputs from a file: CSV, JSON lines or Parquet, as texts or as columns, with the time of each row.

Before: `tidegate monitor --backfill`; after: windows that are scored as live ones are. Rows are put into the order of
their time. Limits: whole files in memory; Parquet needs pyarrow, which Tidegate does not install.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import orjson
import pandas as pd
from numpy.typing import NDArray

from tidegate.errors import UsageError

_LATEST_SECONDS = 1e11  # the year 5138: larger numbers are milliseconds


@dataclass(frozen=True, slots=True)
class PastInputs:
    """Rows in order of time; `seconds` is float64 (rows,), Unix time, or None where the file says nothing of it."""

    frame: pd.DataFrame
    seconds: NDArray[np.float64] | None

    def texts(self, column: str) -> list[str]:
        """The texts of a column.

        Raises:
            UsageError: there is no such column.
        """
        return [str(value) for value in _column(self.frame, column)]


def read_past(file: Path, time_column: str | None, *, as_text: bool) -> PastInputs:
    """Read a file of past inputs.

    Args:
        file: .csv, .jsonl (or .ndjson), or .parquet.
        time_column: Unix seconds or ISO 8601; None where rows have no time and stand in their order.
        as_text: take every value as it is written ("NA" and "" are texts), not as a number where it is one.

    Raises:
        UsageError: the file cannot be read, is empty, or a row has no time.
    """
    frame = _read(file, as_text=as_text)
    if frame.empty:
        raise UsageError(f"{file} has no rows")
    if time_column is None:
        return PastInputs(frame, None)
    seconds = _seconds(_column(frame, time_column), file, time_column)
    order = np.argsort(seconds, kind="stable")
    return PastInputs(frame.drop(columns=time_column).iloc[order], seconds[order])


def _read(file: Path, *, as_text: bool) -> pd.DataFrame:
    suffix = file.suffix.lower()
    try:
        if suffix == ".csv":
            return pd.read_csv(file, dtype=str, keep_default_na=False) if as_text else pd.read_csv(file)
        if suffix in (".jsonl", ".ndjson"):
            return pd.DataFrame(orjson.loads(line) for line in file.read_bytes().splitlines() if line.strip())
        if suffix == ".parquet":
            return pd.read_parquet(file)
    except ImportError:
        raise UsageError(f"reading {file} needs pyarrow: pip install pyarrow, or write the file as CSV") from None
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot read {file}: {str(error).splitlines()[0]}") from None
    raise UsageError(f"{file} is none of .csv, .jsonl and .parquet; write it as one of them")


def _column(frame: pd.DataFrame, name: str) -> pd.Series:
    if name not in frame.columns:
        raise UsageError(f"the file has no column {name!r}; it has: {', '.join(map(str, frame.columns))}")
    return frame[name]


def _seconds(times: pd.Series, file: Path, column: str) -> NDArray[np.float64]:
    """Unix seconds of each row."""
    numbers = pd.to_numeric(times, errors="coerce").to_numpy(np.float64)
    if pd.api.types.is_datetime64_any_dtype(times) or np.isnan(numbers).any():
        parsed = pd.to_datetime(times, utc=True, format="ISO8601", errors="coerce")
        numbers = (parsed - pd.Timestamp(0, tz="UTC")).dt.total_seconds().to_numpy(np.float64)
    if np.isnan(numbers).any():
        row = int(np.flatnonzero(np.isnan(numbers))[0])
        raise UsageError(
            f"{file}, row {row + 1}: {column} is no time: {times.iloc[row]!r}; write Unix seconds or ISO 8601"
        )
    if numbers.max() > _LATEST_SECONDS:
        raise UsageError(f"{file}: {column} holds {numbers.max():.0f}, no Unix seconds; divide milliseconds by 1,000")
    return numbers
