"""What operators do to a running server harms no caller: aliases that move, restarts behind a supervisor."""

from pathlib import Path

import pytest

from benchmarks.changes import MODEL, PREDICT, Live, Supervisor, asked_meanwhile, restarts, switch
from tests import bundles
from tests.servers import environment
from tidegate.bundle_store import BundleStore

pytestmark = pytest.mark.slow


def two_versions(home: Path) -> None:
    store = BundleStore(home / "bundles")
    for _ in range(2):
        bundles.sentiment(store)


def test_two_hundred_switches_under_load(tmp_path: Path) -> None:
    """Nobody is dropped, and nobody gets an answer of a version that was not live at that moment."""
    two_versions(tmp_path)
    supervisor, live = Supervisor(tmp_path, **environment()), Live(frozenset({1}))
    supervisor.start()
    try:
        with asked_meanwhile(supervisor.port, PREDICT, live) as seen:
            switch(supervisor.port, MODEL, live, 200)
    finally:
        assert supervisor.stop() == 0
        supervisor.close()

    assert not seen.failures
    assert seen.refused == 0
    assert seen.stale == 0
    assert seen.answered > 500


def test_restarts_behind_a_supervisor_under_load(tmp_path: Path) -> None:
    """Callers wait in the socket's backlog; each server that leaves ends with exit code 0."""
    two_versions(tmp_path)
    supervisor, live = (
        Supervisor(tmp_path, **environment() | {"TIDEGATE_LAME_DUCK_SECONDS": "0.5"}),
        Live(frozenset({1})),
    )
    supervisor.start()
    try:
        with asked_meanwhile(supervisor.port, PREDICT, live) as seen:
            codes = restarts(supervisor, 3)
    finally:
        supervisor.close()

    assert codes == [0, 0, 0]
    assert not seen.failures
    assert seen.answered > 100
