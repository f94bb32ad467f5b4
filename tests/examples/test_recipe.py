"""A run's recipe repeats its training; splits that are made already are taken as they are."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from exporters import training_runs
from tests.exporters.models import write_rows
from tidegate.cli.children import train_example
from tidegate.settings import Settings

EXAMPLES = Path(__file__).parents[2] / "examples"
OPTIONS = ["--epochs", "2", "--analyzer", "word", "--ngrams", "1", "1", "--min-df", "1", "--threshold", "0.4"]


def splits(folder: Path, **changed: list[tuple[str, str]]) -> Path:
    rows = [(f"{word} number {index}", label) for index in range(9) for word, label in (("up", "a"), ("down", "b"))]
    parts = {"training": rows, "validation": rows[:4], "evaluation": rows[:6]} | changed
    folder.mkdir(exist_ok=True)
    for name, part in parts.items():
        write_rows(folder / f"{name}.csv", part)
    return folder


def asked(action: str, *arguments: str) -> Any:
    """What a function of `training_runs` answers, in a process of its own, as the export child calls it."""
    code = (
        "import json, sys; from pathlib import Path; from exporters import training_runs as runs;"
        "action, one, two, three = sys.argv[1:];"
        "print(json.dumps(runs.fetch_parent(one, two, Path(three)) if action == 'fetch_parent'"
        " else runs.find_trained(one, two, three)))"
    )
    done = subprocess.run([sys.executable, "-c", code, action, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
def test_a_recipe_trains_again_on_other_splits_and_the_run_is_found_by_its_tag(tmp_path: Path) -> None:
    home = tmp_path / "home"
    settings, store = Settings(home=home, export_python=sys.executable), f"sqlite:///{home / 'mlflow' / 'mlflow.db'}"
    first = train_example(
        settings, "train_tfidf.py", ["--splits", str(splits(tmp_path / "one")), *OPTIONS, "--register", "m"]
    )
    parent = asked("fetch_parent", f"runs:/{first['run_id']}/model", store, str(tmp_path / "parent"))
    recipe = parent["recipe"]
    assert parent["splits"] == ["training", "validation", "evaluation"]
    assert (tmp_path / "parent" / "training.csv").read_text() == (tmp_path / "one" / "training.csv").read_text()
    assert recipe["script"] == "train_tfidf.py"
    assert {"--epochs", "--seed", "--threshold"} <= set(recipe["options"])
    assert not {"--data", "--splits", "--register", "--home"} & set(recipe["options"])

    assert asked("find_trained", "t1", "m", store) is None
    arguments = [*recipe["options"], "--splits", str(tmp_path / "parent")]
    tags = json.dumps({training_runs.RETRAINING_TAG: "t1", "tidegate.data_set": "m/1"})
    train_example(settings, "train_tfidf.py", arguments, variables={"MLFLOW_RUN_CONTEXT": tags})
    found = asked("find_trained", "t1", "m", store)

    assert found["run"] == "models:/m/2"  # registered by who found it: the process that trained did not
    assert found["run_id"] != first["run_id"]
    assert asked("find_trained", "t1", "m", store) == found
    again = asked("fetch_parent", f"runs:/{found['run_id']}/model", store, str(tmp_path / "again"))
    assert again["recipe"] == recipe


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"evaluation": [("sideways", "c")]}, "c is missing"),
        ({"training": [("up", "a"), ("up again", "a")]}, "has the classes a"),
    ],
)
def test_splits_that_do_not_fit_together_are_refused(
    tmp_path: Path, changed: dict[str, list[tuple[str, str]]], message: str
) -> None:
    folder = splits(tmp_path / "splits", **changed)
    command = [sys.executable, str(EXAMPLES / "train_tfidf.py"), "--splits", str(folder), "--home", str(tmp_path / "h")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 2
    assert message in done.stderr


def test_splits_and_data_exclude_each_other(tmp_path: Path) -> None:
    arguments = ["--splits", str(tmp_path), "--data", "rows.csv", "--home", str(tmp_path / "h")]
    command = [sys.executable, str(EXAMPLES / "train_tfidf.py"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert (done.returncode, "name one of them" in done.stderr) == (2, True)


def test_a_directory_gives_its_splits_and_no_recipe(tmp_path: Path) -> None:
    found = training_runs.fetch_parent(str(splits(tmp_path / "run")), "", tmp_path / "target")

    assert found == {"splits": ["training", "validation", "evaluation"], "recipe": None}
