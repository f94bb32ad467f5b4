"""Candidates: the predictions since the last selection that could go on the relabel queue, and what is known already.

Every kept prediction is a candidate once: those made after the newest item that selection chose, a random thousand if
there are more. Left out are embeddings (no label to correct), texts that the queue knows in any state and near
duplicates; of several live versions the one with the most predictions counts, since two have two embedding spaces.
Before: `kept`; after: `picks`. Limits: 10,000 predictions, a million characters and 4,000 items of the queue are
looked at, in a thread of its own and outside the writers' turn; policies see vectors of 64 numbers at most.
"""

from collections import Counter
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Column, Connection, Row, func, select

from monitoring.labels.budget import SLOT_OF
from monitoring.labels.duplicates import repeats, units
from monitoring.labels.items import digest
from monitoring.labels.picks import Pool, witness_of
from monitoring.labels.policies_information import Candidates
from monitoring.labels.relabel import FEEDBACK
from tidegate.store import records as table
from tidegate.store import relabel_items

MOST_RECENT = 10_000
MOST_CANDIDATES = 1_000
MOST_CHARS = 1_000_000
MOST_KNOWN = 4_000
MOST_LABELLED = 1_000  # of them that policies keep away from
_DIMENSIONS = 64  # that policies see: distances keep to some 10 %, and what costs their cube falls 200 times
_AT_ONCE = 100
_COLUMNS: list[Column[Any]] = [
    table.c.sequence,
    table.c.id,
    table.c.model,
    table.c.version,
    table.c.text,
    table.c.label,
    table.c.scores,
    table.c.typicality,
    table.c.caller,
    table.c.embedding,
]


def read(connection: Connection, model: str, disputed: Collection[str], rng: np.random.Generator) -> Pool | None:
    """The candidates of a model now; None where there are none.

    Args:
        connection: in or out of a transaction.
        model: whose.
        disputed: prediction ids that versions disagree on.
        rng: which of too many.
    """
    sequences = list(connection.scalars(_recent(connection, model)))
    drawn = sample(connection, sequences, rng)
    if not drawn:
        return None
    (version, _), *_ = Counter(row.version for row in drawn).most_common(1)
    rows, known_texts, known = unknown(connection, model, [row for row in drawn if row.version == version])
    if not rows:
        return None
    vectors = units([row.embedding for row in rows])
    again = repeats([row.text for row in rows], vectors, known_texts, known)
    kept = np.flatnonzero(~again)
    share = len(drawn) / len(sequences)
    if not len(kept):
        return None
    fewer, labelled = _projected(vectors[kept]), _projected(known[:MOST_LABELLED])
    return pool_of([rows[place] for place in kept], fewer, labelled, share, disputed)


def pool_of(
    rows: Sequence[Row[Any]],
    vectors: NDArray[np.float32],
    known: NDArray[np.float32],
    share: float = 1.0,
    disputed: Collection[str] = (),
) -> Pool:
    """Rows of `sample`, one or more of one version, as columns, with their vectors."""
    typicality = [np.nan if row.typicality is None else row.typicality for row in rows]
    candidates = Candidates(
        tuple(row.id for row in rows),
        np.array([row.scores for row in rows], dtype=np.float64),
        vectors,
        witness_of(np.array(typicality, dtype=np.float64)),
        np.array([row.id in disputed for row in rows], dtype=np.bool_),
    )
    return Pool(candidates, [row.label for row in rows], [row.caller for row in rows], known, share)


def sample(connection: Connection, sequences: Sequence[int], rng: np.random.Generator) -> list[Row[Any]]:
    """A random part of the records with these sequences, in random order: as many of them as are cheap to read."""
    order = rng.permutation(len(sequences))[:MOST_CANDIDATES]
    found: list[Row[Any]] = []
    chars = 0
    for start in range(0, len(order), _AT_ONCE):
        part = [sequences[place] for place in order[start : start + _AT_ONCE]]
        rows = {row.sequence: row for row in connection.execute(select(*_COLUMNS).where(table.c.sequence.in_(part)))}
        found += [rows[sequence] for sequence in part if sequence in rows]
        chars += sum(len(row.text) for row in rows.values())
        if chars > MOST_CHARS:
            break
    return found


def unknown(
    connection: Connection, model: str, rows: Sequence[Row[Any]]
) -> tuple[list[Row[Any]], list[str], NDArray[np.float32]]:
    """Rows whose text the queue does not know, each text once; texts and embeddings of what it has of this version."""
    distinct: dict[str, Row[Any]] = {}
    for row in rows:
        distinct.setdefault(digest(row.text), row)
    of_model = relabel_items.c.model == model
    there = select(relabel_items.c.text_digest).where(of_model, relabel_items.c.text_digest.in_(list(distinct)))
    queued = set(connection.scalars(there))
    same_space = (of_model, relabel_items.c.version == rows[0].version, relabel_items.c.embedding.is_not(None))
    newest = select(relabel_items.c.text, relabel_items.c.embedding).where(*same_space)
    known = connection.execute(newest.order_by(relabel_items.c.created_at.desc()).limit(MOST_KNOWN)).all()
    return (
        [row for text, row in distinct.items() if text not in queued],
        [row.text for row in known],
        units([row.embedding for row in known]),
    )


def _projected(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Vectors in fewer dimensions, by one random projection for each width (Johnson and Lindenstrauss 1984)."""
    width = vectors.shape[1]
    if width <= _DIMENSIONS:
        return vectors
    onto = np.random.default_rng(width).normal(scale=_DIMENSIONS**-0.5, size=(width, _DIMENSIONS))
    return vectors @ onto.astype(np.float32)


def _recent(connection: Connection, model: str) -> Any:
    chosen = (relabel_items.c.model == model, relabel_items.c.reason.in_(set(SLOT_OF) - {FEEDBACK}))
    since = connection.scalar(select(func.max(relabel_items.c.created_at)).where(*chosen))
    recent = select(table.c.sequence).where(table.c.model == model, table.c.label != "")
    if since is not None:
        recent = recent.where(table.c.created_at > since)
    return recent.order_by(table.c.sequence.desc()).limit(MOST_RECENT)
