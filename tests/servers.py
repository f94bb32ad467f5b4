"""A real Tidegate in a process of its own, for tests that want the whole thing."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tidegate import environments
from tidegate.errors import EnvironmentMissing

TIDEGATE = [sys.executable, "-m", "tidegate"]
DATA = environments.CHECKOUT.parent / "shared" / "data"


@dataclass(frozen=True, slots=True)
class Server:
    """A running server: where it answers, and what it has printed on stderr so far."""

    url: str
    process: "subprocess.Popen[str]"
    stderr: list[str]

    def client(self) -> httpx.Client:
        """A client of it."""
        return httpx.Client(base_url=self.url, timeout=60)


@contextmanager
def running(arguments: Sequence[str], home: Path, **variables: str) -> Iterator[Server]:
    """Run `tidegate ARGUMENTS --home HOME`, on any port unless they name one; fails if it never says `ready`.

    Args:
        arguments: the command and its options.
        home: its home folder.
        variables: environment variables to set for it.
    """
    anywhere = [] if "--port" in arguments else ["--port", "0"]
    command = [*TIDEGATE, *arguments, "--home", str(home), *anywhere]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment() | variables
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        lines: list[str] = []
        reader = threading.Thread(target=lines.extend, args=(process.stderr,))
        reader.start()
        first = process.stdout.readline()
        try:
            if not first.startswith("ready http"):
                process.kill()
                reader.join()
                pytest.fail(f"{' '.join(command)} said {first!r} and then:\n{''.join(lines)}")
            yield Server(first.split()[1], process, lines)
        finally:
            process.terminate()
            process.wait(timeout=30)
            reader.join()


def tidegate(*arguments: str | Path, check: bool = True, **variables: str) -> "subprocess.CompletedProcess[str]":
    """Run one command to its end."""
    command = [*TIDEGATE, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment() | variables)
    if check and done.returncode:
        pytest.fail(f"{' '.join(command)} exited with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done


def environment() -> dict[str, str]:
    """This process's environment without what would change a server's behaviour, and without tuning at start."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("TIDEGATE_", "MLFLOW_"))}
    return kept | {"TIDEGATE_TUNE": "false", "TIDEGATE_LAME_DUCK_SECONDS": "0"}


def monitors_of(parent: int) -> list[int]:
    """Monitor processes that a process has started and that have not ended."""
    return _children(parent, b"monitoring.child")


def demos_of(parent: int) -> list[int]:
    """Processes with demos that a process has started and that have not ended."""
    return _children(parent, b"demos.child")


def _children(parent: int, name: bytes) -> list[int]:
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command, stat = (folder / "cmdline").read_bytes(), (folder / "stat").read_text()
        except OSError:  # it has just ended
            continue
        state, of = stat[stat.rindex(")") + 2 :].split()[:2]
        if name in command and int(of) == parent and state != "Z":
            found.append(int(folder.name))
    return found


def export_python() -> Path:
    """The export environment's interpreter; skips the test where there is none."""
    try:
        return environments.export_python()
    except EnvironmentMissing as error:
        pytest.skip(str(error))


def shared_data(name: str) -> Path:
    """A shared data set; skips the test where it is not there."""
    file = DATA / name
    if not file.is_file():
        pytest.skip(f"the shared data set {name} is not beside the checkout (../shared/data)")
    return file
