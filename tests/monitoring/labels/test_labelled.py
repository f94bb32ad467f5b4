"""Random labels tell the true accuracy, whoever else reports what, and expose labels that mean something else."""

from collections.abc import Sequence

import numpy as np
import pytest
from sqlalchemy import func, select

from monitoring.accuracy import Estimate
from monitoring.labels import answers, items, random_stream, relabel
from monitoring.labels.answers import Label
from monitoring.labels.labelled import Check, measure, powered, read, reconciled
from tests.monitoring.conftest import House
from tests.monitoring.labels.queues import DATABASES
from tidegate.store import random_draws, windows
from tidegate.store import records as records_table

TOLD = Estimate(0.8, 0.77, 0.83, 0.8, 0.8, 0.82, trusted=True, why="", error=0.015)


def known(model: str, version: int) -> Sequence[str]:
    return ("negative", "positive")


def drawn(house: House, count: int, per_day: int) -> int:
    """Write predictions and draw from them; the day's share is one for `per_day` of a day's worth."""
    records = house.usual(count, "r")
    house.writer().write(records)
    house.now += 3_600.0
    with house.database.begin() as connection:
        return random_stream.draw(
            connection, [record.id for record in records], lambda: [0.8] * count, records[0].model, per_day, house.now
        )


def checks(count: int, accuracy: float, chance: float, rng: np.random.Generator) -> list[Check]:
    return [Check(bool(right), chance, 0.1) for right in rng.random(count) < accuracy]


def test_draws_go_on_the_queue_and_their_labels_come_back_as_checks(house: House) -> None:
    count = drawn(house, 60, 100_000)
    queue = items.list_items(house.database)
    labels = [Label("line", item.id, "positive") for item in queue[:30]]
    answers.take_labels(house.database, labels, known, house.now)
    with house.database.begin() as connection:
        read_back = read(connection, queue[0].model, queue[0].version, 0.0, house.now + 1)

    assert count == 60
    assert {item.reason for item in queue} == {random_stream.REASON}
    assert len(read_back) == 30
    assert sum(check.right for check in read_back) == sum(item.predicted == "positive" for item in queue[:30])
    assert {(check.chance, check.share) for check in read_back} == {(0.8, 1.0)}


def test_who_keeps_no_texts_gets_none_on_the_queue(house: House) -> None:
    kept, forgotten = house.writer(relabel_per_day=1_000_000), house.writer(relabel_per_day=1_000_000, keep_records=0)
    forgotten.write(house.usual(60, "f"))
    forgotten.write(house.usual(60, "g", seed=15))  # traffic to go by
    assert items.list_items(house.database) == []
    kept.write(house.usual(60, "h", seed=16))

    assert items.list_items(house.database)


def test_what_callers_report_does_not_count_and_a_text_on_the_queue_already_does_when_drawn(house: House) -> None:
    records = house.usual(60, "r")
    house.writer().write(records)
    with house.database.begin() as connection:
        found = connection.execute(select(random_draws)).all()
        rows = {row.id: row for row in connection.execute(select(records_table)).all()}
        item = relabel.report(connection, rows[records[0].id], "positive", "wrong!", house.now)
        random_stream.draw(connection, [records[0].id], None, records[0].model, 10**6, house.now + 3_600)
        draws = connection.execute(select(random_draws)).all()

    assert found == []
    assert [(draw.item_id, draw.chance) for draw in draws] == [(item, None)]
    assert [one.reason for one in items.list_items(house.database)] == ["feedback"]


def test_two_workers_draw_the_same_records_once(house: House) -> None:
    records = house.usual(60, "r")
    house.writer().write(records)
    ids = [record.id for record in records]
    for _ in range(2):
        with house.database.begin() as connection:
            share = random_stream.due(connection, records[0].model, 720, house.now + 3_600)
            random_stream.draw(connection, ids, None, records[0].model, 720, house.now + 3_600)
    with house.database.begin() as connection:
        draws = connection.execute(select(random_draws)).all()

    assert 15 <= len(draws) <= 45
    assert {draw.prediction_id for draw in draws} == {one for one in ids if random_stream.place(one) < share}


@pytest.mark.parametrize("house", DATABASES, indirect=True)
def test_the_share_follows_the_traffic_of_the_last_day(house: House) -> None:
    house.writer().write(house.usual(100, "r"))
    model = house.bundle.manifest.name
    with house.database.begin() as connection:
        soon = random_stream.due(connection, model, 20, house.now + 60)
        later = random_stream.due(connection, model, 20, house.now + 86_000)
        rows = connection.scalar(select(func.sum(windows.c.rows)))

    assert rows == 100
    assert soon == pytest.approx(20 / 2_400)
    assert later == pytest.approx(0.2, rel=0.01)


def test_nothing_is_drawn_when_none_are_asked_for(house: House) -> None:
    assert drawn(house, 60, 0) == 0


def test_the_place_of_an_id_is_even_in_its_interval() -> None:
    places = np.array([random_stream.place(f"id-{n}") for n in range(4_000)])
    assert np.abs(np.sort(places) - np.linspace(0, 1, 4_000)).max() < 0.03


def test_the_interval_of_labels_holds_the_truth() -> None:
    rng = np.random.default_rng(0)
    intervals = [measure(checks(50, 0.85, 0.8, rng)) for _ in range(300)]
    assert np.mean([one.low <= 0.85 <= one.high for one in intervals]) >= 0.93


def test_labels_drawn_with_unequal_shares_are_weighed() -> None:
    day = [Check(True, None, 0.01)] * 20
    night = [Check(False, None, 0.1)] * 20
    assert measure([*day, *night]).accuracy == pytest.approx(2_000 / 2_200)


def test_few_labels_are_not_trusted() -> None:
    assert not measure([Check(True, 0.9, 1.0)] * 9).trusted
    assert measure([Check(True, 0.9, 1.0)] * 10).trusted
    assert (measure([]).low, measure([]).high) == (0.0, 1.0)


def test_labels_and_estimate_together_are_right_where_the_estimate_is_wrong_and_narrower_than_labels_alone() -> None:
    rng = np.random.default_rng(1)
    hits, widths = [], []
    for _ in range(200):
        sure = rng.random(80) < 0.6
        chance = np.where(sure, 0.99, 0.5)
        right = rng.random(80) < chance - 0.1
        told = [Check(bool(is_right), float(each), 0.1) for is_right, each in zip(right, chance, strict=True)]
        estimate = Estimate(0.794, 0.77, 0.82, 0.794, 0.8, 0.8, trusted=True, why="", error=0.01)
        both, alone = powered(estimate, told), measure(told)
        hits.append(both.low <= 0.694 <= both.high)
        widths.append((both.high - both.low) / (alone.high - alone.low))

    assert np.mean(hits) >= 0.92
    assert np.mean(widths) < 0.95


def test_fifty_labels_expose_labels_that_mean_something_else() -> None:
    rng = np.random.default_rng(2)
    exposed = [not reconciled(TOLD, checks(50, 0.55, 0.8, rng)).trusted for _ in range(200)]
    assert np.mean(exposed) >= 0.8


def test_labels_that_agree_with_the_estimate_are_seldom_held_against_it() -> None:
    rng = np.random.default_rng(3)
    exposed = [not reconciled(TOLD, checks(50, 0.8, 0.8, rng)).trusted for _ in range(1_000)]
    assert np.mean(exposed) <= 0.06


def test_the_reason_names_both_figures() -> None:
    told = reconciled(TOLD, [Check(False, 0.8, 1.0)] * 20)
    assert "20 random labels say 0.0% where 80.0%" in told.why
