"""Selection: which recent inputs a person should look at when a model's inputs have drifted.

From the window that lies furthest from the reference first (the first to drift is often half of the old kind),
those with the smallest margin between the two best classes: breaking ties beats entropy with transformers and
costs nothing (Schroeder et al. 2022). Distinct texts only, and none that is or was on the queue; none of embeddings,
which have no label to correct. Before: `alerts`; after: `relabel`. (Not named `select`: the standard library has that.)
"""

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import Connection, Row, select

from monitoring.labels import relabel
from tidegate.store import records


def enqueue_uncertain(
    connection: Connection, window_ids: Sequence[int], most: int, at: float, double_share: float = 0.0
) -> int:
    """Put the most uncertain distinct inputs of some windows on the relabel queue.

    Args:
        connection: in a transaction.
        window_ids: the windows that drifted, of one model; the next one is used when one has no more to give.
        most: how many items to add; texts that the queue knows do not count.
        at: Unix time in seconds.
        double_share: of them that two annotators are asked about.

    Returns:
        How many were added.
    """
    added = 0
    for record in _by_margin(connection, window_ids) if most else ():
        added += relabel.enqueue(connection, record, reason="drift", at=at, double_share=double_share) is not None
        if added == most:
            break
    return added


def _by_margin(connection: Connection, window_ids: Sequence[int]) -> Iterator[Row[Any]]:
    by_margin = select(records).where(records.c.label != "").order_by(records.c.margin, records.c.sequence)
    for window_id in window_ids:
        yield from connection.execute(by_margin.where(records.c.window_id == window_id)).all()
