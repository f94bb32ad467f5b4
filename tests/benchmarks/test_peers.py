"""The catalog of peers, and the command line that reads it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.environments import interpreter
from benchmarks.peers.catalog import PEERS, TIDEGATE, Peer, find
from benchmarks.workspace import Workspace
from tests.benchmarks.toy_peer import toy
from tidegate.environments import CHECKOUT
from tidegate.errors import UsageError

ANSWERS = {
    "tidegate": [[{"label": "a", "score": 0.9}, {"label": "b", "score": 0.1}], [{"label": "b", "score": 0.8}]],
    "mlserver": {"outputs": [{"name": "label", "data": ["a", "b"]}]},
    "infinity": {"data": [[{"label": "a", "score": 0.9}], [{"label": "b", "score": 0.8}]]},
    "mlflow": {"predictions": [{"label": "a", "score": 0.9}, {"label": "b", "score": 0.8}]},
}
PLAIN = [{"label": "a", "score": 0.9}, {"label": "b", "score": 0.8}]


@pytest.mark.parametrize("peer", [TIDEGATE, *PEERS], ids=lambda peer: peer.name)
def test_the_labels_of_every_peer_are_read_in_order(peer: Peer) -> None:
    answer = ANSWERS.get(peer.name, PLAIN)

    assert peer.decode(json.dumps(answer).encode()) == ["a", "b"]


@pytest.mark.parametrize("peer", PEERS, ids=lambda peer: peer.name)
def test_every_peer_is_pinned_and_says_where_its_settings_come_from(peer: Peer) -> None:
    assert peer.bar in {"pipeline", "simple", "framework"}
    assert all("==" in requirement for requirement in peer.requirements)
    modules = [word for word in peer.command if word.startswith("benchmarks.peers.")]
    for module in modules:
        source = CHECKOUT / f"{module.partition(':')[0].replace('.', '/')}.py"
        assert "Source:" in source.read_text()


def test_one_text_and_a_list_go_out_in_the_peers_own_form() -> None:
    assert json.loads(TIDEGATE.encode(["a"])) == {"inputs": "a"}
    assert json.loads(TIDEGATE.encode(["a", "b"])) == {"inputs": ["a", "b"]}
    assert json.loads(find("mlserver").encode(["a", "b"]))["inputs"][0]["data"] == ["a", "b"]


def test_a_program_of_an_environment_stands_beside_its_interpreter() -> None:
    argv = find("mlflow").argv(Path("/env/bin/python"), 1234, Path("/w"))

    assert argv[0] == "/env/bin/mlflow"
    assert "/w/model/mlflow" in argv
    assert "1234" in argv


def test_a_peer_without_requirements_runs_in_this_environment(tmp_path: Path) -> None:
    assert interpreter(toy(), tmp_path) == Path(sys.executable)
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_peer_is_refused_with_the_names_there_are() -> None:
    done = _benchmarks("check", "--peers", "torchserve")

    assert done.returncode == UsageError.exit_code
    assert "no peer 'torchserve'; there are: fastapi_pipeline" in done.stderr


def test_measuring_before_preparing_says_what_to_run(tmp_path: Path) -> None:
    done = _benchmarks("engine", "--work", str(tmp_path / "none"))

    assert done.returncode == UsageError.exit_code
    assert "python -m benchmarks prepare" in done.stderr


def test_texts_come_back_as_they_were_written(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "work")

    workspace.write_texts([("Größe\nwächst", "up"), ("fell", "down")])

    assert workspace.read_texts() == [("Größe\nwächst", "up"), ("fell", "down")]


def _benchmarks(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "benchmarks", *arguments]
    return subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False)
