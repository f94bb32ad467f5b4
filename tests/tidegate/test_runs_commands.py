"""`tidegate runs import` and `runs compare` as the how-to page tells them: its own lines, in a real environment."""

import json
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from tests.exporters.test_trainer_runs import write_state
from tests.servers import TIDEGATE, environment, export_python
from tidegate.environments import CHECKOUT

pytestmark = pytest.mark.slow

PAGE = CHECKOUT / "docs" / "how-to" / "import-runs.md"
LINES = re.findall(r"^tidegate (runs .*)$", PAGE.read_text(), re.MULTILINE)


def run(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """One command in that folder, with a home of its own."""
    variables = environment() | {"TIDEGATE_HOME": str(folder / "home")}
    variables |= {"TIDEGATE_EXPORT_PYTHON": str(export_python()), "PYTHONPATH": str(CHECKOUT)}
    command = [*TIDEGATE, *arguments]
    return subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True, check=False)


def test_the_lines_of_the_page_import_and_compare(tmp_path: Path) -> None:
    for name, steps in (("a", 4), ("b", 9)):
        write_state(tmp_path / "experiments" / name, steps)
    done = [run(tmp_path, *shlex.split(line)) for line in LINES]
    assert [each.returncode for each in done] == [0, 0], "".join(each.stderr for each in done)
    imported, compared = done
    assert re.search(r"a +trainer +added .* models:/headlines/1", imported.stdout)
    assert "next: tidegate export models:/headlines/1" in imported.stderr
    assert re.search(r"loss +0\.25 +0\.111111 \*", compared.stdout)
    assert "loss by step" in compared.stdout
    assert "<svg" in (tmp_path / "comparison.html").read_text()
    again = json.loads(run(tmp_path, "runs", "import", "experiments", "--json").stdout)
    assert [(row["result"], row["points"]) for row in again["runs"]] == [("unchanged", 0)] * 2
    ids = [row["run_id"] for row in again["runs"]]
    document = json.loads(run(tmp_path, "runs", "compare", *ids, "--json").stdout)
    assert [row["name"] for row in document["runs"]] == ["a", "b"]
    assert [row["metric"] for row in document["curves"]] == ["learning_rate", "loss"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["import", "nowhere"], "no such folder"),
        (["import", "."], "holds no run"),
        (["compare", "one"], "two runs or more"),
        (["compare", "one", "two", "--output", "a.pdf"], "name a .png or .html file"),
    ],
)
def test_what_cannot_be_done_is_a_usage_error_that_says_what_to_do(
    tmp_path: Path, arguments: list[str], said: str
) -> None:
    done = run(tmp_path, "runs", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr


def test_when_nothing_can_be_read_the_command_fails(tmp_path: Path) -> None:
    (write_state(tmp_path / "out", 2) / "trainer_state.json").write_text("{")
    done = run(tmp_path, "runs", "import", "out")
    assert done.returncode == 1
    assert "cannot be read" in done.stderr
