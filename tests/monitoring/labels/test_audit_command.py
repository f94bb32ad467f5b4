"""`tidegate labels audit` ranks planted wrong labels of a file or of a run's splits, and says what to do next."""

import csv
import json
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest

from tests.trained import news

ROWS, WRONG = 600, 40
WORDS = {
    "bad": ("fell", "lost", "missed", "cut", "worse", "halved"),
    "good": ("rose", "won", "beat", "raised", "better", "doubled"),
    "plain": ("named", "moved", "listed", "meets", "publishes", "employs"),
}
FILLING = ("profit", "sales", "margin", "plant", "office", "board", "market", "quarter", "orders", "costs", "ship")


def sentence(rng: Random, label: str) -> str:
    """A text that a bag of words can learn, which few headlines of the generator are."""
    words = [*rng.sample(WORDS[label], 2), *rng.sample(FILLING, 6)]
    rng.shuffle(words)
    return " ".join(words)


def tidegate(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tidegate", "labels", "audit", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)


def spoiled(file: Path, rows: int = ROWS, wrong: int = WRONG) -> set[int]:
    """Write sentences with planted wrong labels; answers their rows, counted from 1."""
    rng = Random(4)
    planted = set(rng.sample(range(1, rows + 1), wrong))
    with file.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["headline", "tone"])
        for number in range(1, rows + 1):
            label, other = rng.sample(sorted(WORDS), 2)
            writer.writerow([sentence(rng, label), other if number in planted else label])
    return planted


@pytest.mark.slow
def test_planted_wrong_labels_of_a_file_are_ranked_first_and_written(tmp_path: Path) -> None:
    planted = spoiled(tmp_path / "data.csv")
    arguments = ["--data", str(tmp_path / "data.csv"), "--text-column", "headline", "--label-column", "tone"]
    done = tidegate(*arguments, "--json", "--output", str(tmp_path / "suspects.csv"))
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)

    assert found["rows"] == ROWS
    ranked = [suspect["row"] for suspect in found["suspects"]]
    assert len(planted & set(ranked[:WRONG])) >= 0.9 * WRONG
    assert sum(pair["suspects"] for pair in found["pairs"]) == len(ranked)
    with (tmp_path / "suspects.csv").open(newline="", encoding="utf-8") as stream:
        written = list(csv.DictReader(stream))
    assert [int(row["row"]) for row in written] == ranked
    assert written[0]["label"] != written[0]["suggested"]


@pytest.mark.slow
def test_people_get_a_table_the_totals_and_what_to_do_next(tmp_path: Path) -> None:
    spoiled(tmp_path / "data.csv", rows=400, wrong=40)
    done = tidegate(
        "--data", str(tmp_path / "data.csv"), "--text-column", "headline", "--label-column", "tone", "--top", "3"
    )

    assert done.returncode == 0, done.stderr
    assert "labels to look at again: 3 of " in done.stdout
    assert "by pair of classes" in done.stdout
    assert " of 400 labels are suspect; about " in done.stdout
    assert "--output FILE.csv writes all of them" in " ".join(done.stderr.split())


@pytest.mark.slow
def test_the_splits_of_a_run_are_fetched_and_audited() -> None:
    done = tidegate("models:/news@champion", "--json", "--home", str(news()))
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)

    assert 600 < found["rows"] <= 900
    assert {suspect["split"] for suspect in found["suspects"]} <= {"training", "evaluation"}


def test_a_run_or_a_file_is_wanted_and_not_both() -> None:
    done = tidegate()

    assert done.returncode == 2
    assert "name a run to audit, or a file with --data, and not both" in " ".join(done.stderr.split())
