"""Runs `locustfile` headless in a child process, and passes its progress on.

After `target`, before `report`. A process of its own, because Locust's gevent patches the standard library of
whoever imports it. Bounded: Locust stops by itself after `--run-time`, and a child that outlives its caller
finds its pipe broken. It gets an empty folder to live in, so that no `locust.conf` of the user's changes what
is measured; the API key travels in its environment, never on its command line.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import IO

from loadtests.measured import Message, Progress, Result
from loadtests.search import LIMIT_SECONDS
from tidegate.errors import EnvironmentMissing, TidegateError

LOCUSTFILE = Path(__file__).with_name("locustfile.py")
CALLERS = {"single": "Single", "batches": "Batches", "mixed": "Mixed"}
SEED = 0
# A search checks its limit between steps; its last step may add a window and the wait for its answers.
SEARCH_RUN_SECONDS = round(LIMIT_SECONDS + 30)
EXIT_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Plan:
    """One load test: callers in a closed loop for a while, or, with an objective, a search.

    Attributes:
        users: callers at once; not used by a search.
        duration_seconds: not used by a search.
        slo: objective such as `p99=100ms`; empty for a closed loop.
    """

    url: str
    model: str
    scenario: str
    users: int
    duration_seconds: float
    slo: str = ""


def check_installed() -> None:
    """Fail before anything else where Locust is missing.

    Raises:
        EnvironmentMissing: Locust is not installed.
    """
    if find_spec("locust") is None:
        raise EnvironmentMissing("load tests need Locust, which is not installed: pip install 'tidegate[loadtest]'")


def run_locust(plan: Plan, environ: Mapping[str, str], on_progress: Callable[[Progress], None]) -> Result:
    """Carry out a plan.

    Args:
        plan: what to do.
        environ: the environment of the child; `TIDEGATE_API_KEY` in it is sent along.
        on_progress: called about once a second.

    Raises:
        TidegateError: the child ended without a result; the message carries its last words.
    """
    result = None
    with tempfile.TemporaryDirectory() as folder, _child(plan, environ, Path(folder)) as (lines, log):
        for line in lines:
            message = Message.model_validate_json(line)
            if message.progress:
                on_progress(message.progress)
            result = message.result or result
        if result is None:
            words = log.read_text(errors="replace").strip().splitlines()
            raise TidegateError(f"Locust ended without a result: {words[-1] if words else 'it said nothing'}")
    return result


def command(plan: Plan, pipe: int) -> Sequence[str]:
    """The child's command line."""
    if plan.slo:
        load = ["--users", "1", "--run-time", f"{SEARCH_RUN_SECONDS}s", "--slo", plan.slo, "Arrivals"]
    else:
        # all callers at once: the spawn rate is per second
        seconds = f"{max(1, round(plan.duration_seconds))}s"
        load = ["--users", str(plan.users), "--spawn-rate", str(plan.users), "--run-time", seconds]
        load.append(CALLERS[plan.scenario])
    options = {"--host": plan.url, "--model": plan.model, "--scenario": plan.scenario, "--seed": str(SEED)}
    quiet = ["--headless", "--only-summary", "--loglevel", "WARNING"]
    pairs = [word for pair in options.items() for word in pair]
    return [sys.executable, "-m", "locust", "-f", str(LOCUSTFILE), *quiet, *pairs, "--pipe", str(pipe), *load]


@contextmanager
def _child(plan: Plan, environ: Mapping[str, str], folder: Path) -> Iterator[tuple[IO[str], Path]]:
    """The running child: its messages line by line, and the file of its log."""
    reading, writing = os.pipe()
    clean = {name: value for name, value in environ.items() if not name.startswith("LOCUST_")}
    log = folder / "log"
    with os.fdopen(reading) as lines, log.open("wb") as words:
        try:
            process = subprocess.Popen(
                command(plan, writing),
                cwd=folder,
                env=clean | {"HOME": str(folder)},
                pass_fds=[writing],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=words,
            )
        finally:
            os.close(writing)  # the child holds the only end, so that its death ends the lines
        try:
            yield lines, log
        except BaseException:
            process.terminate()
            raise
        finally:
            _wait(process)


def _wait(process: subprocess.Popen[bytes]) -> None:
    """Until the child has ended, by force where it does not."""
    try:
        process.wait(EXIT_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
