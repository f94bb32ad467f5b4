"""The random stream: a few predictions a day, drawn without regard to anything, whose labels tell the true accuracy.

Whether a record is drawn follows from a hash of its id and the share that is due now, so several workers agree and
nobody can choose; the share is kept with each draw, for it changes with the traffic. Drawn texts go on the relabel
queue; one that is there already is labelled once and counts for each time it was drawn.
Before: `writer`, once the records are written; after: `relabel`, then `labelled`. Limits: when traffic jumps, the
share follows within the day, so such a day may bring a multiple of its labels (a hundredfold jump: five times).
"""

import hashlib
from collections.abc import Sequence

from sqlalchemy import Connection, func, select

from monitoring.labels import items, relabel
from monitoring.tables import insert_new
from tidegate.store import random_draws, records, relabel_items, windows

REASON = "random"
DAY_SECONDS = 86_400.0
_LEAST_SECONDS = 3_600.0  # of traffic to go by: the first minutes of a model say little about its day


def draw(
    connection: Connection,
    ids: Sequence[str],
    chances: Sequence[float] | None,
    model: str,
    per_day: int,
    at: float,
    double_share: float = 0.0,
) -> int:
    """Draw from records just written, and put what was drawn on the relabel queue.

    Args:
        connection: in the transaction that wrote the records and their window.
        ids: prediction ids of the records, of one model version.
        chances: of being right, as estimated, one a record; None where nothing estimates them.
        model: theirs.
        per_day: how many to draw a day, about; 0 draws none.
        at: Unix time in seconds.
        double_share: of them that two annotators are asked about.

    Returns:
        How many were drawn.
    """
    share = due(connection, model, per_day, at)
    estimated = dict(zip(ids, chances, strict=True)) if chances is not None else {}
    drawn = [one for one in ids if place(one) < share]
    if not drawn:
        return 0
    for record in connection.execute(select(records).where(records.c.id.in_(drawn), records.c.label != "")).all():
        item = (
            relabel.enqueue(connection, record, reason=REASON, at=at, probability=share, double_share=double_share)
            or connection.execute(
                select(relabel_items.c.id).where(
                    relabel_items.c.model == model, relabel_items.c.text_digest == items.digest(record.text)
                )
            ).scalar_one()
        )
        values = {
            "prediction_id": record.id,
            "model": model,
            "version": record.version,
            "item_id": item,
            "predicted": record.label,
            "chance": estimated.get(record.id),
            "selection_probability": share,
            "drawn_at": at,
        }
        insert_new(connection, random_draws, values)
    return len(drawn)


def due(connection: Connection, model: str, per_day: int, at: float) -> float:
    """The share of a model's predictions to draw now, in [0, 1], from its traffic of the last 24 hours."""
    latest = (windows.c.model == model, windows.c.ended_at > at - DAY_SECONDS)
    rows, since = connection.execute(
        select(func.sum(windows.c.rows), func.min(windows.c.started_at)).where(*latest)
    ).one()
    if not rows:
        return 0.0
    seconds = min(max(at - since, _LEAST_SECONDS), DAY_SECONDS)
    return min(1.0, float(per_day * seconds / (rows * DAY_SECONDS)))


def place(prediction_id: str) -> float:
    """Where an id falls in [0, 1), evenly and the same everywhere."""
    digest = hashlib.sha256(b"tidegate random stream\0" + prediction_id.encode()).digest()
    return int.from_bytes(digest[:6]) / 2.0**48
