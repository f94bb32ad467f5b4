"""An item is on one screen at a time, comes back when its holder is gone, and is answered once a person."""

import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, update

from monitoring.labels import answers, claims, items
from monitoring.labels.items import Item
from tests.monitoring.labels.queues import (
    DATABASES,
    MODEL,
    allowed,
    annotator,
    answers_of,
    database_url,
    fill,
    put,
    turn,
)
from tidegate import store
from tidegate.errors import InvalidInput, ItemNotFound


@pytest.fixture(params=DATABASES)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    with database_url(request.param, tmp_path) as found:
        yield found


@pytest.fixture
def database(url: str) -> Iterator[Engine]:
    engine = store.open_database(url)
    yield engine
    engine.dispose()


def claim(database: Engine, who: str, at: float = 10.0, most: int = 1, lease: float = 60.0) -> list[Item]:
    with turn(database) as connection:
        return claims.claim(connection, MODEL, who, at, most=most, lease_seconds=lease)


def say(database: Engine, item_id: str, who: str, label: str | None = "up", at: float = 11.0) -> items.State:
    with turn(database) as connection:
        kind: answers.Verdict = "none" if label is None else "label"
        return answers.answer(connection, item_id, who, kind, label, at, allowed, "page")[1]


def state_of(database: Engine, item_id: str) -> str:
    with database.connect() as connection:
        found = items.find(connection, item_id)
        assert found is not None
        return str(found.state)


def test_two_people_never_hold_the_same_item_and_one_keeps_theirs(database: Engine) -> None:
    ids = fill(database, 3)
    first, second = claim(database, "ann"), claim(database, "bob", most=2)

    assert [item.id for item in (*first, *second)] == ids
    assert [item.id for item in claim(database, "ann")] == ids[:1]
    assert claim(database, "cho") == []


def test_a_lease_that_ran_out_gives_the_item_to_the_next(database: Engine) -> None:
    (item_id,) = fill(database, 1)
    claim(database, "ann", at=10.0, lease=60.0)

    assert claim(database, "bob", at=69.0) == []
    assert [item.id for item in claim(database, "bob", at=70.0)] == [item_id]
    assert say(database, item_id, "ann", at=71.0) == "claimed"  # work that comes late is kept; bob still has it
    assert say(database, item_id, "bob", at=72.0) == "accepted"
    assert answers_of(database) == [(item_id, "ann"), (item_id, "bob")]


def test_an_item_given_back_is_as_it_was(database: Engine) -> None:
    (item_id,) = fill(database, 1, double_share=1.0)
    claim(database, "ann")
    say(database, item_id, "ann")
    (held,) = claim(database, "bob")
    with turn(database) as connection:
        claims.release(connection, held.id, "ann")
    assert state_of(database, item_id) == "claimed"
    with turn(database) as connection:
        claims.release(connection, held.id, "bob")

    assert state_of(database, item_id) == "labelled"


def test_a_second_annotator_is_asked_for_a_share_and_a_third_where_they_disagree(database: Engine) -> None:
    (item_id,) = fill(database, 1, double_share=1.0)
    assert say(database, item_id, "ann", "up") == "labelled"
    assert claim(database, "ann") == []
    assert say(database, item_id, "bob", "down") == "disputed"
    assert claim(database, "bob") == []
    assert [item.id for item in claim(database, "cho")] == [item_id]
    assert say(database, item_id, "cho", "up") == "accepted"


def test_what_only_lacks_one_answer_comes_first(database: Engine) -> None:
    (whole,) = fill(database, 1, prefix="whole")
    (half,) = fill(database, 1, prefix="half", double_share=1.0, at=5.0)
    say(database, half, "ann")

    assert [item.id for item in claim(database, "bob", most=2)] == [half, whole]


def test_a_change_of_mind_counts_once_and_the_same_again_changes_nothing(database: Engine) -> None:
    (item_id,) = fill(database, 1)
    say(database, item_id, "ann", "up")
    say(database, item_id, "ann", "up", at=20.0)
    assert items.list_items(database)[0].labelled_at == 11.0
    say(database, item_id, "ann", "down", at=30.0)

    (item,) = items.list_items(database)
    assert (item.state, item.label, item.labelled_at) == ("accepted", "down", 30.0)
    assert answers_of(database) == [(item_id, "ann")]


def test_an_answer_that_is_taken_back_leaves_the_item_as_it_was(database: Engine) -> None:
    (item_id,) = fill(database, 1)
    say(database, item_id, "ann", None)
    assert state_of(database, item_id) == "discarded"
    with turn(database) as connection:
        answers.undo(connection, item_id, "ann")

    assert state_of(database, item_id) == "new"
    with turn(database) as connection, pytest.raises(ItemNotFound, match="ann has not answered"):
        answers.undo(connection, item_id, "ann")


def test_who_skips_is_not_asked_again_and_others_are(database: Engine) -> None:
    (item_id,) = fill(database, 1)
    claim(database, "ann")
    with turn(database) as connection:
        answers.answer(connection, item_id, "ann", "skip", None, 11.0, allowed, "page")

    assert claim(database, "ann") == []
    assert [item.id for item in claim(database, "bob")] == [item_id]


def test_a_doubted_label_takes_a_second_annotator_and_is_not_doubted_again(database: Engine) -> None:
    (item_id,) = fill(database, 1)
    say(database, item_id, "ann", "up")
    with turn(database) as connection:
        assert answers.doubt(connection, item_id, "its neighbours are down")
    assert state_of(database, item_id) == "disputed"
    assert claim(database, "ann") == []
    claim(database, "bob")
    assert say(database, item_id, "bob", "up") == "accepted"
    with turn(database) as connection:
        assert not answers.doubt(connection, item_id, "again")


def test_gold_items_are_shown_now_and_then_and_never_end(database: Engine) -> None:
    fill(database, 3 * claims.GOLD_EVERY)
    (gold,) = fill(database, 1, prefix="gold")
    with turn(database) as connection:
        connection.execute(update(store.relabel_items).where(store.relabel_items.c.id == gold).values(gold="up"))
    shown: Counter[bool] = Counter()
    while held := claim(database, "ann"):
        shown[held[0].id == gold] += 1
        say(database, held[0].id, "ann")

    assert shown == {False: 3 * claims.GOLD_EVERY, True: 1}
    assert state_of(database, gold) == "new"
    with database.connect() as connection:
        assert items.depths(connection) == {MODEL: 0}


def test_what_is_in_a_data_set_stays_as_it_is(database: Engine) -> None:
    (item_id,) = fill(database, 1)
    say(database, item_id, "ann", "up")
    with turn(database) as connection:
        connection.execute(update(store.relabel_items).values(state="in_data_set", data_set=2))

    assert say(database, item_id, "ann", "up") == "in_data_set"  # the same file once more
    with pytest.raises(InvalidInput, match="is in data set 2, and takes no label"):
        say(database, item_id, "ann", "down")
    with turn(database) as connection, pytest.raises(InvalidInput, match="is in data set 2 and cannot be changed"):
        answers.undo(connection, item_id, "ann")


@pytest.mark.parametrize("name", ["", "x" * 129])
def test_an_annotator_has_a_name(database: Engine, name: str) -> None:
    (item_id,) = fill(database, 1)

    with pytest.raises(InvalidInput, match="1 to 128 characters"):
        say(database, item_id, name)


def test_a_text_that_the_queue_knows_is_not_queued_again(database: Engine) -> None:
    (item_id,) = fill(database, 1)
    with turn(database) as connection:
        assert put(connection, " TEXT  0 ", 5.0) is None

    assert [item.id for item in items.list_items(database)] == [item_id]


@pytest.mark.slow
def test_several_annotators_answer_each_item_once_though_some_are_killed(url: str, database: Engine) -> None:
    ids = fill(database, 200)
    people = {name: annotator(url, name, holds=True) for name in ("ann", "bob")}
    for person in people.values():  # killed with an item on the screen
        assert person.stdout is not None
        assert person.stdout.readline() == "holds\n"
    people |= {name: annotator(url, name) for name in ("cho", "dee")}
    for name in ("ann", "bob"):
        people[name].send_signal(signal.SIGKILL)
    for person in people.values():
        person.communicate(timeout=240)
    last = annotator(url, "eve", ahead_seconds=claims.LEASE_SECONDS)  # when what the killed held comes back
    last.communicate(timeout=240)

    assert sorted(item_id for item_id, _ in answers_of(database)) == sorted(ids)
    assert {item.state for item in items.list_items(database)} == {"accepted"}
    assert [person.returncode for person in people.values()] == [-9, -9, 0, 0]
    assert last.returncode == 0


@pytest.mark.slow
def test_ten_thousand_labels_taken_twice_by_two_tools_at_once_are_neither_lost_nor_doubled(database: Engine) -> None:
    ids = fill(database, 10_000)
    labels = [answers.Label(f"line {n}", item_id, "down", "tool") for n, item_id in enumerate(ids)]
    first = answers.take_labels(database, labels, allowed, 1.0)
    second = answers.take_labels(database, labels, allowed, 2.0)

    assert (first.labelled, first.problems) == (10_000, [])
    assert (second.unchanged, second.labelled, second.changed) == (10_000, 0, 0)
    assert {(item.state, item.label) for item in items.list_items(database)} == {("accepted", "down")}
