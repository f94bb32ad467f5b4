"""The commands speak to a database that a server may be writing: tables for people, JSON for programs."""

import csv
import io
import json
import subprocess
import sys
from pathlib import Path

import orjson

from monitoring.job import MonitoringJob
from tests.labelling import queue
from tests.monitoring.conftest import House
from tests.monitoring.labels.tools import fill_csv


def tidegate(house: House, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tidegate", *arguments, "--home", str(house.settings.home)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env={"COLUMNS": "120"})


def test_drift_says_beside_a_running_server_what_the_route_says(house: House, job: MonitoringJob) -> None:
    job.record(house.novel(230, "a"))
    report = job.drift("sentiment", 1)
    shown = tidegate(house, "drift", "sentiment")
    as_json = tidegate(house, "drift", "sentiment", "--json")

    assert (shown.returncode, as_json.returncode) == (0, 0), shown.stderr + as_json.stderr
    assert json.loads(as_json.stdout) == orjson.loads(orjson.dumps(report))
    assert shown.stdout.startswith(
        "The newest 100 predictions differ from what this model was made for, most of all in"
    )
    assert "sentiment/1: drift · ALERT · beyond threshold: " in shown.stdout
    assert "kind of shift: covariate" in shown.stdout
    assert "┃█" in shown.stdout
    assert "30 rows" not in shown.stdout, "30 rows cannot be scored: the newest window that can be has 100"


def test_drift_of_a_model_that_has_seen_nothing_is_insufficient(house: House) -> None:
    done = tidegate(house, "drift", "sentiment")

    assert (done.returncode, done.stdout) == (
        0,
        "Nothing can be said yet: no predictions yet; a window is scored from 50 on.\n"
        "sentiment/1: insufficient · no predictions yet; a window is scored from 50 on\n",
    )


def test_an_unknown_model_is_one_line_and_exit_1(house: House) -> None:
    done = tidegate(house, "drift", "nobody")

    assert (done.returncode, done.stdout) == (1, "")
    assert "no bundle named 'nobody'" in done.stderr


def test_the_queue_goes_out_and_its_labels_come_back(house: House, tmp_path: Path) -> None:
    house.writer().write(house.novel(200, "[/bold] =1+1"))
    listed = tidegate(house, "relabel", "list", "sentiment")
    file = tmp_path / "items.csv"
    exported = tidegate(house, "relabel", "export", "sentiment", "--format", "csv", "--output", str(file))
    fill_csv(file, "negative")
    file.write_text(file.read_text(encoding="utf-8"), encoding="utf-8-sig", newline="")
    first, second = (tidegate(house, "relabel", "import", str(file), "--json") for _ in range(2))
    stats = json.loads(tidegate(house, "relabel", "stats", "--json").stdout)

    assert (listed.returncode, exported.returncode, exported.stdout) == (0, 0, "")
    assert listed.stdout.count("drift") == 10
    assert json.loads(first.stdout) == {"labelled": 10, "changed": 0, "unchanged": 0, "problems": []}
    assert json.loads(second.stdout) == {"labelled": 0, "changed": 0, "unchanged": 10, "problems": []}
    assert stats == [{"model": "sentiment", "state": "accepted", "reason": "drift", "items": 10}]
    assert "nothing waits" in tidegate(house, "relabel", "list").stderr
    labelled = tidegate(house, "relabel", "export", "sentiment", "--state", "accepted", "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(labelled.stdout, newline="")))
    assert [row["label"] for row in rows] == ["negative"] * 10


def test_an_import_with_bad_rows_keeps_the_good_ones_and_exits_1(house: House, tmp_path: Path) -> None:
    house.writer().write(house.novel(200, "a"))
    lines = [json.loads(line) for line in tidegate(house, "relabel", "export", "sentiment").stdout.splitlines()]
    file = tmp_path / "labels.jsonl"
    rows = [{"id": lines[0]["id"], "label": "negative"}, {"id": lines[1]["id"], "label": "great"}]
    file.write_text("\n".join(map(json.dumps, rows)) + "\nbroken")
    done = tidegate(house, "relabel", "import", str(file))

    assert done.returncode == 1
    assert "1 labelled" in done.stderr
    assert "line 2: 'great' is no label of sentiment" in done.stderr
    assert "line 3: not JSON" in done.stderr


def test_files_that_cannot_be_read_are_usage_errors(house: House, tmp_path: Path) -> None:
    latin, unknown = tmp_path / "latin.csv", tmp_path / "labels.txt"
    latin.write_bytes("id,label\ni1,n\xe4\n".encode("latin-1"))
    unknown.write_text("")
    found = {file: tidegate(house, "relabel", "import", str(file)) for file in (latin, unknown, tmp_path / "no.csv")}

    assert [done.returncode for done in found.values()] == [2, 2, 2]
    assert "is not UTF-8" in found[latin].stderr
    assert "--format" in found[unknown].stderr


def test_disputes_are_decided_and_gold_is_set_by_how_an_id_begins(house: House) -> None:
    one, two = queue(house.database, ["one", "two"])
    decided = tidegate(house, "relabel", "decide", one[:8], "--label", "positive")
    gold = tidegate(house, "relabel", "gold", two[:8], "--label", "negative")
    waiting = tidegate(house, "relabel", "list", "sentiment")
    accepted = tidegate(house, "relabel", "list", "--state", "accepted", "--json")

    assert (decided.returncode, gold.returncode) == (0, 0), decided.stderr + gold.stderr
    assert f"item {one[:8]} is positive; its state is accepted" in decided.stderr
    assert f"item {two[:8]} is gold: negative is right" in gold.stderr
    assert two[:8] in waiting.stdout
    assert "gold" in waiting.stdout
    assert one[:8] not in waiting.stdout
    assert [item["id"] for item in json.loads(accepted.stdout)] == [one]
    for wrong in (
        ("decide", one[:8]),
        ("decide", one[:8], "--none", "--label", "positive"),
        ("gold", two[:8]),
        ("gold", two[:8], "--remove", "--label", "positive"),
    ):
        assert tidegate(house, "relabel", *wrong).returncode == 2
    refused = tidegate(house, "relabel", "gold", two[:8], "--label", "great")
    assert (refused.returncode, "no label of sentiment" in refused.stderr) == (1, True)
    assert "tests nobody any more" in tidegate(house, "relabel", "gold", two[:8], "--remove").stderr
    assert "no item is disputed" in tidegate(house, "relabel", "list", "--state", "disputed").stderr
