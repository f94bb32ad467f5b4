"""What writing to the state database needs on both of its dialects: turns, inserts that skip what is there, safe text.

Before: everything of this room that writes; after: `tidegate.store`.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from sqlalchemy import Connection, Engine, Executable, Table, func, select, update
from sqlalchemy.dialects import postgresql, sqlite

from tidegate.store import windows

TURN = int.from_bytes(b"tidegate")  # names the lock of PostgreSQL; any number that no other program takes


def take_turn(connection: Connection) -> None:
    """Wait until no other process is writing windows and periods, and keep the others out until this transaction ends.

    Without it two processes would each begin a window of the same version, open the same alert twice, and, growing
    the windows of two models in different orders, wait for each other: PostgreSQL ends that by undoing one's batch.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(TURN)))
    else:  # SQLite has one lock for all writers; a statement that changes nothing takes it before anything is read
        connection.execute(update(windows).where(windows.c.id.is_(None)).values(rows=windows.c.rows))


@contextmanager
def turn(database: Engine) -> Iterator[Connection]:
    """A transaction that waits its turn first; everything that changes windows or the relabel queue runs in one."""
    with database.begin() as connection:
        take_turn(connection)
        yield connection


def insert_new(connection: Connection, table: Table, values: dict[str, Any]) -> bool:
    """Insert a row unless its unique columns are taken; whether it went in."""
    statement = _insertion(table, connection.dialect.name)
    # SQLAlchemy knows the count of an INSERT in PostgreSQL only where it is told to keep it; else it is -1.
    return bool(connection.execute(statement, values, execution_options={"preserve_rowcount": True}).rowcount)


@cache
def _insertion(table: Table, dialect_name: str) -> Executable:
    """Made once: SQLAlchemy takes as long to make a statement as SQLite to carry it out."""
    dialect: Any = postgresql if dialect_name == "postgresql" else sqlite
    statement: Executable = dialect.insert(table).on_conflict_do_nothing()
    return statement


def storable(text: str) -> str:
    """The text with what no database takes replaced by U+FFFD: lone surrogates and, for PostgreSQL, NUL.

    JSON may carry both, and one such request must not cost the batch that it was written with.
    """
    plain = text if text.isascii() else text.encode("utf-8", "surrogatepass").decode("utf-8", "replace")
    return plain.replace("\0", "\ufffd")


def clean(value: Any) -> Any:
    """A document with what no database or receiver takes replaced: strings as `storable`, NaN and infinity as None."""
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {storable(str(name)): clean(each) for name, each in value.items()}
    return [clean(each) for each in value] if isinstance(value, (list, tuple)) else value
