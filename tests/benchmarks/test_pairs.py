"""Two servers take turns, and only one of them runs at a time."""

import shutil
import sys
from pathlib import Path

import pytest

from benchmarks.pairs import Effort, alternate, measure_pair
from benchmarks.results import Load
from benchmarks.server import Server, running
from benchmarks.workspace import MODEL, Workspace
from tests import bundles
from tests.benchmarks.figures import load
from tests.benchmarks.toy_peer import toy
from tidegate.bundle_store import BundleStore


class Parkable:
    """Notes what is done to it."""

    def __init__(self, name: str, log: list[str]) -> None:
        self.name = name
        self._log = log

    def park(self) -> None:
        self._log.append(f"park {self.name}")

    def resume(self) -> None:
        self._log.append(f"resume {self.name}")


def test_turns_alternate_and_the_other_one_is_parked() -> None:
    log: list[str] = []
    a, b = Parkable("a", log), Parkable("b", log)
    rates = iter([1.0, 10.0, 2.0, 20.0])

    def measure(server: Parkable) -> Load:
        log.append(f"measure {server.name}")
        return load(next(rates))

    ours, theirs = alternate(a, b, 2, measure)

    turn = ["resume a", "measure a", "park a", "resume b", "measure b", "park b"]
    assert log == [*turn, *turn]
    assert [taken.texts_per_second for taken in ours] == [1.0, 2.0]
    assert [taken.texts_per_second for taken in theirs] == [10.0, 20.0]


def test_a_server_is_parked_again_when_its_turn_fails() -> None:
    log: list[str] = []

    def measure(server: Parkable) -> Load:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        alternate(Parkable("a", log), Parkable("b", log), 1, measure)

    assert log == ["resume a", "park a"]


def test_parking_a_real_server_leaves_the_other_one_running(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    seen: list[int] = []

    def measure(server: Server) -> Load:
        seen.append(server.port)
        return load()

    with (
        running(toy(), Path(sys.executable), workspace) as ours,
        running(toy(), Path(sys.executable), workspace) as other,
    ):
        alternate(ours, other, 1, measure)

        assert seen == [ours.port, other.port]


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("wrk") is None, reason="NOT TESTED: needs wrk; run: apt-get install wrk")
def test_a_whole_pair_is_measured_with_the_real_gateway(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    bundle = bundles.wordpieces(BundleStore(workspace.home / "bundles"), MODEL)
    texts = bundles.headlines(40, seed=3)
    labelled = [(text, "neutral") for text in dict.fromkeys(texts)]
    workspace.write_texts(labelled)

    pair = measure_pair(toy(), workspace, tmp_path / "environments", Effort(repeats=1, seconds=1))

    assert [turns.fault for turns in pair.turns] == ["", "", "", ""]
    assert pair.ours.agreement.texts == len(labelled)
    assert (pair.ours.agreement.depend_on_list, pair.ours.agreement.depend_on_company) == (0, 0)
    assert pair.ours.memory_mib > pair.theirs.memory_mib > 0
    assert pair.conditions.model.startswith(f"{MODEL} {bundle.manifest.version}")
