"""What holds for every test process: one thread of arithmetic each, and nothing left behind at its end."""

import os

# Before anything imports numpy or torch. Test processes share the cores, and threads that wait for each other
# spin: with two a process, calibrating a reference took ten times the processor time.
for _library in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_library, "1")

from tests import postgres  # noqa: E402


def pytest_unconfigure() -> None:
    """Stop the database server that tests of this process shared."""
    postgres.stop()
