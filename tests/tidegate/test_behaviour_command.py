"""`tidegate behaviour`: the kept file is begun, grows, and is run against a version; the exit code says how it went."""

import json
from pathlib import Path

import pytest

from tests import bundles
from tests.servers import tidegate
from tidegate.behaviour import load_suite
from tidegate.behaviour_file import kept_file
from tidegate.bundle_store import BundleStore

pytestmark = pytest.mark.slow


@pytest.fixture
def home(tmp_path: Path) -> Path:
    bundles.sentiment(BundleStore(tmp_path / "bundles"))
    return tmp_path


def test_the_kept_file_is_begun_and_an_example_added_to_it_once(home: Path) -> None:
    example = ("--text", "profit rises", "--label", "positive", "--home", home)
    assert "wrote " in tidegate("behaviour", "init", "sentiment", "--home", home).stderr
    assert tidegate("behaviour", "init", "sentiment", "--home", home, check=False).returncode == 2
    assert "added to" in tidegate("behaviour", "add", "sentiment", *example).stderr
    assert "has it already" in tidegate("behaviour", "add", "sentiment", *example).stderr
    assert [one.text for one in load_suite(kept_file(home, "sentiment")).examples] == ["profit rises"]
    done = tidegate("behaviour", "add", "sentiment", "--text", "x", "--label", "happy", "--home", home, check=False)
    assert done.returncode == 1
    assert "'happy' is no label of sentiment; it has: negative" in done.stderr


def test_a_run_of_a_file_tells_what_failed_and_exits_as_refused_by_a_gate(home: Path) -> None:
    file = home / "mine.yaml"
    file.write_text("examples:\n- {text: profit rises, label: positive}\n- {text: shares fell, label: positive}\n")
    done = tidegate("behaviour", "run", "sentiment", "--suite", file, "--json", "--home", home, check=False)
    assert done.returncode == 3
    [suite] = json.loads(done.stdout)["suites"]
    [test] = suite["tests"]
    assert (test["cases"], test["failures"], test["shown"][0]["text"]) == (2, 1, "shares fell")
    assert "1 behavioural tests failed that gate: suite: examples" in done.stderr


def test_built_in_suites_inform_and_a_bundle_from_before_has_nothing_to_show(home: Path) -> None:
    done = tidegate("behaviour", "run", "sentiment", "--home", home)
    assert "failed, informs" in done.stdout
    assert "sentiment, words of praise are positive (" in done.stderr
    shown = tidegate("behaviour", "show", "sentiment", "--home", home, check=False)
    assert shown.returncode == 2
    assert "`tidegate behaviour run sentiment` runs them now" in shown.stderr


def test_vectors_have_no_behavioural_tests(tmp_path: Path) -> None:
    bundles.embedder(BundleStore(tmp_path / "bundles"))
    done = tidegate("behaviour", "run", "embedder", "--home", tmp_path, check=False)
    assert done.returncode == 2
    assert "about labels" in done.stderr
