"""The desk: what one annotator gets, keeps, takes back, and is told."""

from typing import Any

import pytest
from sqlalchemy import func, select, update

from monitoring.labels import decisions, items
from monitoring.labels.claims import LEASE_SECONDS
from monitoring.labels.desk import QueueDesk
from monitoring.labels.known import KnownLabels
from tests.labelling import queue
from tests.monitoring.conftest import House
from tests.monitoring.labels.queues import DATABASES
from tidegate.errors import InvalidInput, ItemNotFound
from tidegate.store import annotations, relabel_items

pytestmark = pytest.mark.parametrize("house", DATABASES, indirect=True)


def desk_of(house: House) -> QueueDesk:
    return QueueDesk(house.database, house.bundles, house.settings, clock=lambda: house.now)


def say(desk: QueueDesk, item: str, who: str, label: str = "positive") -> dict[str, Any]:
    return desk.answer("sentiment", item, who, "label", label, 2.5, "")


def state_of(house: House, item: str) -> str:
    return next(each.state for each in items.list_items(house.database) if each.id == item)


def test_an_item_comes_with_its_classes_and_without_what_would_sway_or_warn_the_annotator(house: House) -> None:
    queue(house.database, ["one"])
    (item,) = desk_of(house).next("sentiment", "ann", 2)["items"]

    assert item["text"] == "one"
    assert item["labels"] == ["negative", "neutral", "positive"]  # the fallback is no class
    assert item["scores"] == {"negative": 0.2, "neutral": 0.5, "positive": 0.3}
    assert set(item) == {"id", "text", "version", "labels", "predicted", "scores", "suggested", "lease_seconds"}


def test_two_annotators_never_hold_the_same_item(house: House) -> None:
    queue(house.database, [f"text {n}" for n in range(6)])
    desk = desk_of(house)
    given = [desk.next("sentiment", who, 2)["items"] for who in ("ann", "bob", "ann", "bob")]

    ann, bob, *again = ([item["id"] for item in held] for held in given)
    assert again == [ann, bob]
    assert not {*ann} & {*bob}


def test_an_answer_is_stored_once_with_what_was_said(house: House) -> None:
    (item,) = queue(house.database, ["one"])
    desk = desk_of(house)
    desk.next("sentiment", "ann", 1)
    first = desk.answer("sentiment", item, "ann", "label", "positive", 2.5, "mail me: a@b.example")
    second = say(desk, item, "ann")

    assert (first["outcome"], first["state"], first["held"], first["told"]) == ("stored", "accepted", True, None)
    assert (second["outcome"], second["held"]) == ("unchanged", True)
    assert first["progress"]["mine"] == 1
    with house.database.connect() as connection:
        row = connection.execute(select(annotations)).one()
    assert (row.annotator, row.label, row.source, row.seconds, row.comment) == (
        *("ann", "positive", "page", 2.5),
        "mail me: a@b.example",
    )


def test_comments_are_redacted_like_texts(house: House) -> None:
    (item,) = queue(house.database, ["one"])
    settings = house.settings.model_copy(update={"redact": "all"})
    desk = QueueDesk(house.database, house.bundles, settings, clock=lambda: house.now)
    desk.answer("sentiment", item, "ann", "none", None, None, "ask jane@example.org")

    with house.database.connect() as connection:
        assert "jane" not in connection.execute(select(annotations.c.comment)).scalar_one()


def test_an_answer_after_the_lease_counts_and_says_so(house: House) -> None:
    (item,) = queue(house.database, ["one"])
    desk = desk_of(house)
    desk.next("sentiment", "ann", 1)
    house.now += LEASE_SECONDS + 1
    assert [each["id"] for each in desk.next("sentiment", "bob", 1)["items"]] == [item]
    late = say(desk, item, "ann")

    assert (late["outcome"], late["held"], late["state"]) == ("stored", False, "claimed")
    assert say(desk, item, "bob")["state"] == "accepted"


def test_undo_brings_the_item_back_to_who_answered_it(house: House) -> None:
    one, two = queue(house.database, ["one", "two"])
    desk = desk_of(house)
    desk.next("sentiment", "ann", 2)
    say(desk, one, "ann")
    house.now += 1
    say(desk, two, "ann")
    undone = desk.undo("sentiment", "ann")

    assert undone["item"]["id"] == two
    assert [each["id"] for each in desk.next("sentiment", "ann", 2)["items"]] == [two]
    assert desk.undo("sentiment", "ann")["item"]["id"] == one
    with pytest.raises(ItemNotFound, match="has not answered anything"):
        desk.undo("sentiment", "ann")


def test_a_skipped_item_is_not_shown_again_and_can_be_taken_back(house: House) -> None:
    (item,) = queue(house.database, ["one"])
    desk = desk_of(house)
    desk.next("sentiment", "ann", 1)
    skipped = desk.answer("sentiment", item, "ann", "skip", None, 1.0, "")

    assert skipped["state"] == "new"
    assert desk.next("sentiment", "ann", 1)["items"] == []
    assert [each["id"] for each in desk.next("sentiment", "bob", 1)["items"]] == [item]
    desk.release("sentiment", item, "bob")
    assert desk.undo("sentiment", "ann")["item"]["id"] == item


def test_who_was_told_how_others_answered_cannot_change_their_mind(house: House) -> None:
    (item,) = queue(house.database, ["one"], double_share=1.0)
    desk = desk_of(house)
    first = say(desk, item, "ann", "positive")
    house.now += 1
    second = say(desk, item, "bob", "negative")

    assert (first["told"], first["state"]) == (None, "labelled")
    assert second["told"] == {"kind": "others", "others": 1, "agreed": 0}
    assert second["state"] == "disputed"
    assert second["progress"]["agreement"] == {"compared": 1, "agreed": 0, "tests": 0, "right": 0}
    with pytest.raises(InvalidInput, match="stands"):
        desk.undo("sentiment", "bob")
    with pytest.raises(InvalidInput, match="stands"):
        say(desk, item, "bob", "positive")
    assert say(desk, item, "bob", "negative")["outcome"] == "unchanged"
    assert desk.undo("sentiment", "ann")["item"]["id"] == item  # she has been told nothing


def test_a_gold_item_tests_an_annotator_once_and_tells_what_is_right(house: House) -> None:
    ids = queue(house.database, [f"text {n}" for n in range(22)])
    allowed = KnownLabels(house.bundles)
    decisions.set_gold(house.database, ids[5][:8], "negative", allowed)
    desk = desk_of(house)
    seen = []
    while given := desk.next("sentiment", "ann", 1)["items"]:
        seen.append(given[0]["id"])
        outcome = say(desk, seen[-1], "ann")
        if seen[-1] == ids[5]:
            assert outcome["told"] == {"kind": "gold", "right": False, "label": "negative"}
            assert outcome["progress"]["agreement"]["tests"] == 1
            with pytest.raises(InvalidInput, match="stands"):
                desk.undo("sentiment", "ann")
        house.now += 1

    assert seen.count(ids[5]) == 1
    assert sorted(seen) == sorted(ids)
    assert state_of(house, ids[5]) == "new"


def test_a_decision_overrules_and_gold_can_be_ended(house: House) -> None:
    one, two = queue(house.database, ["one", "two"], double_share=1.0)
    desk, allowed = desk_of(house), KnownLabels(house.bundles)
    say(desk, one, "ann", "positive")
    say(desk, one, "bob", "negative")

    assert decisions.decide(house.database, one[:8], "neutral", house.now, allowed) == (one, "accepted")
    assert decisions.decide(house.database, one[:8], None, house.now, allowed) == (one, "discarded")
    decisions.set_gold(house.database, two, "positive", allowed)
    with pytest.raises(InvalidInput, match="is gold"):
        decisions.decide(house.database, two, "positive", house.now, allowed)
    say(desk, two, "ann")
    assert decisions.set_gold(house.database, two, None, allowed) == (two, "labelled")


def test_what_cannot_be_decided_is_refused_by_name(house: House) -> None:
    one, two = queue(house.database, ["one", "two"])
    allowed = KnownLabels(house.bundles)
    with house.database.begin() as connection:
        connection.execute(update(relabel_items).where(relabel_items.c.id == two).values(state="in_data_set"))
        connection.execute(update(relabel_items).values(id="abcd" + func.substr(relabel_items.c.id, 5)))

    for name, label, why in (
        ("abcd", "positive", "several items"),
        ("abc", "positive", "names no item"),
        ("abcd" + one[4:], "great", "no label of"),
        ("abcd" + two[4:], "positive", "data set"),
    ):
        with pytest.raises(InvalidInput, match=why):
            decisions.decide(house.database, name, label, 1.0, allowed)
        with pytest.raises(InvalidInput, match=why):
            decisions.set_gold(house.database, name, label, allowed)
    with pytest.raises(ItemNotFound):
        decisions.decide(house.database, "zzzz%", None, 1.0, allowed)


def test_another_models_item_is_not_found(house: House) -> None:
    (item,) = queue(house.database, ["one"])
    desk = desk_of(house)

    with pytest.raises(ItemNotFound):
        desk.answer("other", item, "ann", "none", None, None, "")
    with pytest.raises(ItemNotFound):
        desk.release("other", item, "ann")


def test_progress_counts_what_was_done_today_and_by_whom(house: House) -> None:
    house.now = 1_700_000_000.0
    one, two, three, four = queue(house.database, ["one", "two", "three", "four"])
    desk = desk_of(house)
    say(desk, one, "ann")
    house.now += 2 * 86_400
    say(desk, two, "ann")
    say(desk, three, "bob")
    desk.next("sentiment", "bob", 1)

    counts = desk.progress("sentiment", "ann")
    assert (counts["waiting"], counts["today"], counts["mine_today"], counts["mine"]) == (0, 2, 1, 2)
    assert desk.progress("sentiment", "bob")["waiting"] == 1
    assert desk.waiting() == {"sentiment": 1}
    assert four in {item.id for item in items.list_items(house.database, state="claimed")}
