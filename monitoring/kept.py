"""Kept records: the newest predictions with their texts, for feedback, relabeling and the report's examples.

Of all that monitoring writes, these rows alone hold text, and cost most: so they go to the database's own driver as one
prepared statement, 4 us a row where SQLAlchemy's takes 11, and onto the pages that the oldest have just left: SQLite
then writes 400 pages for 800 rows, not 700. Before: `writer`, in the transaction that counts the same records; after:
`tidegate.store`, `selection`, `relabel`.
"""

from collections.abc import Sequence

import numpy as np
import orjson
from sqlalchemy import Connection, delete, select

from monitoring.features import Rows
from monitoring.tables import storable
from tidegate.records import Record
from tidegate.redaction import Redactor
from tidegate.store import records as table

_COLUMNS = (
    "id", "model", "version", "variant", "window_id", "text", "label", "score", "margin", "abstained", "scores",
    "created_at", "typicality", "caller", "embedding",
)  # fmt: skip


def keep(
    connection: Connection,
    window_id: int,
    records: Sequence[Record],
    rows: Rows,
    typicality: Sequence[float | None],
    redact: Redactor,
) -> None:
    """Write records with the window that counted them; an id that is already there is skipped.

    Args:
        connection: in a transaction.
        window_id: of the window.
        records: one or more; their texts are redacted here, since what counts them sees them as they came.
        rows: what is derived from them.
        typicality: how usual each is; None where it has no embedding.
        redact: what blanks out.
    """
    place = "%s" if connection.dialect.name == "postgresql" else "?"
    places = ", ".join([place] * len(_COLUMNS))
    statement = f"INSERT INTO records ({', '.join(_COLUMNS)}) VALUES ({places}) ON CONFLICT DO NOTHING"  # noqa: S608
    margins = rows.numbers.get("margin", np.zeros(len(records)))  # there is none of embeddings
    vectors = _halves(rows)
    content = [
        (
            record.id,
            record.model,
            record.version,
            record.variant,
            window_id,
            storable(redact(record.text)),
            record.label,
            record.score,
            margin,
            record.abstained,
            orjson.dumps(record.scores).decode(),
            record.created_at,
            typical,
            record.caller,
            vector,
        )
        for record, margin, typical, vector in zip(records, margins.tolist(), typicality, vectors, strict=True)
    ]
    connection.exec_driver_sql(statement, content)


def _halves(rows: Rows) -> list[bytes | None]:
    """Embeddings as float16, which is enough to tell what is alike; None where there are none."""
    if not rows.embedding.shape[1]:
        return [None] * len(rows)
    with np.errstate(over="ignore"):  # beyond 65,504 it is infinite, and like nothing
        return [half.tobytes() for half in rows.embedding.astype(np.float16)]


def trim(connection: Connection, model: str, most: int) -> None:
    """Forget all but a model's newest records; texts do not outlive their use."""
    of_model = table.c.model == model
    newest = select(table.c.sequence).where(of_model).order_by(table.c.sequence.desc())
    oldest = newest.offset(most).limit(1).scalar_subquery()
    connection.execute(delete(table).where(of_model, table.c.sequence <= oldest))
