"""Trends: how a model version's windows went, one after the other and hour by hour, against what was to be expected.

Read from the stored windows: their scores are as they were when each was closed; the slow window and the hours and days
are judged anew from the windows' sums, since sums of merged windows are those of the whole.
Before: `windows`; after: `report`. Limits: the slow window starts empty at the oldest of 60 windows, by when it has
forgotten what came before; hours and days reach back as far as windows are kept, 500 at most.
"""

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any

from sqlalchemy import Connection, Row, select

from monitoring.alarm import Detector, limit_of
from monitoring.drift import score
from monitoring.reference import Reference
from monitoring.standing import Standing
from monitoring.summary import Summary
from monitoring.windows import Key
from tidegate.store import windows as table

SHOWN_WINDOWS = 20
_REPLAYED_WINDOWS = 60  # the slow window remembers some 20
_MERGED_WINDOWS = 500
_PERIOD_SECONDS = {"hour": 3_600.0, "day": 86_400.0}
_SHOWN_PERIODS = 48

Document = dict[str, Any]


def merged(connection: Connection, reference: Reference, window_ids: Sequence[int]) -> Summary:
    """The sums of some windows together."""
    whole = Summary.empty(reference.layout.width)
    known = (table.c.id.in_(window_ids), table.c.sums.is_not(None))  # an older Tidegate kept none
    for sums in connection.scalars(select(table.c.sums).where(*known)):
        summary = Summary.from_bytes(sums)
        whole = whole + summary if len(summary.sums) == len(whole.sums) else whole
    return whole


def known(connection: Connection, key: Key, window_id: int) -> bool:
    """Whether a window of a model version is kept."""
    query = select(table.c.id).where(table.c.id == window_id, table.c.model == key[0], table.c.version == key[1])
    return connection.scalar(query) is not None


def drifted_features(connection: Connection, window_ids: Sequence[int]) -> list[str]:
    """Features that are beyond their threshold in any of some windows, each once."""
    found = connection.scalars(select(table.c.features).where(table.c.id.in_(window_ids)).order_by(table.c.id))
    return list(dict.fromkeys(str(each["name"]) for features in found for each in features if each["drifted"]))


def by_feature(rows: Sequence[Standing]) -> dict[str, list[Document]]:
    """Score and threshold of each feature in each window that was scored."""
    trends: dict[str, list[Document]] = {}
    for row in rows:
        for feature in row.features:
            numbers = {"score": feature["score"], "threshold": feature["threshold"]}
            trends.setdefault(feature["name"], []).append(place(row) | numbers)
    return trends


def surprises(rows: Sequence[Standing]) -> list[Document]:
    """Surprise of each scored window against its limit."""
    return [place(row) | {"surprise": row.surprise, "limit": row.limit} for row in rows if row.limit]


def slow(connection: Connection, key: Key, reference: Reference, budget_days: float) -> list[Document]:
    """Surprise of the slow window after each of the newest closed windows, where it says something."""
    detector = Detector()
    before: float | None = None
    found = []
    for row, summary in _summaries(connection, key, reference, _REPLAYED_WINDOWS):
        seconds = row.ended_at - (row.started_at if before is None else before)
        before = row.ended_at
        detector, verdict = detector.observe(summary, max(seconds, 0.0), reference, budget_days)
        if verdict.slow.status != "insufficient":
            found.append(place(row) | {"surprise": verdict.slow.surprise, "limit": verdict.slow.limit})
    return found[-SHOWN_WINDOWS:]


def periods(connection: Connection, key: Key, reference: Reference, rate: float) -> dict[str, list[Document]]:
    """Hours and days: largest surprise against the limit of a window of that many rows, as a ratio."""
    if not reference.calibrated:
        return {name: [] for name in _PERIOD_SECONDS}
    windows = _summaries(connection, key, reference, _MERGED_WINDOWS)
    return {
        name: [_period(part, reference, rate) for part in _grouped(windows, seconds)][-_SHOWN_PERIODS:]
        for name, seconds in _PERIOD_SECONDS.items()
    }


def place(row: Row[Any] | Standing) -> Document:
    """Which window it is; times are Unix seconds."""
    return {"id": row.id, "started_at": row.started_at, "ended_at": row.ended_at, "rows": row.rows}


def _summaries(connection: Connection, key: Key, reference: Reference, most: int) -> list[tuple[Row[Any], Summary]]:
    """The newest closed windows with their sums, in order of time; those of another layout are left out."""
    of_key = (table.c.model == key[0], table.c.version == key[1])
    closed = select(table).where(*of_key, table.c.open.is_(False), table.c.sums.is_not(None))
    rows = connection.execute(closed.order_by(table.c.ended_at.desc(), table.c.id.desc()).limit(most)).all()
    pairs = [(row, Summary.from_bytes(row.sums)) for row in rows]
    fitting = [pair for pair in pairs if len(pair[1].sums) == reference.layout.width]
    return list(reversed(fitting))


def _grouped(windows: Iterable[tuple[Row[Any], Summary]], seconds: float) -> list[list[tuple[Row[Any], Summary]]]:
    def period(pair: tuple[Row[Any], Summary]) -> int:
        return int(pair[0].ended_at // seconds)

    return [list(part) for _, part in groupby(windows, period)]


def _period(part: Sequence[tuple[Row[Any], Summary]], reference: Reference, rate: float) -> Document:
    whole = Summary.empty(reference.layout.width)
    for _, summary in part:
        whole = whole + summary
    found = score(whole, reference, limit_of(reference, whole.rows, rate))
    return {
        "started_at": part[0][0].started_at,
        "ended_at": part[-1][0].ended_at,
        "rows": whole.rows,
        "ratio": max(found.surprise, 0.0) / found.limit if found.limit else 0.0,
        "worst": found.features[0].name if found.features else None,
    }
