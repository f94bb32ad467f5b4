"""The writer cuts windows exactly, goes on where another process stopped, and loses nothing to one beside it."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from sqlalchemy import Table, func, select

from monitoring.features import Seen, derive
from monitoring.reference import load_reference
from monitoring.standing import newest
from monitoring.summary import Summary
from tests import bundles, postgres
from tests.monitoring.conftest import House
from tidegate import store
from tidegate.store import periods, records, relabel_items, windows


def rows_of(house: House) -> list[tuple[int, bool, str]]:
    with house.database.connect() as connection:
        query = select(windows.c.rows, windows.c.open, windows.c.status).order_by(windows.c.id)
        return [tuple(row) for row in connection.execute(query)]


def counted(house: House) -> int:
    """Rows in all periods, which are those of their sums."""
    with house.database.connect() as connection:
        rows = connection.execute(select(periods.c.rows, periods.c.sums)).all()
    assert [row.rows for row in rows] == [Summary.from_bytes(row.sums).rows for row in rows]
    return sum(row.rows for row in rows)


def summed(house: House, table: Table) -> NDArray[np.float64]:
    """The sums of all rows of a table together."""
    with house.database.connect() as connection:
        return sum((Summary.from_bytes(each).sums for each in connection.scalars(select(table.c.sums))), np.zeros(()))


def shown(house: House) -> list[tuple[int, bool, str]]:
    """Windows as a report shows them."""
    with house.database.connect() as connection:
        found = newest(connection, ("sentiment", 1), load_reference(house.bundle), 30.0, 20)
    return [(window.rows, window.open, window.status) for window in found]


def test_a_batch_is_cut_into_windows_of_exactly_the_rows_set(house: House) -> None:
    house.writer().write(house.usual(250, "a"))

    assert [(rows, is_open) for rows, is_open, _ in rows_of(house)] == [(100, False), (100, False), (50, True)]
    assert counted(house) == 250


def test_an_open_window_is_scored_for_who_asks_as_soon_as_it_has_fifty_rows(house: House) -> None:
    writer = house.writer()
    writer.write(house.novel(49, "a"))
    before = shown(house)
    writer.write(house.novel(1, "b"))

    assert before == [(49, True, "insufficient")]
    assert shown(house) == [(50, True, "drift")]
    assert rows_of(house) == [(50, True, "insufficient")], "nothing is scored while it grows"


def test_only_the_newest_records_are_kept_whatever_comes_at_once(house: House) -> None:
    writer = house.writer(keep_records=50)
    kept = []
    for turn, rows in enumerate((40, 40, 120, 1)):
        writer.write(house.usual(rows, f"{turn}-"))
        with house.database.connect() as connection:
            kept.append(list(connection.scalars(select(records.c.id).order_by(records.c.sequence))))

    last = [each.id for each in house.usual(120, "2-")][-49:]
    assert [len(ids) for ids in kept] == [40, 50, 50, 50]
    assert kept[1] == [each.id for each in [*house.usual(40, "0-")[30:], *house.usual(40, "1-")]]
    assert kept[3] == [*last, house.usual(1, "3-")[0].id]


def test_a_new_process_goes_on_with_the_open_window(house: House) -> None:
    house.writer().write(house.usual(60, "a"))
    after = house.writer()
    after.resume()
    after.write(house.usual(30, "b"))

    assert shown(house) == [(90, True, "ok")]
    assert counted(house) == 90


def test_windows_and_periods_hold_the_same_sums(house: House) -> None:
    writer = house.writer()
    for turn, rows in enumerate((250, 1, 90)):
        house.now += 50
        writer.write(house.usual(rows, f"{turn}-", seed=turn))

    assert summed(house, windows) == pytest.approx(summed(house, periods))
    assert counted(house) == 341


def test_two_processes_on_one_window_count_every_row_once(house: House) -> None:
    one, two = house.writer(), house.writer()
    for turn in range(6):
        one.write(house.usual(20, f"one{turn}"))
        two.write(house.usual(30, f"two{turn}"))

    assert sum(rows for rows, _, _ in rows_of(house)) == counted(house) == 300


def test_versions_have_windows_of_their_own(house: House) -> None:
    bundles.sentiment(house.bundles, fallback="unsure", threshold=0.34)
    first = house.usual(10, "a")
    second = [replace(r, version=2, id=f"v{r.id}") for r in first]
    house.writer().write([*first, *second])

    assert [rows for rows, _, _ in rows_of(house)] == [10, 10]


def test_a_window_closes_when_its_time_is_up_but_not_before_it_can_be_judged(house: House) -> None:
    writer = house.writer()
    writer.write(house.usual(40, "a"))
    house.now += 3_601
    writer.close_due()
    still_open = rows_of(house)
    writer.write(house.usual(20, "b"))
    writer.close_due()

    assert still_open == [(40, True, "insufficient")]
    assert rows_of(house) == [(60, False, "ok")]


def test_only_the_newest_records_and_windows_are_kept(house: House) -> None:
    writer = house.writer(keep_records=30, keep_windows=3)
    for batch in range(10):
        writer.write(house.usual(60, f"{batch}-"))

    with house.database.connect() as connection:
        kept = list(connection.scalars(select(records.c.id).order_by(records.c.sequence)))
    assert kept == [f"9-{i}" for i in range(30, 60)]
    assert len(rows_of(house)) <= 4


def test_a_record_says_how_typical_its_embedding_is(house: House) -> None:
    usual = house.usual(20, "a")
    alone = bundles.predictions(bundles.wordpieces(house.bundles), ["x"], prefix="c")
    house.writer().write([*usual, replace(alone[0], embedding=None)])

    with house.database.connect() as connection:
        rows = connection.execute(select(records.c.id, records.c.typicality)).all()
    typical = {row.id: row.typicality for row in rows}
    known = load_reference(house.bundle).typicality(derive(usual, Seen()))
    assert typical["c0"] is None
    assert [typical[record.id] for record in usual] == pytest.approx(known)
    assert len(set(known)) > 10


def test_an_id_that_comes_twice_costs_nothing_else(house: House) -> None:
    house.writer().write([*house.usual(5, "a"), *house.usual(5, "a"), *house.usual(5, "b")])

    with house.database.connect() as connection:
        assert connection.scalar(select(func.count()).select_from(records)) == 10


def test_lone_surrogates_and_nul_are_stored_as_replacement_characters(house: House) -> None:
    record = bundles.predictions(house.bundle, ["x"])[0]
    strange = replace(record, text="a\ud800b\0c\n\u2028é")
    house.writer().write([strange])

    with house.database.connect() as connection:
        assert connection.scalar(select(records.c.text)) == "a���b\ufffdc\n\u2028é"


def test_a_failed_batch_leaves_nothing_behind_and_the_next_one_is_right(house: House) -> None:
    writer = house.writer()
    writer.write(house.usual(60, "a"))
    good, bad = house.usual(2, "b")
    broken = replace(bad, scores=(1.0,))
    with pytest.raises(ValueError):
        writer.write([good, broken])
    writer.write(house.usual(10, "c"))

    assert shown(house) == [(70, True, "ok")]
    assert counted(house) == 70


def test_a_window_that_was_rolled_back_is_forgotten_even_when_its_number_is_given_again(house: House) -> None:
    bundles.sentiment(house.bundles, fallback="unsure", threshold=0.34)
    writer = house.writer()
    with pytest.raises(IndexError):
        writer.write([*house.usual(60, "a"), *[replace(r, version=2, scores=(1.0,)) for r in house.usual(1, "b")]])
    writer.write([replace(r, version=2) for r in house.usual(60, "c")])
    writer.write(house.usual(10, "d"))

    assert [rows for rows, _, _ in rows_of(house)] == [60, 10]
    assert counted(house) == 70


def test_a_model_whose_bundle_is_gone_is_profiled_but_not_scored(house: House) -> None:
    house.bundle.file("drift.json").unlink()
    house.writer().write(house.novel(100, "a"))

    assert rows_of(house) == [(100, False, "insufficient")]


def test_a_drifted_pair_of_windows_queues_distinct_texts(house: House) -> None:
    twice = [*house.novel(100, "a"), *house.novel(100, "a")]
    renamed = [replace(r, id=str(i)) for i, r in enumerate(twice)]
    alert, contract = house.writer().write(renamed)

    assert (contract.kind, contract.relabel_items_queued) == ("contract", 0), "texts that come twice"
    assert alert.relabel_items_queued == 10
    assert alert.message.startswith("sentiment/1: inputs have drifted far: ")
    with house.database.connect() as connection:
        items = connection.execute(select(relabel_items)).all()
    assert len({item.text for item in items}) == 10
    assert {(item.reason, item.state) for item in items} == {("drift", "new")}


def test_one_alert_stays_open_until_it_is_acknowledged(house: House) -> None:
    raised = house.writer().write(house.novel(1_000, "a"))

    assert len(raised) == 1


@pytest.mark.slow
def test_postgresql_takes_the_same_path(house: House) -> None:
    with postgres.server() as url:
        house.database.dispose()
        house.database = store.open_database(url)
        one, two = house.writer(), house.writer(keep_records=50)
        raised = one.write(house.novel(230, "a"))
        two.write(house.novel(20, "b"))
        one.write([*house.novel(20, "c"), *house.novel(20, "c")])

        assert len(raised) == 1
        assert sum(rows for rows, _, _ in rows_of(house)) == counted(house) == 290
        house.database.dispose()


def test_a_window_that_two_processes_fill_holds_exactly_the_rows_set(house: House) -> None:
    one, two = house.writer(), house.writer()
    one.write(house.usual(60, "a"))
    two.write(house.usual(30, "b"))
    one.write(house.usual(30, "c"))

    assert [(rows, is_open) for rows, is_open, _ in rows_of(house)] == [(100, False), (20, True)]
    assert counted(house) == 120
