"""Queues go out to every tool and come back: nothing is lost or doubled, a second time, or after a kill."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, delete, func, insert, select, update

from monitoring.labels import answers, items
from monitoring.labels.answered import Answered, dimensions, read_answered
from monitoring.labels.answers import ImportReport, Label
from monitoring.labels.exchange import WRITERS
from monitoring.labels.items import State
from tests.monitoring.labels.queues import LABELS, MODEL, allowed, answers_of, database_url, fill, turn
from tests.monitoring.labels.tools import FILLERS, read, write
from tidegate import store
from tidegate.store import annotations, relabel_items

ALL: Sequence[State] = ("new", "labelled", "disputed", "accepted", "discarded")
LATER = 10_000.0


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Engine]:
    opened = store.open_database(f"sqlite:///{tmp_path / 'queue.db'}")
    yield opened
    opened.dispose()


def whole(database: Engine) -> list[Answered]:
    return list(read_answered(database, MODEL, ALL))


def take(database: Engine, format: str, path: Path, at: float = LATER) -> ImportReport:
    found, problems = read(format, path)
    report = answers.take_labels(database, found, allowed, at)
    report.problems[:0] = problems
    return report


def annotated(database: Engine) -> list[str]:
    """A queue on which people have said all that they can say."""
    ids = fill(database, 6, prefix="naïve \r\n\u2028 =☂", double_share=0.0)
    said: list[tuple[Any, ...]] = [
        (ids[0], "ann", "label", "up", "for sure\n=1", 1.5, "page"),
        (ids[1], "ann", "label", "up", "", None, "page"),
        (ids[1], "bob", "label", "down", "no", 0.25, "webhook"),
        (ids[2], "ann", "none", None, "German", 3.0, "page"),
        (ids[3], "bob", "skip", None, "", 9.0, "simulated"),
        (ids[4], "ann", "label", "up", "", 1.0, "page"),
        (ids[4], "the boss", "label", "flat", "", None, "decision"),
    ]
    with turn(database) as connection:
        for n, (item_id, who, verdict, label, comment, seconds, source) in enumerate(said):
            answers.answer(connection, item_id, who, verdict, label, 100.0 + n, allowed, source, comment, seconds)
    return ids


@pytest.mark.parametrize("format", WRITERS)
def test_what_went_out_comes_back_as_it_was(format: str, database: Engine, tmp_path: Path) -> None:
    annotated(database)
    before = whole(database)
    path = write(format, before, tmp_path, LABELS)
    if format == "labelstudio":
        path.write_text(path.read_text().replace('"predictions"', '"annotations":[],"predictions"'))
    untouched = take(database, format, path)
    with turn(database) as connection:  # another database with the same items
        connection.execute(delete(annotations))
        blank = {"state": "new", "label": None, "annotator": "", "labelled_at": None}
        connection.execute(update(relabel_items).values(**blank))
    first, second = take(database, format, path), take(database, format, path)

    assert (untouched.labelled, untouched.changed, untouched.unchanged, untouched.problems) == (0, 0, 7, [])
    assert (first.labelled, first.changed, first.problems) == (7, 0, [])
    assert (second.labelled, second.changed, second.unchanged, second.problems) == (0, 0, 7, [])
    assert whole(database) == before


@pytest.mark.parametrize("tool", FILLERS)
def test_labels_of_every_tool_are_taken_once(tool: str, database: Engine, tmp_path: Path) -> None:
    kind, label_all = FILLERS[tool]
    fill(database, 4)
    path = write(kind, whole(database), tmp_path, LABELS)
    label_all(path, "flat")
    first, second = take(database, kind, path), take(database, kind, path)

    assert (first.labelled, first.problems) == (4, [])
    assert (second.labelled, second.changed, second.unchanged, second.problems) == (0, 0, 4, [])
    assert {item.label for item in items.list_items(database, state="accepted")} == {"flat"}
    assert {answered.answers[0].annotator for answered in whole(database)} == {"ann@x"}


def test_an_old_file_takes_back_no_newer_answer(database: Engine, tmp_path: Path) -> None:
    (item_id,) = fill(database, 1)
    answers.take_labels(database, [Label("", item_id, "up", "ann")], allowed, 5.0)
    path = write("jsonl", whole(database), tmp_path)
    answers.take_labels(database, [Label("", item_id, "down", "ann")], allowed, 6.0)
    outcome = take(database, "jsonl", path)

    assert (outcome.changed, outcome.unchanged) == (0, 1)
    assert whole(database)[0].item.label == "down"


def test_a_time_that_is_yet_to_come_outlasts_nothing(database: Engine) -> None:
    (item_id,) = fill(database, 1)
    answers.take_labels(database, [Label("", item_id, "up", "ann", at=1e12)], allowed, 5.0)
    answers.take_labels(database, [Label("", item_id, "down", "ann", at=6.0)], allowed, 7.0)

    assert whole(database)[0].item.label == "down"


def test_a_comment_that_is_added_is_kept(database: Engine) -> None:
    (item_id,) = fill(database, 1)
    for comment in ("", "why", ""):
        answers.take_labels(database, [Label("", item_id, "up", "ann", comment)], allowed, 5.0)

    assert [given.comment for given in whole(database)[0].answers] == ["why"]


def test_ground_truth_makes_an_item_test_annotators_and_one_in_a_data_set_cannot(database: Engine) -> None:
    one, other = fill(database, 2)
    with turn(database) as connection:
        connection.execute(update(relabel_items).where(relabel_items.c.id == other).values(state="in_data_set"))
        connection.execute(
            insert(annotations).values(
                item_id=other, annotator="ann", verdict="label", label="up", source="page", created_at=1.0
            )
        )
    labels = [Label("task 1", one, "up", "ann", gold=True), Label("task 2", other, "up", "ann", gold=True)]
    outcome = answers.take_labels(database, labels, allowed, 5.0)

    (tested,) = items.list_items(database, state="new")
    assert (tested.id, tested.gold) == (one, "up")
    assert len(outcome.problems) == 1
    assert "cannot test annotators" in outcome.problems[0]


def test_lone_surrogates_and_nul_are_replaced_and_the_rest_is_kept(database: Engine, tmp_path: Path) -> None:
    (item_id,) = fill(database, 1)
    said = {"annotator": "a\\u0000b", "verdict": "none", "comment": "c\\u0000"}
    row = str({"id": item_id, "annotations": [said]}).replace("'", '"').replace("\\\\", "\\")
    (tmp_path / "x.jsonl").write_text(row)
    outcome = take(database, "jsonl", tmp_path / "x.jsonl")

    assert outcome.problems == []
    assert [(a.annotator, a.comment) for a in whole(database)[0].answers] == [("a\ufffdb", "c\ufffd")]


def test_vectors_go_along_where_they_are_asked_for(database: Engine) -> None:
    fill(database, 2)
    assert dimensions(database, MODEL) is None
    with turn(database) as connection:
        connection.execute(update(relabel_items).values(embedding=b"\0\x3c\0\xc0"))

    assert dimensions(database, MODEL) == 2
    vectors = [answered.vector for answered in read_answered(database, MODEL, ["new"], vectors=True)]
    assert vectors == [[1.0, -2.0], [1.0, -2.0]]


IMPORT = """
import sys
from pathlib import Path
from monitoring.labels.answers import take_labels
from tests.monitoring.labels.queues import allowed
from tests.monitoring.labels.tools import read
from tidegate import store

database = store.open_database(sys.argv[1])
labels, _ = read("jsonl", Path(sys.argv[2]))
print("ready", flush=True)
take_labels(database, labels, allowed, 10_000.0)
print("done", flush=True)
"""


def child(url: str, file: Path) -> "subprocess.Popen[str]":
    started = subprocess.Popen(
        [sys.executable, "-c", IMPORT, url, str(file)], stdout=subprocess.PIPE, text=True, cwd=Path.cwd()
    )
    assert started.stdout is not None
    assert started.stdout.readline() == "ready\n"
    return started


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_of_ten_thousand_labels_none_is_lost_or_doubled_by_a_kill_in_the_middle(kind: str, tmp_path: Path) -> None:
    with database_url(kind, tmp_path) as url:
        database = store.open_database(url)
        ids = fill(database, 10_000)
        file = write("jsonl", whole(database), tmp_path, LABELS)
        FILLERS["jsonl"][1](file, "up")
        importing = child(url, file)
        while not (taken := _count(database)):
            time.sleep(0.01)
        os.kill(importing.pid, signal.SIGKILL)
        rest, _ = importing.communicate()
        after_the_kill = _count(database)
        outcome = take(database, "jsonl", file)

        assert rest == "", "it was killed before it was done"
        assert 0 < taken <= after_the_kill < 10_000
        assert after_the_kill % 500 == 0, "whole transactions"
        assert (outcome.labelled, outcome.unchanged, outcome.problems) == (10_000 - after_the_kill, after_the_kill, [])
        assert answers_of(database) == sorted((item_id, "ann@x") for item_id in ids)
        assert items.stats(database)[0]["state"] == "accepted"
        database.dispose()


def _count(database: Engine) -> int:
    with database.connect() as connection:
        return int(connection.execute(select(func.count()).select_from(annotations)).scalar_one())
