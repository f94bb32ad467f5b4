"""The daily budget reaches the queue once, whoever restarts or works beside, from texts that it does not know."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import Engine, select

from monitoring.labels import budget, items, relabel
from monitoring.labels.items import Item
from monitoring.labels.slots import Slots
from tests.monitoring.conftest import House
from tests.monitoring.labels.queues import DATABASES, database_url
from tidegate import store
from tidegate.records import Record
from tidegate.store import records as records_table

DAY = 86_400.0
MODEL = "sentiment"
SELECTED = {"margin", "diverse", "witness", "disagreement"}
NO_DRIFT = {"relabel_per_alert": 0}


@pytest.fixture(params=DATABASES)
def home(request: pytest.FixtureRequest, house: House, tmp_path: Path) -> Iterator[House]:
    """A house on either database."""
    with database_url(request.param, tmp_path) as url:
        database = store.open_database(url)
        yield replace(house, database=database)
        database.dispose()


def distinct(house: House, count: int, prefix: str, caller: str = "") -> list[Record]:
    """Predictions on texts that no other one is like: random directions, words of their own."""
    rng = np.random.default_rng(len(prefix) + count)
    return [
        replace(
            record,
            text=f"{prefix}{n} first{prefix}{n} second{prefix}{n}",
            caller=caller,
            scores=tuple(scores),
            embedding=None if record.embedding is None else rng.normal(size=record.embedding.shape).astype(np.float32),
        )
        for n, (record, scores) in enumerate(
            zip(house.usual(count, prefix), rng.dirichlet([1.0, 1.0, 1.0], size=count).tolist(), strict=True)
        )
    ]


def put(house: House, rows: list[Record], **settings: object) -> None:
    """Write records as a process does that selects nothing."""
    house.writer(relabel_per_day=0, **NO_DRIFT, **settings).write(rows)


def slots(house: House, seed: int = 0, **settings: object) -> Slots:
    changed = house.settings.model_copy(update={"relabel_per_day": 100, **settings})
    return Slots(house.database, changed, lambda: house.now, np.random.default_rng(seed))


def select_now(chooser: Slots) -> int:
    chooser.closed(MODEL)
    return chooser.select()


def chosen(database: Engine) -> list[Item]:
    return [item for item in items.list_items(database) if item.reason in SELECTED]


def test_items_are_selected_for_their_reasons_with_scores_and_probabilities(home: House) -> None:
    put(home, distinct(home, 120, "a"))
    home.now += DAY - 1
    added = select_now(slots(home))
    queue = chosen(home.database)

    assert added == len(queue) == 79
    assert Counter(item.reason for item in queue)["witness"] in (0, 9, 10)
    assert all(item.selection_probability is not None and 0 < item.selection_probability <= 1 for item in queue)
    assert all(item.selection_score is not None for item in queue)
    assert len({item.text for item in queue}) == len(queue)


def test_a_restart_and_a_second_worker_do_not_double_the_budget(home: House) -> None:
    put(home, distinct(home, 120, "a"))
    home.now += DAY / 4
    one, two = slots(home, 1), slots(home, 2)
    added = [select_now(one), select_now(two), select_now(slots(home, 3))]

    assert added == [20, 0, 0]
    assert len(chosen(home.database)) == 20


def test_what_another_worker_spent_meanwhile_is_not_spent_again(home: House) -> None:
    """Both have read the budget before either writes."""
    put(home, distinct(home, 120, "a"))
    home.now += DAY / 4
    inner = slots(home, 1)

    class Late(Slots):
        def _within_caps(self, *arguments: object) -> list[object]:  # type: ignore[override]
            select_now(inner)
            return super()._within_caps(*arguments)  # type: ignore[arg-type, return-value]

    settings = home.settings.model_copy(update={"relabel_per_day": 100})
    late = Late(home.database, settings, lambda: home.now, np.random.default_rng(2))

    assert select_now(late) == 0
    assert len(chosen(home.database)) == 20


def test_no_24_hours_bring_more_than_the_budget(home: House) -> None:
    chooser = slots(home, relabel_per_day=10)
    for turn, wait in enumerate((10, 50_000, 30_000, 4_000, 1_000, 60_000, 86_400)):
        home.now += wait
        put(home, distinct(home, 60, f"t{turn}-"))
        select_now(chooser)
    times = [item.created_at for item in chosen(home.database)]

    assert len(times) > 8
    assert all(sum(end - DAY < each <= end for each in times) <= 8 for end in times)


def test_each_prediction_is_a_candidate_once(home: House) -> None:
    put(home, distinct(home, 60, "old"))
    home.now += 3_600
    chooser = slots(home)
    assert select_now(chooser) == 3
    home.now += 40_000
    put(home, distinct(home, 60, "new"))
    select_now(chooser)
    later = [item.prediction_id for item in chosen(home.database) if item.created_at == home.now]

    assert later
    assert all(one.startswith("new") for one in later)


def test_texts_that_the_queue_knows_and_near_duplicates_are_left_out(home: House) -> None:
    known, fresh, again = distinct(home, 1, "k")[0], distinct(home, 2, "f"), distinct(home, 3, "g")
    near = replace(fresh[0], id="near", text=fresh[0].text + " again")
    same = replace(known, id="same", text=known.text.upper())
    put(home, [known, *fresh, near, same, *again])
    with home.database.begin() as connection:
        row = connection.execute(select(records_table).where(records_table.c.id == known.id)).one()
        relabel.report(connection, row, "positive", "", home.now)
    home.now += DAY - 1
    select_now(slots(home))
    queued = {item.prediction_id for item in chosen(home.database)}

    assert len(queued) == 5
    assert len(queued & {fresh[0].id, "near"}) == 1
    assert not queued & {known.id, "same"}


def test_no_caller_takes_more_than_its_cap_and_nobody_is_capped_who_cannot_be_told(home: House) -> None:
    loud = distinct(home, 100, "loud", caller="c0")
    others = [each for n in range(1, 6) for each in distinct(home, 4, f"c{n}-", caller=f"c{n}")]
    put(home, [*loud, *others, *distinct(home, 20, "anybody")])
    home.now += DAY - 1
    select_now(slots(home))
    with home.database.connect() as connection:
        spent = budget.read(connection, MODEL, home.now)

    assert 0 < spent.callers["c0"] <= 0.2 * 80
    assert spent.day > spent.callers["c0"]


def test_a_single_caller_may_use_the_whole_budget(home: House) -> None:
    put(home, distinct(home, 120, "a", caller="only"))
    home.now += DAY - 1
    assert select_now(slots(home)) == 79


def test_disagreements_take_the_reported_slot(home: House) -> None:
    rows = distinct(home, 120, "a")
    put(home, rows)
    home.now += DAY - 1
    chooser = slots(home)
    chooser.disagreed(MODEL, [row.id for row in rows[:30]])
    chooser.disagreed("another", [rows[40].id])
    select_now(chooser)
    disputed = [item for item in chosen(home.database) if item.reason == "disagreement"]

    assert 9 <= len(disputed) <= 10
    assert {item.prediction_id for item in disputed} <= {row.id for row in rows[:30]}
    assert all((item.selection_probability or 1.0) < 0.5 for item in disputed)


def test_feedback_is_always_queued(home: House) -> None:
    rows = distinct(home, 60, "a")
    put(home, rows)
    with home.database.begin() as connection:
        for row in connection.execute(select(records_table)).all():
            relabel.report(connection, row, "positive", "", home.now)

    assert [item.reason for item in items.list_items(home.database)] == ["feedback"] * 60


def test_embeddings_have_no_label_to_correct(home: House) -> None:
    put(home, [replace(record, label="") for record in distinct(home, 60, "a")])
    home.now += DAY - 1
    assert select_now(slots(home)) == 0


def test_a_model_is_looked_at_once_a_minute_and_only_after_a_window(home: House) -> None:
    put(home, distinct(home, 60, "a"))
    home.now += DAY / 2
    chooser = slots(home)
    assert chooser.select() == 0
    assert select_now(chooser) == 40
    home.now += DAY / 2
    put(home, distinct(home, 60, "b"))
    chooser.closed(MODEL)
    assert chooser.select() > 0
    home.now += 59
    assert select_now(chooser) == 0


def test_the_writer_selects_when_a_window_has_closed(house: House) -> None:
    writer = house.writer(relabel_per_day=1_000, relabel_shares="margin=1", **NO_DRIFT)
    writer.write(distinct(house, 99, "a"))
    writer.select()
    before = len(chosen(house.database))
    writer.write(distinct(house, 1, "b"))
    writer.select()

    assert before == 0
    assert [item.reason for item in chosen(house.database)] == ["margin"] * (1_000 // 24)


def test_no_more_random_texts_than_their_share_are_drawn_in_a_day(house: House) -> None:
    writer = house.writer(relabel_per_day=20, relabel_shares="random=1", **NO_DRIFT)
    for turn, rows in enumerate((60, 10, 2_000, 500, 1)):
        house.now += 6_000
        writer.write(distinct(house, rows, f"t{turn}-"))
    queue = [item for item in items.list_items(house.database) if item.reason == "random"]

    assert 5 <= len(queue) <= 20
    assert all(0 < (item.selection_probability or 0) <= 1 for item in queue)
