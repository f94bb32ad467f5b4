"""Selection for alerts: which inputs of the windows at fault a person should look at, beside the daily budget.

From the window that lies furthest from the reference first (the first to drift is often half of the old kind), half of
them those that pull it away from the reference, half those that the model is unsure of: `picks` draws both. Texts that
repeat what the queue or another one says come last: a bag of words sees no difference between texts whose words it
does not know. None that is or was on the queue, and none of embeddings, which have no label to correct.
Before: `alerts`; after: `relabel`. (Not named `select`: the standard library has that.)
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from sqlalchemy import Connection, Row, select

from monitoring.labels import picks, relabel
from monitoring.labels.candidates import pool_of, sample, unknown
from monitoring.labels.duplicates import repeats, units
from monitoring.labels.policies import Pick
from tidegate.store import records

REASON = "drift"


def enqueue_drifted(
    connection: Connection,
    window_ids: Sequence[int],
    most: int,
    at: float,
    *,
    alert_id: int | None = None,
    double_share: float = 0.0,
) -> int:
    """Put distinct inputs of some windows on the relabel queue.

    Args:
        connection: in a transaction.
        window_ids: the windows that drifted, of one model; the next one is used when one has no more to give.
        most: how many items to add; texts that the queue knows do not count.
        at: Unix time in seconds.
        alert_id: of the alert that they are to explain.
        double_share: of them that two annotators are asked about.

    Returns:
        How many were added.
    """
    added = 0
    for window_id in window_ids:
        if added >= most:
            break
        for record, pick in _of_window(connection, window_id, most - added):
            item_id = relabel.enqueue(
                connection,
                record,
                reason=REASON,
                at=at,
                probability=pick.probability,
                score=pick.score,
                alert_id=alert_id,
                double_share=double_share,
            )
            added += item_id is not None
    return added


def _of_window(connection: Connection, window_id: int, most: int) -> list[tuple[Row[Any], Pick]]:
    """Up to so many records of a window that the queue does not know, and how each was picked."""
    rng = np.random.default_rng(window_id)
    of_window = select(records.c.sequence).where(records.c.window_id == window_id, records.c.label != "")
    drawn = sample(connection, list(connection.scalars(of_window)), rng)
    if not drawn:
        return []
    rows, known_texts, known = unknown(connection, drawn[0].model, drawn)
    vectors = units([row.embedding for row in rows])
    again = repeats([row.text for row in rows], vectors, known_texts, known)
    chosen: list[tuple[str, Pick]] = []
    for part in (np.flatnonzero(~again), np.flatnonzero(again)):
        found = [rows[place] for place in part]
        picked = _pick(found, most - len(chosen), window_id)
        chosen += [(found[pick.row].id, pick) for pick in picked]
    ids = [prediction_id for prediction_id, _ in chosen]
    whole = {row.id: row for row in connection.execute(select(records).where(records.c.id.in_(ids)))}
    return [(whole[prediction_id], pick) for prediction_id, pick in chosen]


def _pick(rows: Sequence[Row[Any]], most: int, seed: int) -> list[Pick]:
    """By margin and witness alone: the writers' turn that closes a window has no time for what needs embeddings."""
    if not rows or most <= 0:
        return []
    nothing = np.zeros((len(rows), 0), dtype=np.float32)
    return picks.fill(pool_of(rows, nothing, nothing[:0]), {"witness": most // 2, "margin": most - most // 2}, (), seed)
