"""A real PostgreSQL server for tests: Debian's binaries, a temporary cluster, a socket in a temporary folder."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

BINARIES = sorted(Path("/usr/lib/postgresql").glob("*/bin"))


@contextmanager
def server() -> Iterator[str]:
    """Start a cluster and give its SQLAlchemy URL; skips the test, loudly, where PostgreSQL is not installed."""
    if not BINARIES:
        pytest.skip("PostgreSQL is not installed; to run this test: apt-get install postgresql")
    folder = Path(tempfile.mkdtemp(prefix="tidegate-pg-"))
    data = folder / "data"
    as_owner = _unprivileged(folder)
    _run(as_owner, "initdb", "-D", str(data), "-U", "tidegate", "--auth=trust", "--no-sync")
    options = f"-c listen_addresses='' -c unix_socket_directories={folder} -c fsync=off"
    _run(as_owner, "pg_ctl", "-D", str(data), "-w", "-l", str(folder / "log"), "-o", options, "start")
    try:
        yield f"postgresql+psycopg://tidegate@/postgres?host={folder}"
    finally:
        _run(as_owner, "pg_ctl", "-D", str(data), "-m", "immediate", "stop")
        shutil.rmtree(folder, ignore_errors=True)


def _unprivileged(folder: Path) -> list[str]:
    """PostgreSQL refuses to run as root; Debian's package made a user for it."""
    if os.getuid() != 0:
        return []
    shutil.chown(folder, "postgres")
    return ["runuser", "-u", "postgres", "--"]


def _run(prefix: list[str], program: str, *arguments: str) -> None:
    command = [*prefix, str(BINARIES[-1] / program), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd="/", check=False)
    if done.returncode:
        pytest.fail(f"{program} failed: {done.stdout}{done.stderr}")
