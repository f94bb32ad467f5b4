"""What the processes of a test run make once and share, in a folder that the run removes at its end.

`once` is for what takes seconds to make and is never changed afterwards: whoever needs its own copy makes one.
"""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

FOLDER = "TESTS_SHARED_FOLDER"  # the environment variable that tells the processes of one run


def begin() -> None:
    """Make the folder of this run; to be called by the process that starts the others."""
    os.environ[FOLDER] = tempfile.mkdtemp(prefix="tidegate-tests-")


def end() -> None:
    """Remove it."""
    shutil.rmtree(os.environ.pop(FOLDER), ignore_errors=True)


def once(name: str, make: Callable[[Path], None]) -> Path:
    """The folder of this name, which the first process that asks has had `make` fill, in the place where it stays."""
    folder = _root() / name
    made = folder.with_suffix(".made")
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            shutil.rmtree(folder, ignore_errors=True)  # what a maker that failed has left
            folder.mkdir()
            make(folder)
            made.touch()
    return folder


@cache
def _root() -> Path:
    """The run's folder; what is no test run has one of its process."""
    if FOLDER in os.environ:
        return Path(os.environ[FOLDER])
    own = tempfile.TemporaryDirectory(prefix="tidegate-toys-")
    _kept.append(own)
    return Path(own.name)


_kept: list["tempfile.TemporaryDirectory[str]"] = []
