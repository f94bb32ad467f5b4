"""A training command of the user's own, run in the export environment's process tree; ends with what started it.

Started by `tidegate.cli.training` as `python -m tidegate.cli.command_child FILE`, with the argument list in the file.
What the command prints goes to stderr; its last line of stdout that is a JSON object with `run` names the run, and
without one the run is found by its tag. `python` as the first word is the export environment's.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tidegate.cli import children
from tidegate.errors import TidegateError, UsageError


def run(command: Sequence[str]) -> dict[str, Any]:
    """Run a command to its end; what it says of its run, or nothing.

    Raises:
        UsageError: there is no such program.
        TidegateError: it failed.
    """
    program = sys.executable if command[0] in ("python", "python3") else command[0]
    said: dict[str, Any] = {}
    try:
        # A group of its own, so that what it starts ends with it; it answers on stdout, and not as a child of ours.
        process = subprocess.Popen(
            [program, *command[1:]],
            env={name: value for name, value in os.environ.items() if name != children.ANSWER_FILE},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
            process_group=0,
        )
    except OSError as error:
        raise UsageError(f"the command cannot be started: {program}: {error.strerror}") from None
    children.attend_parent(lambda: _end(process))
    for line in process.stdout or ():
        print(line, end="", file=sys.stderr, flush=True)  # noqa: T201
        said = _document(line) or said
    code = process.wait()
    if code:
        raise TidegateError(f"the command {command[0]} stopped with exit code {code}; its own message is above")
    return said


def _document(line: str) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except ValueError:
        return {}
    return found if isinstance(found, dict) and isinstance(found.get("run"), str) else {}


def _end(process: "subprocess.Popen[str]") -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)


if __name__ == "__main__":
    try:
        children.answer(run(json.loads(Path(sys.argv[1]).read_bytes())["command"]))
    except TidegateError as error:
        children.refuse(error)
