"""What writing to the state database needs on both of its dialects: inserts that skip what is there, safe text.

Before: everything of this room that writes; after: `tidegate.store`.
"""

import math
from typing import Any

from sqlalchemy import Connection, Table
from sqlalchemy.dialects import postgresql, sqlite


def insert_new(connection: Connection, table: Table) -> Any:
    """An INSERT that skips rows whose unique columns are taken; `rowcount` of one row says whether it went in."""
    dialect: Any = postgresql if connection.dialect.name == "postgresql" else sqlite
    return dialect.insert(table).on_conflict_do_nothing()


def storable(text: str) -> str:
    """The text with what no database takes replaced by U+FFFD: lone surrogates and, for PostgreSQL, NUL.

    JSON may carry both, and one such request must not cost the batch that it was written with.
    """
    return text.encode("utf-8", "surrogatepass").decode("utf-8", "replace").replace("\0", "\ufffd")


def clean(value: Any) -> Any:
    """A document with what no database or receiver takes replaced: strings as `storable`, NaN and infinity as None."""
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {storable(str(name)): clean(each) for name, each in value.items()}
    return [clean(each) for each in value] if isinstance(value, (list, tuple)) else value
