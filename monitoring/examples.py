"""Examples: kept predictions of the windows in question, the strangest first.

Before: `windows`, which keeps records with their text (redacted where the setting `redact` says so) and how typical
each was of the reference; after: `report` (ids), the drift page (texts). Limits: only the newest `keep_records` of a
model are kept, so old windows have none.
"""

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, Engine, select

from tidegate.characters import words_of
from tidegate.store import records as table

SHOWN = 5
MOST_TEXTS = 2_000  # of the windows in question, newest first: enough to tell words and domains apart


def kept_texts(connection: Connection, window_ids: Sequence[int]) -> list[str]:
    """Texts of some windows that are still kept, newest first."""
    of_windows = select(table.c.text).where(table.c.window_id.in_(window_ids))
    return list(connection.scalars(of_windows.order_by(table.c.sequence.desc()).limit(MOST_TEXTS)))


def strangest(connection: Connection, window_ids: Sequence[int], new_words: Collection[str]) -> list[dict[str, Any]]:
    """Five predictions of distinct texts: first those with the most new words, then the least typical and least sure.

    The last two by the sum of their ranks, since neither sees everything: a bag of words is blind to words that it does
    not know, and a model may be sure of nonsense.
    """
    columns = (table.c.id, table.c.label, table.c.score, table.c.typicality, table.c.margin, table.c.text)
    of_windows = select(*columns).where(table.c.window_id.in_(window_ids))
    rows = connection.execute(of_windows.order_by(table.c.sequence.desc()).limit(MOST_TEXTS)).all()
    distinct = list({row.text: row for row in rows}.values())
    typicality = _ranks([row.typicality or 0.0 for row in distinct])
    strange = typicality + _ranks([row.margin for row in distinct])
    told = np.array([len(words_of(row.text) & set(new_words)) for row in distinct])
    order = np.lexsort((strange, -told))[:SHOWN]
    return [
        {"id": row.id, "label": row.label, "score": row.score, "typicality": row.typicality}
        for row in (distinct[place] for place in order)
    ]


def texts_of(database: Engine, model: str, ids: Sequence[str]) -> dict[str, str]:
    """Texts of a model's kept predictions by id; those no longer kept are missing."""
    with database.connect() as connection:
        rows = connection.execute(select(table.c.id, table.c.text).where(table.c.model == model, table.c.id.in_(ids)))
        return {row.id: row.text for row in rows}


def _ranks(values: Sequence[float]) -> NDArray[np.float64]:
    """Rank of each value, equal ones alike."""
    _, place, counts = np.unique(np.array(values), return_inverse=True, return_counts=True)
    below: NDArray[np.float64] = (np.cumsum(counts) - counts).astype(np.float64)
    return below[place]
