"""What holds for every test process: one thread of arithmetic each, and nothing left behind at its end."""

import os

# Before anything imports numpy or torch. Test processes share the cores, and threads that wait for each other
# spin: with two a process, calibrating a reference took ten times the processor time.
for _library in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_library, "1")

import pytest  # noqa: E402

from tests import postgres, shared  # noqa: E402


def pytest_configure(config: pytest.Config) -> None:
    """The process that starts the others makes what they share its folder."""
    if not _is_worker(config):
        shared.begin()


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop the database server that tests of this process shared, and remove what all shared."""
    postgres.stop()
    if not _is_worker(config):
        shared.end()


def _is_worker(config: pytest.Config) -> bool:
    return hasattr(config, "workerinput")
