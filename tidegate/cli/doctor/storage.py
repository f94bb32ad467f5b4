"""What is on disk: the home folder, its bundles with every byte verified, the state database, and room for more."""

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import create_engine, inspect, select, text
from sqlalchemy.engine import make_url

from tidegate.aliases import ALIASES
from tidegate.bundle import load_bundle
from tidegate.bundle_store import BundleStore, unfinished
from tidegate.cli.doctor.finding import Check, Finding, fault, note, ok, size
from tidegate.errors import BundleCorrupt, TidegateError
from tidegate.settings import Settings
from tidegate.store import SCHEMA_VERSION, metadata, schema

_LOW_BYTES = 1_000_000_000  # an export of a small transformer writes about half of that
_LOW_SHARE = 0.03
_PATIENCE_SECONDS = 2


def home_folder(settings: Settings) -> Iterator[Finding]:
    """Whether it is there, private and writable."""
    home = settings.home
    if not home.exists():
        yield note("home", f"{home.absolute()} is not there yet", "`tidegate quickstart` or `tidegate up RUN` makes it")
        return
    if not home.is_dir() or not os.access(home, os.R_OK | os.W_OK | os.X_OK):
        yield fault("home", f"{home.absolute()} cannot be read and written", "choose another --home, or mend its owner")
        return
    yield ok("home", str(home.absolute()))
    if home.stat().st_mode & 0o077:
        mode = oct(home.stat().st_mode & 0o777)
        yield note("home", f"others on this machine may look into it ({mode})", f"chmod 700 {home}")


def disk(settings: Settings) -> Iterator[Finding]:
    """Room where the home folder is."""
    place = settings.home.absolute()
    while not place.exists():
        place = place.parent
    usage = shutil.disk_usage(place)
    found = f"{size(usage.free)} of {size(usage.total)} free"
    if usage.free < _LOW_BYTES or usage.free < _LOW_SHARE * usage.total:
        yield fault("disk", found, "make room, or remove bundles: tidegate bundles remove NAME VERSION")
    else:
        yield ok("disk", found)


def bundles(settings: Settings) -> Iterator[Finding]:
    """Every version verified, every alias leading somewhere, nothing left behind."""
    store = BundleStore(settings.bundles_dir)
    names = store.names()
    if not names:
        yield note("bundles", f"none in {store.root}", "`tidegate quickstart`, or `tidegate export RUN --name NAME`")
    for name in names:
        versions = store.versions(name)
        damaged = list(_damaged(store, name, versions))
        yield from damaged
        if not damaged:
            yield ok(f"bundle {name}", f"{len(versions)} versions, every file as published")
        yield from _aliases(store, name, versions)
    left = unfinished(store.root)
    if left:
        where = ", ".join(str(folder.relative_to(store.root)) for folder in left)
        yield note(
            "bundles", f"left behind by exports that were killed: {where}", "the next export of the model sweeps it"
        )


def _damaged(store: BundleStore, name: str, versions: list[int]) -> Iterator[Finding]:
    for version in versions:
        try:
            load_bundle(store.path(name, version))
        except (TidegateError, OSError) as error:
            advice = (
                f"copy it from a backup, or: tidegate bundles rollback {name}; tidegate bundles remove {name} {version}"
            )
            yield fault(f"bundle {name}/{version}", str(error), advice)


def _aliases(store: BundleStore, name: str, versions: list[int]) -> Iterator[Finding]:
    try:
        aliases = store.aliases(name)
    except BundleCorrupt as error:
        yield fault(f"aliases of {name}", str(error), f"tidegate bundles alias {name} champion {versions[-1]}")
        return
    named = {alias: aliases.of(alias) for alias in ALIASES if aliases.of(alias) is not None}
    gone = {alias: version for alias, version in named.items() if version not in versions}
    shown = ", ".join(f"{alias} {version}" for alias, version in named.items()) or "champion: the newest"
    if gone:
        found = "; ".join(f"{alias} points at version {version}, which is gone" for alias, version in gone.items())
        advice = "; ".join(f"tidegate bundles alias {name} {alias} {versions[-1]}" for alias in gone)
        yield fault(f"aliases of {name}", found, advice)
    else:
        yield ok(f"aliases of {name}", shown + (" (unloaded: nobody serves it)" if aliases.unloaded else ""))


def database(settings: Settings) -> Iterator[Finding]:
    """The state database: opens, sound, ours, writable."""
    url = make_url(settings.state_url)
    if url.get_backend_name() == "sqlite" and url.database and url.database != ":memory:":
        yield from _sqlite(Path(url.database))
        return
    shown = url.render_as_string(hide_password=True)
    arguments = {"connect_timeout": _PATIENCE_SECONDS} if url.get_backend_name() == "postgresql" else {}
    engine = create_engine(url, connect_args=arguments)
    try:
        with engine.connect() as connection:
            missing = set(metadata.tables) - set(inspect(connection).get_table_names())
            found = None if schema.name in missing else connection.scalar(select(schema.c.version))
            read_only = connection.scalar(text("show transaction_read_only")) == "on"
    except Exception as error:  # whichever driver is behind the URL
        reason = str(error).splitlines()[0]
        yield fault("state database", f"{shown}: {reason}", "start it, or mend TIDEGATE_DATABASE_URL")
    else:
        yield from _judge(shown, found, missing, writable="" if not read_only else "it is read-only")
    finally:
        engine.dispose()


def _sqlite(file: Path) -> Iterator[Finding]:
    if not file.exists():
        yield note("state database", f"{file} is not there yet", "the first start makes it")
        return
    try:
        with closing(
            sqlite3.connect(f"file:{quote(str(file))}?mode=rw", uri=True, timeout=_PATIENCE_SECONDS)
        ) as opened:
            sound = opened.execute("PRAGMA integrity_check(1)").fetchone()[0]
            tables = {name for (name,) in opened.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            row = opened.execute("SELECT version FROM schema_version").fetchone() if schema.name in tables else None
            writable = _lock(opened)
    except sqlite3.DatabaseError as error:
        yield fault("state database", f"{file}: {error}", _restore(file))
        return
    if sound != "ok":
        yield fault("state database", f"{file} is damaged: {sound.splitlines()[-1]}", _restore(file))
        return
    taken = sum(part.stat().st_size for part in file.parent.glob(f"{file.name}*"))
    yield from _judge(f"{file.name}, {size(taken)}", row[0] if row else None, set(metadata.tables) - tables, writable)


def _lock(opened: sqlite3.Connection) -> str:
    """Take the write lock and let go; why not, where that cannot be done."""
    try:
        opened.execute("BEGIN IMMEDIATE")
        opened.execute("ROLLBACK")
    except sqlite3.OperationalError as error:
        return str(error)
    return ""


def _judge(shown: str, version: int | None, missing: set[str], writable: str) -> Iterator[Finding]:
    if version is not None and version > SCHEMA_VERSION:
        found = f"{shown}: schema {version}, this Tidegate writes {SCHEMA_VERSION}"
        yield fault("state database", found, "use the version of Tidegate that made it, or another --home")
    elif writable:
        advice = "end whoever holds it, or mend the rights of its folder; a server answers without, feedback is refused"
        yield fault("state database", f"{shown}: cannot be written: {writable}", advice)
    elif version is not None and version < SCHEMA_VERSION:
        yield note("state database", f"{shown}: schema {version}", f"the next start upgrades it to {SCHEMA_VERSION}")
    elif missing:
        yield note("state database", f"{shown}: without {', '.join(sorted(missing))}", "the next start makes them")
    else:
        yield ok("state database", f"{shown}, sound, schema {version}, writable")


def _restore(file: Path) -> str:
    return f"stop the server; `sqlite3 {file} .recover` saves what can be, a backup is better; without, move it away"


CHECKS: dict[str, Check] = {"home": home_folder, "disk": disk, "bundles": bundles, "state database": database}
