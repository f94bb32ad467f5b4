"""Upgrade: what an older Tidegate's state database lacks is added in place, in one transaction; no row goes.

Before: `tidegate.store`, whose tables say what there should be, and which has created the tables that were not there;
after: everybody. Columns that are nullable or have a server default, and indexes, are added by themselves; for the
rest a version has a function here. Several processes may open the database at once: one upgrades it, the others wait
and find it done. There is no way back: an older Tidegate refuses a newer schema, so keep a copy from before.
"""

import logging

from sqlalchemy import Connection, Engine, MetaData, case, func, insert, inspect, literal, select, update
from sqlalchemy.schema import CreateColumn

log = logging.getLogger(__name__)

_LOCK = int.from_bytes(b"upgrades")  # names the lock of PostgreSQL; any number that no other program takes


def upgrade(engine: Engine, metadata: MetaData, version: int) -> None:
    """Bring a database with an older schema to `version`; one that has it is left alone.

    Args:
        engine: of a database in which every table exists.
        metadata: the tables as they should be, `schema_version` among them.
        version: of the schema that they make.
    """
    table = metadata.tables["schema_version"]
    with engine.connect() as connection:
        if connection.scalar(select(table.c.version)) == version:
            return
    with engine.begin() as connection:
        _take_turn(connection)
        found = connection.scalar(select(table.c.version))
        if found == version:
            return
        _add_columns(connection, metadata)
        if found == 1:
            _leave_schema_1(connection, metadata)
        if found in (1, 2):
            _leave_schema_2(connection, metadata)
        _add_indexes(connection, metadata)
        connection.execute(update(table).values(version=version))
    log.info("the state database was upgraded from schema %s to %s", found, version)


def _take_turn(connection: Connection) -> None:
    """Wait until no other process is upgrading, and keep others out until this transaction ends."""
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(_LOCK)))
    else:
        connection.exec_driver_sql("BEGIN IMMEDIATE")  # SQLite's driver would run each ALTER TABLE on its own


def _add_columns(connection: Connection, metadata: MetaData) -> None:
    inspector = inspect(connection)
    for table in metadata.sorted_tables:
        known = {column["name"] for column in inspector.get_columns(table.name)}
        for column in table.columns:
            if column.name not in known:
                definition = CreateColumn(column).compile(dialect=connection.dialect)
                connection.exec_driver_sql(f"ALTER TABLE {table.name} ADD COLUMN {definition}")


def _add_indexes(connection: Connection, metadata: MetaData) -> None:
    inspector = inspect(connection)
    for table in metadata.sorted_tables:
        known = {index["name"] for index in inspector.get_indexes(table.name)}
        for index in sorted(table.indexes, key=lambda index: str(index.name)):
            if index.name not in known:
                index.create(connection)


def _leave_schema_1(connection: Connection, metadata: MetaData) -> None:
    """Windows were whylogs profiles, which cannot be grown as sums: they stay closed, with their scores.

    An acknowledgement ended an alert, and one stayed open per model version: the others are resolved.
    """
    windows, alerts = metadata.tables["windows"], metadata.tables["alerts"]
    connection.execute(update(windows).values(open=False))
    connection.exec_driver_sql("ALTER TABLE windows DROP COLUMN profile")
    by = (alerts.c.model, alerts.c.version)
    newest = select(func.max(alerts.c.id)).where(alerts.c.acknowledged_at.is_(None)).group_by(*by)
    ended = {"resolved_at": func.coalesce(alerts.c.acknowledged_at, alerts.c.opened_at), "event": "resolved"}
    connection.execute(update(alerts).where(alerts.c.id.not_in(newest)).values(**ended))


def _leave_schema_2(connection: Connection, metadata: MetaData) -> None:
    """A label was one person's and final, and stood in the place of a caller's claim until it came."""
    items, annotations = metadata.tables["relabel_items"], metadata.tables["annotations"]
    claimed = update(items).where(items.c.state == "new").values(suggested=items.c.label, label=None)
    connection.execute(claimed)
    who = case((items.c.annotator == "", "import"), else_=items.c.annotator)
    answers = select(items.c.id, who, literal("label"), items.c.label, literal("import"), items.c.labelled_at)
    names = ["item_id", "annotator", "verdict", "label", "source", "created_at"]
    connection.execute(insert(annotations).from_select(names, answers.where(items.c.state == "labelled")))
    connection.execute(update(items).where(items.c.state == "labelled").values(state="accepted"))
