"""Children in the export environment: how the command line starts them, and how they answer.

`tidegate export` and friends run in the serve environment, the exporters in another one (facts: their pins
exclude each other). A child gets an allow-listed environment without secrets and an empty stdin that closes
when the parent dies, so that it never outlives it; its stdout and stderr go to the parent's stderr. What is
asked goes over as one JSON file that only the owner can read, because `ps` shows command lines to everybody; the
answer, or the error, comes back as another. Parents call `run_child` and `train_example`; children call
`attend_parent`, `answer` and `refuse`.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from tidegate import errors
from tidegate import home as home_folder
from tidegate.environments import CHECKOUT, PACKAGE, child_environment, export_python
from tidegate.errors import GateRefused, TidegateError, UsageError
from tidegate.settings import Settings

ANSWER_FILE = "CHILD_ANSWER_FILE"  # not TIDEGATE_*: that prefix belongs to the settings
_STOP_SECONDS = 5.0
_REGISTRIES = ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI")


def run_child(
    settings: Settings,
    argv: Sequence[str],
    request: dict[str, Any] | None = None,
    *,
    embedded_store: bool = False,
    variables: Mapping[str, str] | None = None,
) -> Any:
    """Run the export environment's interpreter with `argv`, and return the document that it answered.

    Args:
        settings: for the export environment.
        argv: what follows the interpreter's name.
        request: written to a private JSON file, whose path becomes the last argument.
        embedded_store: hide MLFLOW_TRACKING_URI and MLFLOW_REGISTRY_URI from the child, so that it uses the home
            folder's own store.
        variables: what else its environment holds.

    Raises:
        TidegateError: what the child raised, under its own class and with its own message.
        EnvironmentMissing: there is no export environment.
    """
    command = [str(export_python(settings.export_python)), *argv]
    with tempfile.TemporaryDirectory(prefix="tidegate-child-") as folder:
        answer = Path(folder) / "answer.json"
        if request is not None:
            command.append(str(_write_request(request, Path(folder))))
        environment = _environment(embedded_store=embedded_store) | dict(variables or {})
        code = _wait(command, environment | {ANSWER_FILE: str(answer)})
        document: dict[str, Any] = json.loads(answer.read_bytes()) if answer.is_file() else {}
    if code == 0 and "answer" in document:
        return document["answer"]
    raise _error(document, code, argv)


def _write_request(request: dict[str, Any], folder: Path) -> Path:
    file = folder / "request.json"
    file.touch(0o600)
    file.write_text(json.dumps(request))
    return file


def _environment(*, embedded_store: bool) -> dict[str, str]:
    elsewhere = _REGISTRIES if embedded_store else ()
    return {name: value for name, value in child_environment(os.environ).items() if name not in elsewhere}


def train_example(
    settings: Settings,
    script: str,
    arguments: Sequence[str],
    *,
    embedded_store: bool = False,
    variables: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Run a training script of `examples/` in the export environment.

    Args:
        settings: for the home folder and the export environment.
        script: file name, such as `train_tfidf.py`.
        arguments: its command line; `--home` is added.
        embedded_store: log to the home folder's own store, whatever MLFLOW_TRACKING_URI says.
        variables: what else its environment holds.

    Returns:
        `{"run": URI to export, "run_id": ..., "model_uri": ...}`.

    Raises:
        TidegateError: no such script, or what the script refused.
    """
    places = [PACKAGE / "examples" / script, CHECKOUT / "examples" / script]  # in a wheel, in a checkout
    found = next((place for place in places if place.is_file()), None)
    if found is None:
        raise TidegateError(f"no example {script!r} in {places[0].parent} or {places[1].parent}; reinstall Tidegate")
    home_folder.prepare(settings)
    argv = [str(found), *arguments, "--home", str(settings.home.absolute())]
    document: dict[str, Any] = run_child(settings, argv, embedded_store=embedded_store, variables=variables)
    return document


def _wait(command: Sequence[str], environment: dict[str, str]) -> int:
    # stdout=2: what libraries print there is progress; the parent's stdout is for results.
    with subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=2) as process:
        try:
            return process.wait()
        except BaseException:  # Ctrl-C, or the caller's own end: the child ends first
            process.terminate()
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
            raise


def _error(document: dict[str, Any], code: int, argv: Sequence[str]) -> TidegateError:
    kind = getattr(errors, str(document.get("error")), None)
    if isinstance(kind, type) and issubclass(kind, TidegateError):
        return kind(document["message"])
    what = Path(argv[0]).name if argv[0] != "-m" else argv[1]
    if code < 0:
        name = signal.Signals(-code).name if -code in set(signal.Signals) else str(-code)
        return TidegateError(f"the export child ({what}) was killed by {name}; nothing was published, run it again")
    by_code = {UsageError.exit_code: UsageError, GateRefused.exit_code: GateRefused}.get(code, TidegateError)
    return by_code(f"the export child ({what}) stopped with exit code {code}; its own message is above")


def answer(document: Any) -> None:
    """In a child: hand the answer to the parent, or print it where a person started the child."""
    _deliver({"answer": document}) or print(json.dumps(document))  # noqa: T201


def refuse(error: TidegateError) -> NoReturn:
    """In a child: hand the error to the parent, or print it, and exit with its code."""
    if not _deliver({"error": _known_class(error), "message": str(error)}):
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
    sys.exit(error.exit_code)


def attend_parent(at_end: Callable[[], None] = lambda: None) -> None:
    """In a child: end when the parent does, however it died. Does nothing where a person started it.

    Args:
        at_end: called first, in a thread, to end what this child has started.
    """
    if ANSWER_FILE in os.environ:
        threading.Thread(target=_end_with_parent, args=(at_end,), daemon=True, name="attend-parent").start()


def _end_with_parent(at_end: Callable[[], None]) -> None:
    while os.read(0, 4096):  # the parent writes nothing; an empty read says that it is gone
        pass
    at_end()
    os._exit(1)


def _deliver(document: dict[str, Any]) -> bool:
    file = os.environ.get(ANSWER_FILE)
    if file is None:
        return False
    draft = Path(f"{file}.draft")
    draft.write_text(json.dumps(document))
    draft.replace(file)
    return True


def _known_class(error: TidegateError) -> str:
    """The nearest class that `tidegate.errors` defines."""
    return next(kind.__name__ for kind in type(error).__mro__ if hasattr(errors, kind.__name__))
