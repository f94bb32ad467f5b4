"""History: windows of past inputs in the state database, with their own times, beside those that were live.

What was found in them stands there as alerts that are over: nobody is told of the past as if it were news, and neither
the open window nor the live detector learns of it. No text of theirs is kept, since the file has them.
Before: `backfill`; after: `report`, which goes by time. Limits: of windows, the `keep_windows` that were stored last
are kept when the next live one closes, whatever their time.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, Engine, insert, select

from monitoring import windows
from monitoring.backfill import Judged, alarms
from monitoring.windows import Key
from tidegate.store import alerts as alerts_table
from tidegate.store import windows as windows_table

_BY = "backfill"


def keep(database: Engine, key: Key, judged: Sequence[Judged]) -> tuple[int, int]:
    """Store judged windows, in order of time; those that are there already stay as they are.

    Returns:
        How many windows and how many alerts were stored.
    """
    with database.begin() as connection:
        fresh = [each for each in judged if not _known(connection, key, each)]
        ids = {each.window.start: _store(connection, key, each) for each in fresh}
        found = [run for run in alarms(judged) if run[0].window.start in ids]
        for run in found:
            _alert(connection, key, run, [ids[each.window.start] for each in run if each.window.start in ids])
    return len(fresh), len(found)


def _known(connection: Connection, key: Key, judged: Judged) -> bool:
    table, window = windows_table, judged.window
    same = (table.c.started_at == window.started_at, table.c.ended_at == window.ended_at)
    of_key = (table.c.model == key[0], table.c.version == key[1], table.c.rows == window.stop - window.start)
    return connection.scalar(select(table.c.id).where(*of_key, *same).limit(1)) is not None


def _store(connection: Connection, key: Key, judged: Judged) -> int:
    window, summary = judged.window, judged.summary
    before = windows.begin(connection, key, window.started_at, len(summary.sums))
    after = replace(before, ended_at=window.ended_at, rows=window.stop - window.start, summary=summary)
    windows.save(connection, after, judged.verdict)
    return before.id


def _alert(connection: Connection, key: Key, run: Sequence[Judged], window_ids: list[int]) -> None:
    worst = max(run, key=lambda each: each.verdict.window.surprise)
    drift = any(each.verdict.alarm for each in run)
    messages = [breach.message for breach in worst.verdict.breaches]
    features = [f for f in worst.verdict.window.features if f.drifted]
    named = ", ".join([feature.name for feature in features] or messages or ["the slow average"])
    values: dict[str, Any] = {
        "model": key[0],
        "version": key[1],
        "kind": "drift" if drift else "contract",
        "severity": "ticket" if drift else "page",
        "event": "resolved",
        "window_id": window_ids[-1],
        "window_ids": window_ids,
        "opened_at": run[0].window.ended_at,
        "last_seen_at": run[-1].window.ended_at,
        "resolved_at": run[-1].window.ended_at,
        "resolved_by": _BY,
        "occurrences": len(run),
        "message": f"{key[0]}/{key[1]}: past inputs drifted in {len(run)} windows: {named}",
        "features": [{"name": f.name, "score": f.score, "threshold": f.threshold} for f in features],
    }
    connection.execute(insert(alerts_table).values(**values))
