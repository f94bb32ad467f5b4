"""Profiles: mergeable sketches of derived columns. The only module that speaks to whylogs.

Before: `features` (frames of numbers and classes); after: `sketches` (live), `building` (export) and the examples
(data-set statistics). Frames, not rows: 5 ms for 50 rows, 11 ms for 5,000. Three faults of whylogs
1.6.4 are walled in here: its type mapper raises on numpy 2 (so we bring our own), its first concurrent
`track` hangs (so one thread only, after `warm_up`), and a profile of free text holds the raw strings (so any
text column but the class label is refused). Its drift verdicts are unsound on small windows and unused.
"""

import logging
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from monitoring.features import LABEL, SCRIPT
from tidegate.errors import InvalidInput, TidegateError


@contextmanager
def _as_if_not_installed(library: str) -> Iterator[None]:
    """Have imports of a library fail, unless it is there already."""
    if library in sys.modules:
        yield
        return
    sys.modules[library] = None  # type: ignore[assignment]  # what makes an import of it fail
    try:
        yield
    finally:
        del sys.modules[library]


# whylogs takes scikit-learn where it finds it, for metrics that are not used here: half of the processor time that
# the monitor takes to start, and 85 MB of its memory.
with _as_if_not_installed("sklearn"):
    from whylogs.core import DatasetProfile, DatasetProfileView, DatasetSchema
    from whylogs.core.datatypes import DataType, Fractional, String, TypeMapper
    from whylogs.core.metrics import StandardMetric
    from whylogs.core.metrics.metrics import Metric, MetricConfig
    from whylogs.core.preprocessing import ColumnProperties
    from whylogs.core.resolvers import Resolver

# It tells each read of a profile at INFO, where it would drown what servers have to say.
logging.getLogger("whylogs").setLevel(logging.WARNING)

Profile: TypeAlias = DatasetProfileView

# KLL with k=1024 is exact up to about 1,000 values and within 0.4 % of rank beyond (Karnin, Lang, Liberty
# 2016); whylogs' default of 256 is within 1.3 %, which is a visible part of a threshold at 5,000 rows.
_CONFIG = MetricConfig(kll_k=1024, max_frequent_item_size=1024)


_CLASSES = (LABEL, SCRIPT)
_WARMING = threading.Lock()
_CHUNK_ROWS = 10_000  # a column of them is one call that holds the interpreter: 0.5 ms of numbers, 1.5 ms of classes


class _Columns(TypeMapper):  # type: ignore[misc]  # whylogs ships no types
    """Numbers are numbers, the rest is text; whylogs' own mapper needs `np.unicode_`, which numpy 2 removed."""

    def __call__(self, dtype_or_type: Any) -> DataType:
        return Fractional() if pd.api.types.is_numeric_dtype(dtype_or_type) else String()


class _Sketches(Resolver):  # type: ignore[misc]
    """Counts for every column; quantiles for numbers; frequent items for the class label."""

    def resolve(self, name: str, why_type: DataType, column_schema: Any) -> dict[str, Metric]:
        del name
        content = StandardMetric.distribution if isinstance(why_type, Fractional) else StandardMetric.frequent_items
        metrics = (StandardMetric.counts, StandardMetric.types, content)
        return {metric.name: metric.zero(column_schema.cfg) for metric in metrics}


def profile_frame(frame: pd.DataFrame) -> Profile:
    """Profile a frame of numeric columns and, if there are any, classes in columns named `label` and `script`.

    Raises:
        InvalidInput: another column holds text; a profile would keep its raw strings.
    """
    checked = _checked(frame)
    # Complete columns are told so: looking for gaps value by value is most of what whylogs spends on a frame.
    complete = [name for name in checked.columns if name not in _CLASSES and not checked[name].hasnans]
    schema = DatasetSchema(
        types=dict.fromkeys(complete, (float, ColumnProperties.homogeneous)),
        type_mapper=_Columns(),
        resolvers=_Sketches(),
        default_configs=_CONFIG,
    )
    profile = DatasetProfile(schema)
    for start in range(0, len(checked), _CHUNK_ROWS):
        profile.track(pandas=checked.iloc[start : start + _CHUNK_ROWS])
    return profile.view()


def empty() -> Profile:
    """A profile that has seen nothing."""
    return profile_frame(pd.DataFrame())


def merge(first: Profile, second: Profile) -> Profile:
    """Both profiles as one; columns that only one of them has are kept."""
    return first.merge(second)


def serialize(profile: Profile) -> bytes:
    """The profile in whylogs' own file format, which `whylogs.DatasetProfileView.deserialize` reads."""
    content: bytes = profile.serialize()
    return content


def deserialize(content: bytes) -> Profile:
    """The profile that `serialize` wrote.

    Raises:
        TidegateError: the bytes are not a profile.
    """
    try:
        return DatasetProfileView.deserialize(content)
    except Exception as error:  # whylogs lets struct, protobuf, index and its own errors through
        raise TidegateError(
            f"{len(content)} bytes are not a whylogs profile ({type(error).__name__}: {error}); "
            "export the bundle again, or delete the window"
        ) from error


def row_count(profile: Profile, column: str = LABEL) -> int:
    """Rows that the profile has seen in a column, 0 when it has no such column."""
    found = profile.get_column(column)
    return int(found.get_metric("counts").n.value) if found else 0


def cumulative_shares(profile: Profile, column: str, edges: Sequence[float]) -> NDArray[np.float64]:
    """Share of values below each edge, shape (len(edges),), in [0, 1].

    Args:
        profile: of at least one row.
        column: a numeric column that it has.
        edges: increasing.
    """
    if not len(edges):
        return np.zeros(0)
    sketch = _distribution(profile, column).kll.value
    return np.asarray(sketch.get_cdf(list(edges))[:-1], dtype=np.float64)


def mean(profile: Profile, column: str) -> float:
    """Mean of a numeric column."""
    return float(_distribution(profile, column).avg)


def category_counts(profile: Profile, column: str = LABEL) -> dict[str, int]:
    """Rows per class; exact up to some 700 classes, estimated beyond (whylogs' frequent-items sketch)."""
    found = profile.get_column(column)
    if found is None:
        return {}
    return {str(item.value): int(item.est) for item in found.get_metric("frequent_items").strings}


def warm_up() -> None:
    """Use every code path once, so that no two threads meet whylogs' lazy initialisation."""
    frame = pd.DataFrame({"number": [0.0, 1.0], LABEL: pd.Series(["a", "b"], dtype="str")})
    with _WARMING:
        profile = deserialize(serialize(merge(profile_frame(frame), profile_frame(frame))))
        cumulative_shares(profile, "number", [0.5])
        category_counts(profile)


def _checked(frame: pd.DataFrame) -> pd.DataFrame:
    for name in frame.columns:
        if name not in _CLASSES and not pd.api.types.is_numeric_dtype(frame[name].dtype):
            raise InvalidInput(
                f"column {name!r} is not numeric, and a profile would keep its raw values; "
                f"derive numbers from it (monitoring.features), or name it {LABEL!r} if it holds classes"
            )
    return frame.astype({name: "str" if name in _CLASSES else "float64" for name in frame.columns})


def _distribution(profile: Profile, column: str) -> Any:
    found = profile.get_column(column)
    if found is None:
        raise TidegateError(f"the profile has no column {column!r}; it was written by another version of Tidegate")
    return found.get_metric("distribution")
