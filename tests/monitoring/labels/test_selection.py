"""Of the drifted windows' inputs uncertain and untypical distinct ones go onto the queue, and none that it knows."""

from dataclasses import replace

from sqlalchemy import select

from monitoring.labels import items, selection
from tests.monitoring.conftest import House
from tidegate.records import Record
from tidegate.store import windows


def with_margins(house: House, prefix: str, margins: list[float]) -> list[Record]:
    records = house.novel(len(margins), prefix)
    return [
        replace(record, scores=((1 + margin) / 2, (1 - margin) / 2, 0.0))
        for record, margin in zip(records, margins, strict=True)
    ]


def enqueue(house: House, most: int, ids: list[int] | None = None) -> list[str]:
    """Select from the given windows, or all; gives the predictions on the queue."""
    with house.database.begin() as connection:
        every = list(connection.scalars(select(windows.c.id)))
        selection.enqueue_drifted(connection, ids or every, most, at=1.0, alert_id=7)
    return sorted(item.prediction_id for item in items.list_items(house.database))


def test_uncertain_and_untypical_ones_are_taken_first(house: House) -> None:
    margins = [0.99 if n % 2 else 0.0 for n in range(40)]
    house.writer().write(with_margins(house, "a", margins))
    taken = enqueue(house, 10)

    assert len(taken) == 10
    assert sum(int(one[1:]) % 2 == 0 for one in taken) >= 5


def test_items_tell_their_alert_and_their_probability(house: House) -> None:
    house.writer().write(with_margins(house, "a", [0.1] * 20))
    enqueue(house, 4)
    found = items.list_items(house.database)

    assert {(item.reason, item.alert_id) for item in found} == {("drift", 7)}
    assert all(0.0 < (item.selection_probability or 0.0) <= 1.0 for item in found)


def test_texts_that_differ_in_case_and_spaces_only_are_one(house: House) -> None:
    first, second, third = with_margins(house, "a", [0.0, 0.1, 0.2])
    house.writer().write([first, replace(second, text=f" {first.text.upper()}\n"), third])

    taken = enqueue(house, 3)
    assert len(taken) == 2
    assert "a2" in taken


def test_what_the_queue_knows_does_not_count(house: House) -> None:
    house.writer().write(with_margins(house, "a", [0.0, 0.1, 0.2, 0.3]))

    assert len(enqueue(house, 2)) == 2
    assert enqueue(house, 2) == ["a0", "a1", "a2", "a3"]
    assert enqueue(house, 2) == ["a0", "a1", "a2", "a3"]


def test_other_windows_are_left_alone(house: House) -> None:
    house.writer(window_rows=50, relabel_per_alert=0).write(with_margins(house, "a", [0.0] * 50 + [0.5] * 50))

    assert {int(one[1:]) >= 50 for one in enqueue(house, 2, ids=[2])} == {True}


def test_the_first_window_named_gives_all_it_has_before_the_next(house: House) -> None:
    house.writer(window_rows=50, relabel_per_alert=0).write(with_margins(house, "a", [0.0] * 50 + [0.5] * 50))

    taken = enqueue(house, 52, ids=[2, 1])
    assert {f"a{n}" for n in range(50, 100)} < set(taken)
    assert len(taken) == 52


def test_none_are_taken_when_none_are_wanted(house: House) -> None:
    house.writer().write(with_margins(house, "a", [0.0]))

    assert enqueue(house, 0) == []
