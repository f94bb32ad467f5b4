"""Servers are started, parked and ended as whole families of processes."""

import http.client
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmarks import processes
from benchmarks.server import running
from benchmarks.workspace import Workspace, own_folder
from tests.benchmarks.toy_peer import toy
from tidegate.errors import NotReady

PYTHON = Path(sys.executable)


def alive(pids: set[int]) -> set[int]:
    """Those that still run; an entry that nobody has reaped yet is no life."""
    return {pid for pid in pids for process in processes.family(pid) if process.pid == pid}


def test_a_server_answers_inside_the_block_and_its_whole_family_is_gone_after(tmp_path: Path) -> None:
    with running(toy(), PYTHON, Workspace(tmp_path)) as server:
        connection = http.client.HTTPConnection("127.0.0.1", server.port)
        connection.request("GET", "/ready")
        assert connection.getresponse().status == 200
        connection.close()
        family = {process.pid for process in processes.family(server.pid)}
        assert len(family) == 2, "the server and the child that it leaves behind"
        assert processes.memory_mib(server.pid) > 10

    assert alive(family) == set()


def test_a_parked_server_stands_still_and_goes_on_when_resumed(tmp_path: Path) -> None:
    with running(toy(), PYTHON, Workspace(tmp_path)) as server:
        server.park()
        assert {process.state for process in _settled(server.pid, "T")} == {"T"}
        before = processes.cpu_seconds(server.pid)
        time.sleep(0.2)
        assert processes.cpu_seconds(server.pid) == before

        server.resume()
        assert "T" not in {process.state for process in _settled(server.pid, "S")}


def test_a_parked_server_is_ended_too(tmp_path: Path) -> None:
    with running(toy(), PYTHON, Workspace(tmp_path)) as server:
        family = {process.pid for process in processes.family(server.pid)}
        server.park()

    assert alive(family) == set()


def test_an_error_in_the_block_ends_the_server(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), running(toy(), PYTHON, Workspace(tmp_path)) as server:
        raise KeyboardInterrupt

    assert alive({server.pid}) == set()


def test_a_server_that_dies_as_it_starts_shows_the_end_of_its_log(tmp_path: Path) -> None:
    with (
        pytest.raises(NotReady, match="the toy has no model today"),
        running(toy("dying"), PYTHON, Workspace(tmp_path)),
    ):
        pass


def test_a_server_that_ignores_sigterm_is_killed() -> None:
    stubborn = "import signal, time; signal.signal(15, signal.SIG_IGN); print(1, flush=True); time.sleep(600)"
    with subprocess.Popen([sys.executable, "-c", stubborn], stdout=subprocess.PIPE, start_new_session=True) as process:
        assert process.stdout
        process.stdout.readline()

        processes.end(process, patience_seconds=0.2)

    assert process.returncode == -signal.SIGKILL


def test_a_name_with_parentheses_does_not_confuse_the_parser() -> None:
    line = "42 (a) b (c) S 7 42 41 0 -1 4194560 1 2 3 4 150 50 0 0 20 0 1 0 99 1 1"

    process = processes.read_stat(line)

    assert (process.pid, process.parent, process.session, process.state) == (42, 7, 41, "S")
    assert process.cpu_seconds == pytest.approx(2.0)


def test_a_folder_of_ours_hides_itself_from_git(tmp_path: Path) -> None:
    folder = own_folder(tmp_path / "work")
    (folder / "big.bin").write_bytes(b"x")
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)

    status = subprocess.run(["git", "-C", str(tmp_path), "status", "--short"], capture_output=True, check=True)

    assert status.stdout == b""


def _settled(root: int, state: str) -> list[processes.Process]:
    """The family, once all of it is in a state, or after two seconds as it is."""
    until = time.monotonic() + 2
    while time.monotonic() < until and {process.state for process in processes.family(root)} != {state}:
        time.sleep(0.02)
    return processes.family(root)
