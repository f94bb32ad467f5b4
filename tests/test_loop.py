"""The whole circle by one command, with simulated annotators; killed at every step, and run again until it is done."""

import csv
import json
import os
import signal
import sqlite3
import subprocess
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.servers import TIDEGATE, environment, tidegate
from tests.trained import copy_news

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

STEPS = (
    "send", "queue", "label", "doubt", "settle", "check_labels", "build_data_set", "train", "export", "gate", "deploy",
)  # fmt: skip
# What is printed when a step's work is done and not yet written down.
DONE_AND_NOT_WRITTEN = {"train": "done; next: tidegate export", "export": "published news/2"}
LABELS = 240


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with a small model of headlines, registered and exported."""
    return copy_news(tmp_path)


@pytest.fixture(scope="module")
def drifted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Texts of another kind, with labels that follow from words that headlines do not have."""
    rng = Random(3)
    good = ["superb", "moving", "brilliant", "delightful", "charming", "gripping", "tender", "witty"]
    bad = ["dreary", "clumsy", "tedious", "shallow", "noisy", "lifeless", "bloated", "stale"]
    plain = ["upcoming", "announced", "restored", "subtitled", "animated", "unreleased", "archived", "foreign"]
    nouns = ["film", "actor", "director", "plot", "scene", "script", "camera", "score", "sequel", "remake"]
    rows: set[tuple[str, str]] = set()
    while len(rows) < 1_200:
        words, label = rng.choice([(good, "positive"), (bad, "negative"), (plain, "neutral")])
        one, other = rng.sample(words, 2)
        first, second = rng.sample(nouns, 2)
        rows.add((f"a {one} {first} with a {other} {second} from studio {rng.randrange(400)}", label))
    file = tmp_path_factory.mktemp("labels") / "labels.csv"
    with file.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([("text", "label"), *sorted(rows, key=lambda row: rng.random())])
    return file


def test_killed_at_every_step_the_loop_ends_as_if_it_never_was_with_a_better_model(home: Path, drifted: Path) -> None:
    command = [*TIDEGATE, "loop", "news", "--simulate", str(drifted), "--labels", str(LABELS), "--home", str(home)]
    marks = [mark for step in STEPS for mark in (f"{STEPS.index(step) + 1}/11 {step}", DONE_AND_NOT_WRITTEN.get(step))]
    for mark in filter(None, marks):
        assert _killed_at(mark, command), f"{mark!r} was never said"
    done = tidegate(*command[3:], "--json")
    found = json.loads(done.stdout)["retraining"]

    assert found["state"] == "promoted"
    assert "doubt: done before" in done.stderr
    assert (found["data_set"], found["version"]) == (1, 2)
    assert sorted(path.name for path in (home / "data_sets" / "news").iterdir()) == [".lock", "1"]
    bundles = json.loads(tidegate("bundles", "list", "--json", "--home", home).stdout)
    assert [(each["version"], each["aliases"]) for each in bundles] == [(1, []), (2, ["champion"])]
    runs = json.loads(tidegate("runs", "list", "--json", "--home", home).stdout)
    assert sorted(run["uri"] for run in runs) == ["models:/news/1", "models:/news/2"]
    _nothing_lost_or_doubled(home, drifted)
    _learned_from_what_it_was_sent(home, json.loads(done.stdout))


def _killed_at(mark: str, command: Sequence[str]) -> bool:
    """Run a command until it says something, then kill it and all that it started; whether it said it."""
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment(), process_group=0) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if mark in line and "done before" not in line:
                os.killpg(process.pid, signal.SIGKILL)
                return True
    return False


def _learned_from_what_it_was_sent(home: Path, found: dict[str, Any]) -> None:
    steps = found["retraining"]["detail"]["steps"]
    assert steps["send"]["alerts"] == [1]
    assert steps["build_data_set"]["alerts"] == [1]
    for split in ("random", "evaluation"):
        with (home / "data_sets" / "news" / "1" / f"{split}.csv").open(newline="") as rows:
            assert steps["gate"][split]["rows"] == len(list(csv.DictReader(rows))) > 0
    assert found["unasked"]["new"] > found["unasked"]["live"] + 0.2
    shown = json.loads(tidegate("runs", "show", found["retraining"]["run"], "--home", home).stdout)
    assert shown["params"]["analyzer"] == "word"
    listed = json.loads(tidegate("retrainings", "news", "--json", "--home", home).stdout)
    assert [(each["state"], each["now"]) for each in listed] == [("promoted", "champion")]


def _nothing_lost_or_doubled(home: Path, drifted: Path) -> None:
    sent = len(drifted.read_text().splitlines()) - 1
    with sqlite3.connect(home / "state.db") as state:
        ((records,),) = state.execute("select count(distinct id) from records")
        ((items,),) = state.execute("select count(*) from relabel_items")
        ((unanswered,),) = state.execute(
            "select count(*) from relabel_items where id not in (select item_id from annotations)"
        )
        ((in_data_set,),) = state.execute("select count(*) from relabel_items where state = 'in_data_set'")
        ((alerts,),) = state.execute("select count(*) from alerts where kind = 'drift'")
    document = json.loads((home / "data_sets" / "news" / "1" / "data_set.json").read_text())
    placed = [item["id"] for item in document["items"]]

    assert (records, unanswered, alerts) == (sent, 0, 1)
    assert items >= LABELS
    assert len(placed) == len(set(placed)) == in_data_set
    assert in_data_set > 0.8 * items
