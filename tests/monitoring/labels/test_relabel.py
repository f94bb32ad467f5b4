"""One item per text and model; labels come back once, and what cannot be taken is named and costs nothing."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select, update

from monitoring.labels import answers, items, relabel
from monitoring.labels.answers import Label
from monitoring.labels.items import Item
from tests.monitoring.conftest import House
from tidegate.errors import BundleNotFound
from tidegate.store import records, relabel_items


def allowed(model: str, version: int) -> Sequence[str]:
    return ("negative", "positive")


def queued(house: House, count: int) -> list[Item]:
    house.writer().write(house.novel(count, "q"))
    with house.database.begin() as connection:
        for record in connection.execute(select(records)).all():
            relabel.enqueue(connection, record, reason="drift", at=1.0)
    return items.list_items(house.database)


@given(st.text(max_size=30))
def test_case_width_and_white_space_do_not_make_another_text(text: str) -> None:
    assert items.digest(text) == items.digest(f" \n{text}\t ")


def test_other_words_make_another_text() -> None:
    assert items.digest("profit rises") == items.digest("Profit\u3000\uff32\uff29\uff33\uff25\uff33")
    assert items.digest("profit rises") != items.digest("profit falls")


def test_a_text_is_queued_once(house: House) -> None:
    queued(house, 3)
    with house.database.begin() as connection:
        again = [
            relabel.enqueue(connection, r, reason="drift", at=2.0) for r in connection.execute(select(records)).all()
        ]

    assert again == [None, None, None]
    assert len(items.list_items(house.database)) == 3


def test_labels_are_taken_and_a_second_time_changes_nothing(house: House) -> None:
    one, two, three = queued(house, 3)
    labels = [Label("line 1", one.id, "negative", "ann"), Label("line 2", two.id, "positive")]
    first = answers.take_labels(house.database, labels, allowed, 9.0)
    second = answers.take_labels(house.database, labels, allowed, 10.0)

    assert (first.labelled, first.changed, first.unchanged, first.problems) == (2, 0, 0, [])
    assert (second.labelled, second.changed, second.unchanged, second.problems) == (0, 0, 2, [])
    found = {item.id: item for item in items.list_items(house.database)}
    assert (found[one.id].label, found[one.id].annotator, found[one.id].labelled_at) == ("negative", "ann", 9.0)
    assert [item.id for item in items.list_items(house.database, state="new")] == [three.id]


def test_a_changed_mind_is_taken_and_counted(house: House) -> None:
    (item,) = queued(house, 1)
    answers.take_labels(house.database, [Label("line 1", item.id, "negative")], allowed, 1.0)
    outcome = answers.take_labels(house.database, [Label("line 1", item.id, "positive")], allowed, 2.0)

    assert (outcome.labelled, outcome.changed) == (0, 1)


def test_bad_rows_are_named_and_good_ones_kept(house: House) -> None:
    one, two = queued(house, 2)
    labels = [
        Label("line 1", "nobody", "negative"),
        Label("line 2", one.id, "great"),
        Label("line 3", two.id, "negative"),
        Label("line 4", two.id, "positive"),
    ]
    outcome = answers.take_labels(house.database, labels, allowed, 1.0)

    assert outcome.labelled == 1
    assert [problem.split(":")[0] for problem in outcome.problems] == ["line 1", "line 2", "line 4"]
    assert "'great' is no label of sentiment; use one of: negative, positive" in outcome.problems[1]


def test_an_item_that_left_the_queue_takes_no_label(house: House) -> None:
    (item,) = queued(house, 1)
    with house.database.begin() as connection:
        connection.execute(update(relabel_items).values(state="in_data_set", data_set=3))
    outcome = answers.take_labels(house.database, [Label("line 1", item.id, "negative")], allowed, 1.0)

    assert outcome.labelled == 0
    assert "is in data set 3" in outcome.problems[0]


def test_a_model_without_bundle_is_a_problem_of_its_rows_only(house: House) -> None:
    def unknown(model: str, version: int) -> Sequence[str]:
        raise BundleNotFound("gone")

    (item,) = queued(house, 1)
    outcome = answers.take_labels(house.database, [Label("line 1", item.id, "negative")], unknown, 1.0)

    assert outcome.problems == ["line 1: the labels of sentiment/1 cannot be read: gone"]


def test_a_report_leaves_a_label_that_a_person_gave(house: House) -> None:
    (item,) = queued(house, 1)
    answers.take_labels(house.database, [Label("line 1", item.id, "negative")], allowed, 1.0)
    with house.database.begin() as connection:
        record = connection.execute(select(records)).one()
        same = relabel.report(connection, record, "positive", "no", 2.0)

    assert same == item.id
    assert items.list_items(house.database)[0].label == "negative"


def test_stats_and_depths_count_what_waits(house: House) -> None:
    one, *_ = queued(house, 3)
    answers.take_labels(house.database, [Label("line 1", one.id, "negative")], allowed, 1.0)

    assert items.stats(house.database, "sentiment") == [
        {"model": "sentiment", "state": "accepted", "reason": "drift", "items": 1},
        {"model": "sentiment", "state": "new", "reason": "drift", "items": 2},
    ]
    assert items.stats(house.database, "other") == []
    with house.database.connect() as connection:
        assert items.depths(connection) == {"sentiment": 2}


@pytest.mark.parametrize(("model", "expected"), [("sentiment", 2), ("other", 0), (None, 2)])
def test_items_can_be_asked_for_by_model(house: House, model: str | None, expected: int) -> None:
    queued(house, 2)

    assert len(items.list_items(house.database, model=model)) == expected
