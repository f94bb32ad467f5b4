"""`tidegate loadtest` as a person runs it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from loadtests.measured import Outcome
from loadtests.report import Report
from tests.loadtests.toy_server import Toy, served

ENVIRON = {name: value for name, value in os.environ.items() if not name.startswith("TIDEGATE_")}


def tidegate(*arguments: str, folder: Path, before: str = "", **environ: str) -> subprocess.CompletedProcess[str]:
    script = f"import sys; {before}\nsys.argv = ['tidegate', *sys.argv[1:]]\nfrom tidegate.cli import main\nmain()"
    return subprocess.run(
        [sys.executable, "-c", script, "loadtest", *arguments],
        cwd=folder,
        env=ENVIRON | environ,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_run_prints_its_numbers_and_writes_both_reports(tmp_path: Path) -> None:
    with served(Toy(service_seconds=0.01)) as url:
        done = tidegate(url, "--model", "toy", "--users", "2", "--duration", "1s", folder=tmp_path)

    (document,) = (tmp_path / "reports").glob("*.json")
    (page,) = (tmp_path / "reports").glob("*.html")
    report = Report.model_validate_json(document.read_bytes())
    assert done.returncode == 0, done.stderr
    assert "p99 ms" in done.stdout
    assert page.name in done.stderr
    assert report.conditions.command == f"tidegate loadtest {url} --model toy --users 2 --duration 1s"
    assert report.result.measured
    assert report.result.measured.requests


def test_json_stands_alone_on_stdout(tmp_path: Path) -> None:
    with served(Toy(service_seconds=0.01)) as url:
        done = tidegate(url, "--model", "toy", "--duration", "1s", "--json", "--report", "here", folder=tmp_path)

    assert Report.model_validate(json.loads(done.stdout)).conditions.users == 16
    assert len(list((tmp_path / "here").iterdir())) == 2


def test_failures_are_told_by_kind_and_end_in_exit_code_1_with_a_report(tmp_path: Path) -> None:
    toy = Toy(service_seconds=0.01)
    toy.spoil = 3
    with served(toy) as url:
        done = tidegate(url, "--model", "toy", "--duration", "1s", "--users", "2", folder=tmp_path)

    assert done.returncode == 1
    assert "requests failed: wrong answer: a label the model does not have (" in done.stderr
    assert len(list((tmp_path / "reports").iterdir())) == 2


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["http://127.0.0.1:1", "--model", "toy"], 1, "no server answers at http://127.0.0.1:1"),
        (["nowhere", "--model", "toy"], 2, "'nowhere' is no server's address"),
        (["http://x", "--model", "../toy"], 2, "model name '../toy'"),
        (["http://x", "--model", "toy", "--slo", "fast"], 2, "--slo 'fast' is no objective"),
        (["http://x", "--model", "toy", "--slo", "p99=1s", "--users", "3"], 2, "leave out --users and --duration"),
        (["http://x", "--model", "toy", "--duration", "2h"], 2, "--duration '2h' is no duration"),
        (["http://x", "--model", "toy", "--duration", "61m"], 2, "out of range"),
        (["http://x", "--model", "toy", "--users", "0"], 2, "--users"),
        (["http://x", "--model", "toy", "--scenario", "chaos"], 2, "chaos"),
        (["http://x"], 2, "--model"),
    ],
)
def test_what_cannot_be_done_is_one_clear_error_with_the_right_code(
    tmp_path: Path, arguments: list[str], code: int, words: str
) -> None:
    done = tidegate(*arguments, folder=tmp_path)

    assert done.returncode == code
    assert words in done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_model_and_a_missing_key_are_told_apart(tmp_path: Path) -> None:
    toy = Toy()
    toy.key = "secret-key"
    with served(toy) as url:
        refused = tidegate(url, "--model", "toy", folder=tmp_path)
        unknown = tidegate(url, "--model", "other", folder=tmp_path, TIDEGATE_API_KEY="secret-key")

    assert (refused.returncode, unknown.returncode) == (1, 1)
    assert "set TIDEGATE_API_KEY" in refused.stderr
    assert "serves no model 'other'" in unknown.stderr


def test_without_locust_the_error_names_the_extra(tmp_path: Path) -> None:
    done = tidegate("http://x", "--model", "toy", folder=tmp_path, before="sys.modules['locust'] = None")

    assert done.returncode == 1
    assert "pip install 'tidegate[loadtest]'" in done.stderr


def test_the_parent_is_never_patched_by_gevent() -> None:
    script = "import loadtests.locust_child, loadtests.report, sys; print({'locust', 'gevent'} & set(sys.modules))"

    printed = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert printed.stdout.strip() == "set()"


def capacity(url: str, folder: Path) -> Outcome:
    """What the search finds for a p99 of 100 ms."""
    found = tidegate(url, "--model", "toy", "--slo", "p99=100ms", "--json", folder=folder)
    outcome = Report.model_validate(json.loads(found.stdout)).result.outcome
    assert outcome
    return outcome


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_the_search_finds_a_known_capacity_that_a_closed_loop_hides(tmp_path: Path) -> None:
    """One worker with 5 ms a request: 200/s. Ten callers who wait see 50 ms whatever the demand."""
    with served(Toy(service_seconds=0.005)) as url:
        closed = tidegate(url, "--model", "toy", "--users", "10", "--duration", "5s", "--json", folder=tmp_path)
        outcome = capacity(url, tmp_path)
        if outcome.limited_by == "client":  # it was busy with something else, and says that it measured itself
            outcome = capacity(url, tmp_path)

    waiting = Report.model_validate(json.loads(closed.stdout)).result.measured
    assert waiting
    # The closed loop runs the server at its capacity and reports an easy p99, as if 100 ms held at 200/s ...
    assert waiting.latency_seconds
    assert waiting.requests_per_second > 0.8 * 200
    assert waiting.latency_seconds.p50 < 0.1
    # ... while arrivals that do not wait queue up before the capacity is reached.
    assert outcome.rate
    assert 0.5 * 200 < outcome.rate < 1.03 * 200
    assert any(step.verdict == "broken" and step.rate > 200 for step in outcome.steps)
