"""The tutorial's step from drift to an alert shows what its text says: its own code, against a real server."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers import Server, environment, export_python, running, tidegate
from tidegate.environments import CHECKOUT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1_800)]

PAGE = CHECKOUT / "docs" / "tutorial.md"
SENDS = re.compile(r"python - <<'PY'\n(.*?)^PY$", re.MULTILINE | re.DOTALL)
PAGE_URL = "http://127.0.0.1:8080"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with the run of the tutorial's first step."""
    home = tmp_path_factory.mktemp("circle")
    command = [export_python(), CHECKOUT / "examples" / "train_tfidf.py", "--home", home, "--register", "news"]
    done = subprocess.run(
        [*map(str, command), "--alias", "champion"], capture_output=True, text=True, check=False, env=environment()
    )
    assert done.returncode == 0, done.stderr
    return home


@pytest.fixture(scope="module")
def server(home: Path) -> Iterator[Server]:
    """The tutorial's server, after the step's own code has sent its texts."""
    with running(["up", "models:/news@champion"], home) as server:
        (code,) = SENDS.findall(PAGE.read_text())
        assert PAGE_URL in code
        subprocess.run([sys.executable, "-c", code.replace(PAGE_URL, server.url)], check=True)
        yield server


def test_the_report_says_what_the_tutorial_says_of_it(home: Path, server: Server) -> None:
    with server.client() as client:
        assert client.get("/drift/news").status_code == 200
    sentence, advice, *rest = tidegate("drift", "news", "--home", home).stdout.splitlines()
    rest_of_it = "\n".join(rest)

    assert "differ from what this model was made for" in sentence
    assert "read the examples" in advice
    assert "do not rely on it" in rest_of_it
    assert "kind of shift: covariate" in rest_of_it
    for word in re.findall(r"`(\w+)`", PAGE.read_text().split("*covariate*")[1].split("Already")[0]):
        assert re.search(rf"^words that are (new|gone): .*\b{word}\b", rest_of_it, re.MULTILINE), word
    assert "inputs have drifted far" in rest_of_it


def test_the_alert_is_explained_acknowledged_and_has_queued_fifty_texts(home: Path, server: Server) -> None:
    assert "a classifier tells these texts from the model's own" in (
        tidegate("drift", "news", "--alert", "1", "--home", home).stdout
    )
    tidegate("alerts", "ack", "1", "--note", "film reviews", "--home", home)
    (alert,) = json.loads(tidegate("alerts", "list", "--json", "--home", home).stdout)
    queued = json.loads(tidegate("relabel", "list", "news", "--json", "--home", home).stdout)

    assert (alert["kind"], alert["state"]) == ("drift", "acknowledged")
    assert sum(item["reason"] == "drift" for item in queued) == 50
