"""Children are real processes here: this interpreter, told to be the export environment's."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tidegate.cli.children import run_child, train_example
from tidegate.cli.export import default_name
from tidegate.errors import EnvironmentMissing, GateRefused, RunNotFound, TidegateError, UsageError
from tidegate.settings import Settings

SETTINGS = Settings(export_python=sys.executable)
PRELUDE = "import os, sys, time\nfrom tidegate import errors\nfrom tidegate.cli import children\n"


def ask(code: str, settings: Settings = SETTINGS) -> object:
    return run_child(settings, ["-c", PRELUDE + code])


def test_a_childs_answer_comes_back_whatever_it_prints(capfd: pytest.CaptureFixture[str]) -> None:
    answer = ask("print('noise'); children.answer({'version': 3, 'text': 'Größe'}); print('more')")
    assert answer == {"version": 3, "text": "Größe"}
    captured = capfd.readouterr()
    assert captured.out == ""
    assert captured.err.split() == ["noise", "more"]


@pytest.mark.parametrize("kind", [GateRefused, RunNotFound, UsageError, TidegateError])
def test_a_childs_error_comes_back_as_its_own_class_and_message(kind: type[TidegateError]) -> None:
    with pytest.raises(TidegateError, match="what, and what to do") as caught:
        ask(f"children.refuse(errors.{kind.__name__}('what, and what to do'))")
    assert type(caught.value) is kind


def test_an_error_class_of_the_childs_own_comes_back_as_its_nearest_known_parent() -> None:
    with pytest.raises(RunNotFound, match="gone"):
        ask("class Lost(errors.RunNotFound): pass\nchildren.refuse(Lost('gone'))")


@pytest.mark.parametrize(("code", "kind"), [(1, TidegateError), (2, UsageError), (3, GateRefused), (9, TidegateError)])
def test_a_bare_exit_code_maps_to_the_error_tree(code: int, kind: type[TidegateError]) -> None:
    with pytest.raises(TidegateError, match=f"exit code {code}") as caught:
        ask(f"sys.exit({code})")
    assert type(caught.value) is kind


def test_a_child_that_ends_well_without_an_answer_is_a_failure() -> None:
    with pytest.raises(TidegateError, match="exit code 0"):
        ask("pass")


def test_a_killed_child_is_named_by_its_signal() -> None:
    with pytest.raises(TidegateError, match="killed by SIGKILL"):
        ask("os.kill(os.getpid(), 9)")


def test_secrets_do_not_reach_a_child(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDEGATE_API_KEY", "s3cret")
    monkeypatch.setenv("SLACK_TOKEN", "s3cret")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://registry")
    names = ask("children.answer(sorted(os.environ))")
    assert isinstance(names, list)
    assert "MLFLOW_TRACKING_URI" in names
    assert not {"TIDEGATE_API_KEY", "SLACK_TOKEN"} & set(names)


def test_a_request_travels_in_a_file_that_only_the_owner_reads() -> None:
    code = "file = sys.argv[1]; children.answer([open(file).read(), os.stat(file).st_mode & 0o777, sys.argv[1:]])"
    answer = run_child(SETTINGS, ["-c", PRELUDE + code], {"run": "s3cret"})
    assert isinstance(answer, list)
    assert (answer[0], answer[1]) == ('{"run": "s3cret"}', 0o600)
    assert "s3cret" not in str(answer[2])
    assert not Path(answer[2][0]).exists()


@pytest.mark.parametrize("embedded", [True, False])
def test_the_embedded_store_is_used_whatever_the_environment_names(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, embedded: bool
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://user:s3cret@registry")
    code = "from tidegate.home import tracking_uri; from pathlib import Path; "
    code += f"children.answer(tracking_uri(Path({str(tmp_path)!r})))"
    answer = run_child(SETTINGS, ["-c", PRELUDE + code], embedded_store=embedded)
    own = f"sqlite:///{tmp_path / 'mlflow' / 'mlflow.db'}"
    assert answer == (own if embedded else "http://user:s3cret@registry")


def test_a_missing_interpreter_is_named() -> None:
    with pytest.raises(EnvironmentMissing, match="/nowhere/python"):
        ask("pass", Settings(export_python="/nowhere/python"))


def test_an_unknown_example_is_named() -> None:
    with pytest.raises(TidegateError, match=r"train_nothing\.py"):
        train_example(SETTINGS, "train_nothing.py", [])


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT])
def test_a_child_never_outlives_its_parent(tmp_path: Path, end: signal.Signals) -> None:
    pid_file = tmp_path / "pid"
    child = f"children.attend_parent(); open({str(pid_file)!r}, 'w').write(str(os.getpid())); time.sleep(60)"
    code = (
        # whoever runs the tests in the background has SIGINT ignored, which children inherit
        "import signal, sys\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from tidegate.cli.children import run_child\nfrom tidegate.settings import Settings\n"
        f"run_child(Settings(export_python=sys.executable), ['-c', {PRELUDE + child!r}])"
    )
    with subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL) as parent:
        pid = int(_wait_for(lambda: pid_file.read_text() if pid_file.is_file() else ""))
        parent.send_signal(end)
        parent.wait(20)
    assert _wait_for(lambda: "" if _alive(pid) else "gone") == "gone"


def _alive(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"


def _wait_for(probe: object, seconds: float = 30.0) -> str:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if callable(probe) and (found := probe()):
            return str(found)
        time.sleep(0.05)
    raise TimeoutError


@pytest.mark.parametrize(
    ("run", "name"),
    [
        ("models:/headlines@champion", "headlines"),
        ("models:/my.model v2/3", "my-model-v2"),
        ("runs:/abc/some/model", "model"),
        ("./runs/news-model/", "news-model"),
        ("models:/_hidden/1", "hidden"),
    ],
)
def test_a_run_suggests_a_name(run: str, name: str) -> None:
    assert default_name(run) == name


def test_a_run_without_a_usable_name_asks_for_one() -> None:
    with pytest.raises(UsageError, match="--name"):
        default_name("/")
