"""Data sets: the queue's labels beside the run's own rows; all of it or nothing, and the same when made again."""

import csv
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, func, insert, select, update

from monitoring.labels import answers, claims, items
from monitoring.labels.answers import Label
from monitoring.labels.data_sets import Source, build, list_data_sets, sweep
from monitoring.tables import turn
from tests.monitoring.labels.queues import DATABASES, database_url
from tidegate import store
from tidegate.environments import CHECKOUT
from tidegate.errors import UsageError
from tidegate.store import annotations, relabel_items

PARENT = Source(
    "runs:/parent/model",
    {
        "training": [(f"old text {number} of the first kind", "up") for number in range(40)]
        + [(f"old text {number} of the second kind", "down") for number in range(40)],
        "validation": [(f"old validation text {number}", "up") for number in range(14)],
        "evaluation": [(f"old evaluation text {number}", "down") for number in range(14)],
    },
)


def allowed(model: str, version: int) -> tuple[str, ...]:
    return ("up", "down")


@pytest.fixture(params=DATABASES)
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """An empty state database of either kind."""
    with database_url(request.param, tmp_path) as url:
        opened = store.open_database(url)
        yield opened
        opened.dispose()


def put(database: Engine, count: int, *, model: str = "news", reason: str = "drift", **more: object) -> None:
    """New items, as selection writes them; their ids are `reason` and a number."""
    rows = [
        {
            "id": f"{reason}-{number:06d}",
            "model": model,
            "version": 1,
            "prediction_id": f"p{number}",
            "text": f"{reason} text {number} is new {'and long ' * (number % 5)}",
            "text_digest": items.digest(f"{reason} text {number} is new {'and long ' * (number % 5)}"),
            "predicted": "up",
            "score": 0.6,
            "scores": [0.6, 0.4],
            "reason": reason,
            "state": "new",
            "created_at": 1.0,
            "wanted": 1,
            **more,
        }
        for number in range(count)
    ]
    with database.begin() as connection:
        connection.execute(insert(relabel_items), rows)


def label_all(database: Engine, *people: str, label: str = "down", at_once: int = 200) -> int:
    """Each person claims and answers what is there for them; how many answers."""
    given = 0
    for who in people or ("ann", "bob"):
        while True:
            with turn(database) as connection:
                held = claims.claim(connection, "news", who, 5.0, most=at_once)
                for item in held:
                    answers.answer(connection, item.id, who, "label", label, 5.0, allowed, "simulated")
            given += len(held)
            if not held:
                break
    return given


def states(database: Engine) -> dict[str, int]:
    with database.connect() as connection:
        query = select(relabel_items.c.state, func.count()).group_by(relabel_items.c.state)
        return dict(connection.execute(query).all())


def read(folder: Path, split: str) -> list[tuple[str, str]]:
    with (folder / f"{split}.csv").open(newline="", encoding="utf-8") as lines:
        return [(row["text"], row["label"]) for row in csv.DictReader(lines)]


def test_accepted_labels_join_the_runs_rows_and_the_items_say_where(database: Engine, tmp_path: Path) -> None:
    put(database, 60)
    label_all(database)
    made = build(database, tmp_path / "sets", "news", PARENT, 9.0)
    folder = tmp_path / "sets" / "1"

    assert (made.number, made.added, made.rows) == (1, 60, 168)
    assert read(folder, "evaluation") == list(PARENT.splits["evaluation"])
    assert read(folder, "training")[:80] == list(PARENT.splits["training"])
    assert len(read(folder, "training")) + len(read(folder, "validation")) == 154
    assert states(database) == {"in_data_set": 60}
    assert {item.data_set for item in items.list_items(database)} == {1}
    document = json.loads((folder / "data_set.json").read_text())
    assert document["digest"] == made.digest
    assert {row["id"] for row in document["items"]} == {item.id for item in items.list_items(database)}
    assert made.detail["reasons"] == {"drift": 60}
    assert list_data_sets(database, "news") == [made]


def test_the_same_labels_make_the_same_data_set_and_no_second_one(database: Engine, tmp_path: Path) -> None:
    put(database, 30)
    label_all(database)
    first = build(database, tmp_path / "sets", "news", PARENT, 9.0)
    again = build(database, tmp_path / "sets", "news", PARENT, 10.0)

    assert again == first
    assert len(list_data_sets(database)) == 1


def test_labels_of_a_run_that_never_went_live_are_taken_in_again(database: Engine, tmp_path: Path) -> None:
    put(database, 30)
    label_all(database)
    build(database, tmp_path / "sets", "news", PARENT, 9.0)
    put(database, 5, reason="margin")
    label_all(database)
    second = build(database, tmp_path / "sets", "news", PARENT, 10.0)

    assert (second.number, second.added) == (2, 35)
    found = {item.id: item.data_set for item in items.list_items(database)}
    assert Counter(found.values()) == {1: 30, 2: 5}


def test_a_run_that_has_all_labels_already_has_nothing_to_learn(database: Engine, tmp_path: Path) -> None:
    put(database, 30)
    label_all(database)
    build(database, tmp_path / "sets", "news", PARENT, 9.0)
    folder = tmp_path / "sets" / "1"
    child = Source("runs:/child/model", {name: read(folder, name) for name in ("training", "validation", "evaluation")})

    with pytest.raises(UsageError, match=r"no label of news is new to its run \(30 are accepted"):
        build(database, tmp_path / "sets", "news", child, 10.0)


def test_gold_disputed_and_discarded_items_teach_nothing(database: Engine, tmp_path: Path) -> None:
    put(database, 10)
    put(database, 4, reason="gold", gold="up")
    put(database, 3, reason="double", wanted=2)
    label_all(database, "ann", label="down")
    label_all(database, "bob", label="up")
    made = build(database, tmp_path / "sets", "news", PARENT, 9.0)

    assert made.detail["reasons"] == {"drift": 10}
    assert states(database) == {"in_data_set": 10, "disputed": 3, "new": 4}


def test_what_lacks_only_a_second_annotator_counts_where_there_is_none(database: Engine, tmp_path: Path) -> None:
    put(database, 3, wanted=2)
    label_all(database, "ann")
    assert states(database) == {"labelled": 3}
    made = build(database, tmp_path / "sets", "news", PARENT, 9.0)

    assert made.added == 3
    assert {(item.state, item.label) for item in items.list_items(database)} == {("in_data_set", "down")}


def test_where_there_is_a_second_annotator_it_waits_for_them(database: Engine, tmp_path: Path) -> None:
    put(database, 3, wanted=2)
    label_all(database, "ann")
    put(database, 5, reason="margin")
    with database.begin() as connection:
        answers.answer(connection, "margin-000000", "bob", "label", "up", 5.0, allowed, "page")
    made = build(database, tmp_path / "sets", "news", PARENT, 9.0)

    assert made.detail["reasons"] == {"margin": 1}


def test_a_folder_of_a_process_that_died_before_it_could_say_so_is_replaced(database: Engine, tmp_path: Path) -> None:
    put(database, 10)
    label_all(database)
    orphan = tmp_path / "sets" / "1"
    orphan.mkdir(parents=True)
    (orphan / "training.csv").write_text("text,label\nhalf,up\n")
    (tmp_path / "sets" / ".staging-dead").mkdir()
    made = build(database, tmp_path / "sets", "news", PARENT, 9.0)

    assert made.number == 1
    assert len(read(orphan, "training")) > 80
    sweep(tmp_path / "sets")
    assert [path.name for path in (tmp_path / "sets").iterdir()] == ["1"]


@pytest.mark.parametrize("lacking", ["training", "evaluation"])
def test_a_run_without_its_rows_is_refused_with_what_to_do(database: Engine, tmp_path: Path, lacking: str) -> None:
    splits = {name: rows for name, rows in PARENT.splits.items() if name != lacking}
    with pytest.raises(UsageError, match=f"kept no {lacking} rows"):
        build(database, tmp_path / "sets", "news", Source("runs:/x/model", splits), 9.0)


def test_a_label_that_changes_while_files_are_written_is_in_the_data_set(database: Engine, tmp_path: Path) -> None:
    put(database, 10)
    label_all(database)

    changed: list[bool] = []

    class Changing(Source):
        """Its run's name is read between the two looks at the queue."""

        def __getattribute__(self, name: str) -> object:
            if name == "run" and not changed:
                changed.append(True)
                with database.begin() as connection:
                    connection.execute(
                        update(relabel_items).where(relabel_items.c.id == "drift-000000").values(label="up")
                    )
            return super().__getattribute__(name)

    build(database, tmp_path / "sets", "news", Changing(PARENT.run, PARENT.splits), 9.0)
    labels = {
        text: label for split in ("training", "validation") for text, label in read(tmp_path / "sets" / "1", split)
    }

    assert labels["drift text 0 is new "] == "up"


@pytest.mark.slow
def test_of_ten_thousand_labels_none_is_lost_or_doubled(database: Engine, tmp_path: Path) -> None:
    put(database, 9_000)
    put(database, 1_000, reason="random", wanted=2)
    drift = [Label("", f"drift-{number:06d}", "down", "ann") for number in range(9_000)]
    random = [Label("", f"random-{number:06d}", "up", who) for number in range(1_000) for who in ("ann", "bob")]
    counts = [answers.take_labels(database, [*drift, *random], allowed, 5.0) for _ in range(2)]
    made = build(database, tmp_path / "sets", "news", PARENT, 9.0)
    folder = tmp_path / "sets" / "1"
    document = json.loads((folder / "data_set.json").read_text())

    assert [(report.labelled, report.unchanged) for report in counts] == [(11_000, 0), (0, 11_000)]
    placed = [row["id"] for row in document["items"]]
    assert len(placed) == len(set(placed)) == 10_000 - len(document["left_out"])
    texts = [text for split in ("training", "validation", "random") for text, _ in read(folder, split)]
    assert len(texts) == len(set(texts)) == 94 + len(placed)
    assert made.added == len(placed)
    with database.connect() as connection:
        assert connection.scalar(select(func.count()).select_from(annotations)) == 11_000


@pytest.mark.slow
def test_killed_at_any_moment_it_leaves_all_of_a_data_set_or_nothing(database: Engine, tmp_path: Path) -> None:
    put(database, 3_000)
    label_all(database, "ann")
    url = database.url.render_as_string(hide_password=False)
    code = (
        "import sys; from pathlib import Path; from tidegate import store; from monitoring.labels import data_sets;"
        "from tests.monitoring.labels.test_data_sets import PARENT; database = store.open_database(sys.argv[1]);"
        "print('ready', flush=True); sys.stdin.readline();"
        "data_sets.build(database, Path(sys.argv[2]), 'news', PARENT, 9.0); print('built', flush=True)"
    )
    for delay in [0.06 * step for step in range(1, 15)]:
        command = [sys.executable, "-c", code, url, str(tmp_path / "sets")]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=CHECKOUT, text=True) as child:
            assert child.stdin is not None
            assert child.stdout is not None
            assert child.stdout.readline() == "ready\n"
            child.stdin.write("\n")
            child.stdin.flush()
            time.sleep(delay)
            child.kill()
        made = list_data_sets(database)
        assert states(database) == ({"in_data_set": 3_000} if made else {"accepted": 3_000})
        if made:
            break
    final = build(database, tmp_path / "sets", "news", PARENT, 9.0)

    assert [final.number] == [each.number for each in list_data_sets(database)] == [1]
    assert final.added == 3_000
    assert [path.name for path in (tmp_path / "sets").iterdir()] == ["1"]
