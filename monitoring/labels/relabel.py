"""The relabel queue: texts that wait for people's labels, one item per distinct text and model.

Items come from selection (`slots`, `selection`, `random_stream`) and from callers' reports (`feedback`). A report is a
claim, not a label: it is kept as `suggested` for the annotator to see. A share of the items wants two annotators;
which, follows from the item's id, so nobody can choose.
Before: `writer`, `alerts`, `job`; after: `claims` and `answers`, where people come in.
"""

import uuid
from typing import Any

from sqlalchemy import Connection, Row, select, update

from monitoring.labels.items import NEW, digest
from monitoring.tables import insert_new, storable
from tidegate.store import relabel_items as table

FEEDBACK = "feedback"


def enqueue(
    connection: Connection,
    record: Row[Any],
    *,
    reason: str,
    at: float,
    probability: float | None = None,
    score: float | None = None,
    alert_id: int | None = None,
    suggested: str | None = None,
    double_share: float = 0.0,
) -> str | None:
    """Put a row of the records table on the queue.

    Args:
        connection: in a transaction.
        record: the row.
        reason: the slot that it was selected for.
        at: Unix time in seconds.
        probability: with which it was selected; None where nobody selected it.
        score: by which it was selected.
        alert_id: of the alert that it is to explain.
        suggested: the label that a caller claims.
        double_share: of the items that two annotators are asked about, in [0, 1].

    Returns:
        The item's id, or None when the model's queue knows the text already.
    """
    item_id = uuid.uuid4().hex
    values = {
        "id": item_id,
        "model": record.model,
        "version": record.version,
        "prediction_id": record.id,
        "text": record.text,
        "text_digest": digest(record.text),
        "predicted": record.label,
        "score": record.score,
        "scores": record.scores,
        "reason": reason,
        "state": NEW,
        "created_at": at,
        "suggested": suggested,
        "window_id": record.window_id,
        "alert_id": alert_id,
        "caller": record.caller,
        "selection_score": score,
        "selection_probability": probability,
        "embedding": record.embedding,
        "wanted": 2 if int(item_id[:8], 16) < double_share * 2**32 else 1,
    }
    return item_id if insert_new(connection, table, values) else None


def report(
    connection: Connection, record: Row[Any], label: str, comment: str, at: float, double_share: float = 0.0
) -> str:
    """Put a caller's report on the queue and return the item's id; one that people have answered stays as it is."""
    item_id = enqueue(connection, record, reason=FEEDBACK, at=at, suggested=label, double_share=double_share)
    if item_id is None:
        same = (table.c.model == record.model, table.c.text_digest == digest(record.text))
        item_id = connection.execute(select(table.c.id).where(*same)).scalar_one()
    claim = {"suggested": label, "comment": storable(comment)}
    connection.execute(update(table).where(table.c.id == item_id, table.c.state == NEW).values(**claim))
    return item_id
