"""The state database: one schema, SQLite by default, PostgreSQL by URL (SQLAlchemy Core, no ORM).

Each table is written by one room: `records`, `windows`, `periods`, `profiles`, `detectors`, `alerts`, `deliveries`,
those of `label_tables` by monitoring and the command line, `shares` by demos, `comparisons` and `api_keys` by serving,
in threads. Nothing on the request path touches it. Times are Unix seconds, so that two databases and two hosts agree
without a time zone.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Engine,
    Float,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
    create_engine,
    event,
    insert,
    select,
)
from sqlalchemy.exc import SQLAlchemyError

from tidegate import upgrade
from tidegate.errors import NotReady, TidegateError
from tidegate.label_tables import annotations as annotations
from tidegate.label_tables import data_sets as data_sets
from tidegate.label_tables import feedback as feedback
from tidegate.label_tables import random_draws as random_draws
from tidegate.label_tables import relabel_items as relabel_items
from tidegate.label_tables import retrainings as retrainings
from tidegate.label_tables import webhook_answers as webhook_answers
from tidegate.schema import SCHEMA_VERSION as SCHEMA_VERSION
from tidegate.schema import metadata as metadata
from tidegate.schema import schema as schema

log = logging.getLogger(__name__)

records = Table(
    "records",
    metadata,
    # SQLite counts rows only in an INTEGER key, which has 64 bits there; PostgreSQL's has 32, gone in a year at 100/s.
    Column("sequence", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("id", String(64), nullable=False, unique=True),
    Column("model", String(64), nullable=False),
    Column("version", Integer, nullable=False),
    Column("variant", String(64), nullable=False),
    Column("window_id", Integer),
    Column("text", Text, nullable=False),
    Column("label", Text, nullable=False),
    Column("score", Float, nullable=False),
    Column("margin", Float, nullable=False),
    Column("typicality", Float),  # how usual its embedding is under the reference; null where it has none
    Column("abstained", Boolean, nullable=False),
    Column("scores", JSON, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("caller", String(32), nullable=False, server_default=""),  # a digest, never an address or a key
    Column("embedding", LargeBinary),  # float16; null where the model has none
    Index("records_by_model", "model", "sequence"),
)

windows = Table(
    "windows",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("model", String(64), nullable=False),
    Column("version", Integer, nullable=False),
    Column("started_at", Float, nullable=False),
    Column("ended_at", Float, nullable=False),
    Column("rows", Integer, nullable=False),
    Column("open", Boolean, nullable=False),
    Column("sums", LargeBinary),  # `monitoring.summary`; None of windows that an older Tidegate closed
    Column("status", String(16), nullable=False),
    Column("surprise", Float(53), nullable=False, server_default="0"),
    Column("limit", Float(53), nullable=False, server_default="0"),
    Column("causes", JSON, nullable=False, server_default="[]"),  # of the alarm, once closed
    Column("features", JSON, nullable=False),
    Index("windows_by_model", "model", "version", "id"),
)

# Every prediction is in one of these, whatever window it is in: minutes become hours, hours days.
periods = Table(
    "periods",
    metadata,
    Column("model", String(64), primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("level", String(8), primary_key=True),  # minute, hour or day
    Column("started_at", Float(53), primary_key=True),  # of the UTC minute, hour or day
    Column("rows", BigInteger, nullable=False),
    Column("sums", LargeBinary, nullable=False),  # `monitoring.summary`
    Index("periods_by_start", "level", "started_at"),
)

# Beside them, not in them: sums are written twice a second, and SQLite writes a row anew with all that is in it.
profiles = Table(
    "profiles",
    metadata,
    Column("model", String(64), primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("level", String(8), primary_key=True),
    Column("started_at", Float(53), primary_key=True),
    Column("rows", BigInteger, nullable=False),  # in the profile; less than the period's after a kill
    Column("content", LargeBinary, nullable=False),  # a whylogs profile; `monitoring.profiles`
    Index("profiles_by_start", "level", "started_at"),
)

detectors = Table(
    "detectors",
    metadata,
    Column("model", String(64), primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("closed_at", Float(53), nullable=False),  # when the last window was closed
    Column("document", JSON, nullable=False),  # `monitoring.alarm.Detector`
    Column("recent", LargeBinary),
    Column("slow", LargeBinary),
)

alerts = Table(
    "alerts",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("model", String(64), nullable=False),
    Column("version", Integer, nullable=False),
    Column("window_id", Integer, nullable=False),
    Column("opened_at", Float, nullable=False),
    Column("acknowledged_at", Float),
    Column("message", Text, nullable=False),
    Column("features", JSON, nullable=False),
    Column("kind", String(16), nullable=False, server_default="drift"),
    Column("severity", String(16), nullable=False, server_default="ticket"),
    Column("event", String(16), nullable=False, server_default="opened"),  # the last that its receivers were told
    Column("window_ids", JSON, nullable=False, server_default="[]"),
    Column("detail", JSON, nullable=False, server_default="{}"),
    Column("occurrences", Integer, nullable=False, server_default="1"),
    Column("last_seen_at", Float(53)),
    Column("quiet_windows", Integer, nullable=False, server_default="0"),
    Column("relabel_items_queued", Integer, nullable=False, server_default="0"),
    Column("acknowledged_by", Text, nullable=False, server_default=""),
    Column("resolved_at", Float(53)),
    Column("resolved_by", Text, nullable=False, server_default=""),
    Column("note", Text, nullable=False, server_default=""),
    Index("alerts_by_model", "model", "version", "kind", "id"),
)
# One alert of a kind at a time, whatever several processes do at once.
Index(
    "alerts_unresolved",
    alerts.c.model,
    alerts.c.version,
    alerts.c.kind,
    unique=True,
    sqlite_where=alerts.c.resolved_at.is_(None),
    postgresql_where=alerts.c.resolved_at.is_(None),
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("key", String(32), nullable=False, unique=True),  # goes along as Idempotency-Key; no other database has it
    Column("alert_id", Integer, nullable=False),
    Column("event", String(16), nullable=False),
    Column("document", JSON, nullable=False),
    Column("receiver", String(255), nullable=False),  # empty until the event is sorted to the receivers there are
    Column("state", String(16), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("created_at", Float(53), nullable=False),
    Column("due_at", Float(53), nullable=False),
    Column("leased_until", Float(53)),
    Column("ended_at", Float(53)),
    Column("error", Text, nullable=False),
    Index("deliveries_due", "state", "receiver", "due_at"),
    Index("deliveries_by_alert", "alert_id"),
    sqlite_autoincrement=True,  # a number that `tidegate alerts retry` takes is never given twice
)

shares = Table(
    "shares",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("model", String(64), nullable=False),
    Column("created_at", Float, nullable=False),
    Column("expires_at", Float, nullable=False),
    Column("revoked_at", Float),
    Column("password_hash", String(255)),  # `demos.password`; null where the link alone opens
    Column("max_visits", Integer),
    Column("rate_per_minute", Float(53)),
    Column("notice", Text, nullable=False, server_default=""),
    Column("visits", BigInteger, nullable=False, server_default="0"),
    Column("uses", BigInteger, nullable=False, server_default="0"),
)

comparisons = Table(
    "comparisons",
    metadata,
    Column("process", String(32), primary_key=True),
    Column("model", String(64), primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("since", Float(53), primary_key=True),
    Column("counts", JSON, nullable=False),
    Column("updated_at", Float(53), nullable=False),
)


api_keys = Table(
    "api_keys",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("name", String(64), nullable=False),
    Column("role", String(16), nullable=False),
    Column("digest", String(64), nullable=False, unique=True),  # SHA-256 of the key, which itself is nowhere
    Column("rate", Float(53)),
    Column("created_at", Float(53), nullable=False),
    Column("expires_at", Float(53)),
    Column("revoked_at", Float(53)),
)


def open_database(url: str) -> Engine:
    """Connect, create what is missing, bring an older schema up to date, and check the version.

    Raises:
        TidegateError: the database cannot be reached, or a newer version of Tidegate owns it.
    """
    try:
        engine = create_engine(url)
        if engine.dialect.name == "sqlite":
            event.listen(engine, "connect", _tune_sqlite)
        metadata.create_all(engine)
        _check_version(engine)
        upgrade.upgrade(engine, metadata, SCHEMA_VERSION)
    except (SQLAlchemyError, ImportError) as error:
        raise TidegateError(f"cannot open the state database: {type(error).__name__}: {error}") from None
    return engine


@contextmanager
def reachable(work: str) -> Iterator[None]:
    """Name the fault where the database is locked, full or gone; `work` is what was not done.

    Raises:
        NotReady: SQLAlchemy raised.
    """
    try:
        yield
    except SQLAlchemyError as error:
        log.error("the state database failed, so %s: %s", work, error.__cause__ or type(error).__name__)
        raise NotReady(f"the state database cannot be reached now, so {work}; try again") from None


def _tune_sqlite(connection: Any, _record: Any) -> None:
    """Readers never wait for the writer (WAL); writers of other processes are waited for, 10 s at most."""
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")  # feedback answered 2xx must survive a power cut
    cursor.execute("PRAGMA busy_timeout=10000")
    # 16 MB of log, not 4: pages that every second changes are copied from it to the file a quarter as often.
    cursor.execute("PRAGMA wal_autocheckpoint=4000")
    cursor.close()


def _check_version(engine: Engine) -> None:
    with engine.begin() as connection:
        found = connection.scalar(select(schema.c.version))
        if found is None:
            connection.execute(insert(schema).values(version=SCHEMA_VERSION))
        elif found > SCHEMA_VERSION:
            raise TidegateError(
                f"the state database has schema {found}, this Tidegate writes schema {SCHEMA_VERSION}; "
                "use the version that made it, or another --home"
            )
