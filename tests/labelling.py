"""A relabel queue for tests: texts that were predicted, put on it in order."""

import time
from collections.abc import Sequence

from sqlalchemy import Engine, insert, select

from monitoring.labels import relabel
from tidegate.store import records

SCORES = (0.2, 0.5, 0.3)  # of the toys' labels: the model says neutral


def queue(database: Engine, texts: Sequence[str], model: str = "sentiment", *, double_share: float = 0.0) -> list[str]:
    """Put distinct texts on a model's queue, the first to be labelled first; returns the items' ids."""
    start, ids = time.time() - len(texts), []
    with database.begin() as connection:
        for place, text in enumerate(texts):
            row = {"id": f"{model}-{place}-{start}", "model": model, "version": 1, "variant": "fp32", "text": text}
            row |= {"label": "neutral", "score": 0.5, "margin": 0.2, "abstained": False, "scores": list(SCORES)}
            connection.execute(insert(records).values(**row, created_at=start + place))
            record = connection.execute(select(records).where(records.c.id == row["id"])).one()
            item = relabel.enqueue(connection, record, reason="random", at=start + place, double_share=double_share)
            assert item is not None, f"{text!r} is queued already"
            ids.append(item)
    return ids
