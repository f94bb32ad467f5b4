"""A database that an older Tidegate wrote opens with every row in it and with all that this one needs."""

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, insert, inspect, select
from sqlalchemy.exc import IntegrityError

from tests import postgres
from tidegate import store
from tidegate.errors import TidegateError

FOLDER = Path(__file__).parent / "schemas"  # dumps of databases that the versions themselves have made


def old_file(folder: Path) -> str:
    """URL of a SQLite file of schema 1."""
    with sqlite3.connect(folder / "state.db") as connection:
        connection.executescript((FOLDER / "schema_1_sqlite.sql").read_text())
    connection.close()
    return f"sqlite:///{folder / 'state.db'}"


def shape(engine: Engine) -> dict[str, Any]:
    """Columns and indexes by table."""
    found = inspect(engine)
    return {
        table: (
            {(c["name"], str(c["type"]), c["nullable"]) for c in found.get_columns(table)},
            {(str(i["name"]), tuple(map(str, i["column_names"])), bool(i["unique"])) for i in found.get_indexes(table)},
        )
        for table in found.get_table_names()
    }


def check(engine: Engine, fresh: Engine) -> None:
    """Every row is there, what acknowledgement ended is over, and the schema is that of a fresh database."""
    with engine.connect() as connection:
        version = connection.scalar(select(store.schema.c.version))
        alerts = connection.execute(select(store.alerts).order_by(store.alerts.c.id)).all()
        window = connection.execute(select(store.windows)).one()
        comment = connection.execute(select(store.feedback)).one()
        assert connection.execute(select(store.deliveries)).all() == []

    assert version == store.SCHEMA_VERSION
    assert (window.rows, window.open, window.sums, window.features[0]["name"]) == (200, False, None, "words")
    assert (comment.label, comment.created_at) == ("up", 1_700_000_050.5)
    assert [(a.version, a.kind, a.severity, a.occurrences) for a in alerts] == [
        (v, "drift", "ticket", 1) for v in (1, 1, 2)
    ]
    assert [(a.resolved_at, a.event) for a in alerts] == [
        (1_700_000_500.0, "resolved"),
        (None, "opened"),
        (None, "opened"),
    ]
    assert [(a.window_ids, a.detail, a.message) for a in alerts[:1]] == [([], {}, "inputs drifted: naïve ☂")]
    assert shape(engine) == shape(fresh)


def test_a_file_of_schema_1_is_upgraded_in_place_and_opens_again(tmp_path: Path) -> None:
    url = old_file(tmp_path)
    fresh = store.open_database(f"sqlite:///{tmp_path / 'fresh.db'}")
    for _ in range(2):
        engine = store.open_database(url)
        check(engine, fresh)
        engine.dispose()
    fresh.dispose()


def test_several_processes_may_open_an_old_file_at_once(tmp_path: Path) -> None:
    url = old_file(tmp_path)
    store.metadata.create_all(create_engine(url))  # what they would collide on is made by the supervisor
    with ThreadPoolExecutor(4) as pool:
        engines = list(pool.map(store.open_database, [url] * 4))
    fresh = store.open_database(f"sqlite:///{tmp_path / 'fresh.db'}")
    check(engines[3], fresh)
    for engine in (*engines, fresh):
        engine.dispose()


def test_links_of_schema_3_stay_open_and_have_no_terms(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'state.db'}"
    new = store.open_database(url)
    later = ("password_hash", "max_visits", "rate_per_minute", "notice", "visits", "uses")
    with new.begin() as connection:
        for column in later:
            connection.exec_driver_sql(f"ALTER TABLE shares DROP COLUMN {column}")
        connection.exec_driver_sql("INSERT INTO shares VALUES ('0123456789ab', 'headlines', 1, 2, NULL)")
        connection.exec_driver_sql("UPDATE schema_version SET version = 3")
    new.dispose()

    engine = store.open_database(url)
    with engine.connect() as connection:
        link = connection.execute(select(*(store.shares.c[column] for column in later))).one()
        version = connection.scalar(select(store.schema.c.version))
    engine.dispose()

    assert (tuple(link), version) == ((None, None, None, "", 0, 0), store.SCHEMA_VERSION)


def test_an_upgrade_that_is_cut_off_leaves_the_old_database(tmp_path: Path) -> None:
    url = old_file(tmp_path)
    with sqlite3.connect(tmp_path / "state.db") as connection:
        connection.execute(
            "CREATE TRIGGER no BEFORE UPDATE ON schema_version BEGIN SELECT RAISE(ABORT, 'no power'); END"
        )
    connection.close()
    with pytest.raises(TidegateError, match="no power"):
        store.open_database(url)

    with sqlite3.connect(tmp_path / "state.db") as connection:
        columns = {row[1] for row in connection.execute("PRAGMA table_info(alerts)")}
        version = connection.execute("SELECT version FROM schema_version").fetchone()
    connection.close()
    assert ("severity" in columns, version) == (False, (1,))


def test_one_alert_of_a_kind_can_be_unresolved(tmp_path: Path) -> None:
    engine = store.open_database(old_file(tmp_path))
    values = {"model": "headlines", "version": 2, "window_id": 1, "opened_at": 1.0, "message": "", "features": []}
    with pytest.raises(IntegrityError), engine.begin() as connection:
        connection.execute(insert(store.alerts).values(**values))
    with engine.begin() as connection:
        connection.execute(insert(store.alerts).values(**values, kind="contract"))
    engine.dispose()


@pytest.mark.slow
def test_a_postgresql_database_of_schema_1_is_upgraded_in_place() -> None:
    with postgres.server() as url:
        bare = create_engine(url)
        with bare.begin() as connection:
            connection.exec_driver_sql((FOLDER / "schema_1_postgresql.sql").read_text())
        engine = store.open_database(url)
        with bare.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql("CREATE DATABASE fresh")
        fresh = store.open_database(url.replace("/postgres?", "/fresh?"))
        check(engine, fresh)
        for each in (bare, engine, fresh):
            each.dispose()
