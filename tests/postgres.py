"""A real PostgreSQL server for tests: Debian's binaries, a temporary cluster with a database for each test."""

import os
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import pytest

BINARIES = sorted(Path("/usr/lib/postgresql").glob("*/bin"))


@contextmanager
def server() -> Iterator[str]:
    """The SQLAlchemy URL of an empty database; skips the test, loudly, where PostgreSQL is not installed.

    The cluster starts with the first test of this process that asks, and `stop` ends it: a start costs seconds, a
    database tenths of one.
    """
    if not BINARIES:
        pytest.skip("PostgreSQL is not installed; to run this test: apt-get install postgresql")
    folder = _cluster()
    name = f"test_{uuid.uuid4().hex}"
    _administer(folder, f"CREATE DATABASE {name}")
    try:
        yield f"postgresql+psycopg://tidegate@/{name}?host={folder}"
    finally:
        _administer(folder, f"DROP DATABASE {name} WITH (FORCE)")


def stop() -> None:
    """End the cluster of this process, if it has one."""
    if _cluster.cache_info().currsize:
        folder = _cluster()
        _run(_as_owner(), "pg_ctl", "-D", str(folder / "data"), "-m", "immediate", "stop")
        shutil.rmtree(folder, ignore_errors=True)
        _cluster.cache_clear()


@cache
def _cluster() -> Path:
    """Start a cluster; the folder with its socket."""
    folder = Path(tempfile.mkdtemp(prefix="tidegate-pg-"))
    if os.getuid() == 0:
        shutil.chown(folder, "postgres")
    data = folder / "data"
    _run(_as_owner(), "initdb", "-D", str(data), "-U", "tidegate", "--auth=trust", "--no-sync")
    options = f"-c listen_addresses='' -c unix_socket_directories={folder} -c fsync=off -c synchronous_commit=off"
    _run(_as_owner(), "pg_ctl", "-D", str(data), "-w", "-l", str(folder / "log"), "-o", options, "start")
    return folder


def _administer(folder: Path, statement: str) -> None:
    _run([], "psql", "-h", str(folder), "-U", "tidegate", "-d", "postgres", "-q", "-c", statement)


def _as_owner() -> list[str]:
    """PostgreSQL refuses to run as root; Debian's package made a user for it."""
    return [] if os.getuid() != 0 else ["runuser", "-u", "postgres", "--"]


def _run(prefix: list[str], program: str, *arguments: str) -> None:
    command = [*prefix, str(BINARIES[-1] / program), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd="/", check=False)
    if done.returncode:
        pytest.fail(f"{program} failed: {done.stdout}{done.stderr}")
