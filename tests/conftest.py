"""What holds for every test process: one thread of arithmetic, the longest files first, nothing left behind."""

import gc
import os

gc.disable()  # until all is imported: a million objects that stay, looked through again and again

# Before anything imports numpy or torch. Test processes share the cores, and threads that wait for each other
# spin: with two a process, calibrating a reference took ten times the processor time.
for _library in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_library, "1")

from collections import defaultdict  # noqa: E402
from pathlib import Path  # noqa: E402

import pytest  # noqa: E402

from tests import postgres, shared  # noqa: E402


def pytest_configure(config: pytest.Config) -> None:
    """The process that starts the others makes what they share its folder."""
    if not _is_worker(config):
        shared.begin()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest files first, so that none is left to one process at the end while the others have nothing."""
    longest: defaultdict[Path, tuple[float, int]] = defaultdict(lambda: (0.0, 0))
    for item in items:
        limit, slow = longest[item.path]
        marked = item.get_closest_marker("timeout")
        asked = float(marked.args[0]) if marked else 0.0
        longest[item.path] = (max(limit, asked), slow + bool(item.get_closest_marker("slow")))
    items.sort(key=lambda item: longest[item.path], reverse=True)


def pytest_collection_finish() -> None:
    """What was imported is looked through once, and never again."""
    gc.enable()
    gc.collect()
    gc.freeze()


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop the database server that tests of this process shared, and remove what all shared."""
    postgres.stop()
    if not _is_worker(config):
        shared.end()


def _is_worker(config: pytest.Config) -> bool:
    return hasattr(config, "workerinput")
