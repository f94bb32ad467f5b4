"""The random stream: a few predictions a day, drawn without regard to anything, whose labels tell the true accuracy.

Whether a record is drawn follows from a hash of its id and the share that is due now, so several workers agree and
nobody can choose; the chance is kept with each draw, for it changes with the traffic. Drawn texts go on the relabel
queue; one that is there already is labelled once and counts for each time it was drawn.
Before: `writer`, once the records are written; after: `relabel`, then `labelled`. Limits: no 24 hours bring more than
their budget, so when traffic jumps hundredfold, what comes late in the day is drawn less.
"""

import hashlib
import math
from collections.abc import Callable, Sequence

from sqlalchemy import Connection, case, func, select

from monitoring.labels import items, relabel
from monitoring.labels.budget import DAY_SECONDS, LEAST_SECONDS
from monitoring.periods import SECONDS
from monitoring.tables import insert_new
from tidegate.store import periods, random_draws, records, relabel_items

REASON = "random"
_SALT = b"tidegate random stream\0"
_WHOLE = 2.0**48


def draw(
    connection: Connection,
    ids: Sequence[str],
    chances: Callable[[], Sequence[float]] | None,
    model: str,
    per_day: int,
    at: float,
    double_share: float = 0.0,
) -> int:
    """Draw from records just written, and put what was drawn on the relabel queue.

    Args:
        connection: in the transaction that wrote the records and their window.
        ids: prediction ids of the records, of one model version.
        chances: estimates how likely each is right, one a record; None where nothing does. Called if any is drawn.
        model: theirs.
        per_day: how many to draw in 24 hours, about and at most; 0 draws none.
        at: Unix time in seconds.
        double_share: of them that two annotators are asked about.

    Returns:
        How many were drawn.
    """
    per_batch = _room(connection, model, per_day, at)
    if not ids or not per_batch:
        return 0
    share = min(due(connection, model, per_day, at), per_batch / (2.0 * len(ids)))
    drawn = sorted(_placed_below(share, ids), key=place)[:per_batch]
    if not drawn:
        return 0
    chance = chance_of(share, len(ids), per_batch)
    estimated = dict(zip(ids, chances(), strict=True)) if chances is not None else {}
    for record in connection.execute(select(records).where(records.c.id.in_(drawn), records.c.label != "")).all():
        item = (
            relabel.enqueue(connection, record, reason=REASON, at=at, probability=chance, double_share=double_share)
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
            "selection_probability": chance,
            "drawn_at": at,
        }
        insert_new(connection, random_draws, values)
    return len(drawn)


def due(connection: Connection, model: str, per_day: int, at: float) -> float:
    """The share of a model's predictions to draw now, in [0, 1], from its traffic of the last 24 hours.

    By periods, not by windows: those of a busy day are no longer kept, and a thousand of them take 4 ms to read.
    """
    ended_at = periods.c.started_at + case(SECONDS, value=periods.c.level)
    traffic = select(func.sum(periods.c.rows), func.min(periods.c.started_at))
    rows, since = connection.execute(traffic.where(periods.c.model == model, ended_at > at - DAY_SECONDS)).one()
    if not rows:
        return 0.0
    seconds = min(max(at - since, LEAST_SECONDS), DAY_SECONDS)
    return min(1.0, float(per_day * seconds / (int(rows) * DAY_SECONDS)))  # PostgreSQL adds up to decimals


def chance_of(share: float, rows: int, most: int) -> float:
    """The chance of each of some rows to be drawn, where of those that fall into the share at most so many are kept.

    Args:
        share: in (0, 1).
        rows: 1 or more.
        most: 1 or more.
    """
    if most >= rows:
        return share
    ways = (math.lgamma(rows + 1) - math.lgamma(k + 1) - math.lgamma(rows - k + 1) for k in range(most))
    short = sum(
        (most - k) * math.exp(way + k * math.log(share) + (rows - k) * math.log1p(-share)) for k, way in enumerate(ways)
    )
    return (most - short) / rows


def place(prediction_id: str) -> float:
    """Where an id falls in [0, 1), evenly and the same everywhere."""
    digest = hashlib.sha256(_SALT + prediction_id.encode()).digest()
    return int.from_bytes(digest[:6]) / _WHOLE


def _placed_below(share: float, ids: Sequence[str]) -> list[str]:
    """Those whose `place` is less than a share; a thousand of them in 1 ms."""
    digest, below = hashlib.sha256, share * _WHOLE
    return [one for one in ids if int.from_bytes(digest(_SALT + one.encode()).digest()[:6]) < below]


def _room(connection: Connection, model: str, per_day: int, at: float) -> int:
    """Draws that the last 24 hours have left."""
    latest = (random_draws.c.model == model, random_draws.c.drawn_at > at - DAY_SECONDS)
    return max(0, per_day - (connection.scalar(select(func.count()).where(*latest)) or 0))
