"""Past inputs are cut and judged as live ones are; tables of columns too."""

import numpy as np
import pandas as pd
import pytest

from monitoring.backfill import Judged, alarms, cut, nominal_seconds, replay
from monitoring.features import Seen
from monitoring.reference import Reference, load_reference
from monitoring.tabular import Columns, tabular_reference
from tests.monitoring.conftest import House
from tidegate.errors import UsageError
from tidegate.records import Record

HOUR = 3_600.0


def judge(reference: Reference, records: list[Record]) -> list[Judged]:
    windows = cut(nominal_seconds(len(records), 100, HOUR), 100, HOUR)
    seen = Seen()
    return list(replay(windows, lambda w: reference.summarise(records[w.start : w.stop], seen), reference, 30.0))


def test_windows_close_when_they_are_full_or_old_enough() -> None:
    full = cut(np.arange(250.0), 100, HOUR)
    old = cut(np.concatenate([np.arange(60.0), HOUR + np.arange(60.0)]), 100, HOUR)
    slow = cut(np.arange(120.0) * HOUR, 100, HOUR)

    assert [(w.start, w.stop) for w in full] == [(0, 100), (100, 200), (200, 250)]
    assert [(w.start, w.stop) for w in old] == [(0, 60), (60, 120)]
    assert [(w.start, w.stop) for w in slow] == [(0, 50), (50, 100), (100, 120)], "below 50 rows nothing is judged"


def test_rows_without_times_make_windows_of_the_nominal_length() -> None:
    windows = cut(nominal_seconds(400, 100, HOUR), 100, HOUR)

    assert [w.started_at for w in windows] == [0.0, HOUR, 2 * HOUR, 3 * HOUR]


def test_a_drift_in_the_file_is_one_alarm_where_it_is(house: House) -> None:
    judged = judge(
        load_reference(house.bundle), [*house.usual(600, "a"), *house.novel(300, "b"), *house.usual(300, "c")]
    )
    first = alarms(judged)[0]

    assert len(judged) == 12
    assert first[0].window.start in (600, 700), "two of three windows confirm; a broken bound needs no confirmation"
    assert all(each.verdict.window.status == "drift" for each in judged[6:9])
    assert {each.verdict.window.status for each in judged[:6]} == {"ok"}


def test_a_file_of_nothing_unusual_has_no_alarm(house: House) -> None:
    assert alarms(judge(load_reference(house.bundle), house.usual(1_000, "a", seed=5))) == []


def table(rows: int, seed: int, *, mean: float = 40.0, missing: float = 0.02, cities: str = "TOR") -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "age": rng.normal(mean, 10.0, rows),
            "city": rng.choice(list(cities), rows),
            "member": rng.random(rows) < 0.3,
            "id": [f"c{number}" for number in range(rows)],
        }
    )
    frame.loc[rng.random(rows) < missing, "age"] = np.nan
    return frame


@pytest.fixture(scope="module")
def usual() -> tuple[Columns, Reference]:
    frame = table(1_000, seed=1)
    columns = Columns.of(frame)
    return columns, tabular_reference(frame, columns)


def judge_table(usual: tuple[Columns, Reference], frame: pd.DataFrame) -> list[Judged]:
    columns, reference = usual
    windows = cut(nominal_seconds(len(frame), 200, HOUR), 200, HOUR)

    return list(
        replay(
            windows,
            lambda w: reference.layout.summarise(columns.rows(frame.iloc[w.start : w.stop])),
            reference,
            30.0,
        )
    )


@pytest.mark.slow
def test_a_table_like_the_usual_one_has_no_alarm(usual: tuple[Columns, Reference]) -> None:
    assert alarms(judge_table(usual, table(2_000, seed=2))) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changed", "named"),
    [({"mean": 46.0}, "age"), ({"missing": 0.3}, "age missing"), ({"cities": "TTTOR"}, "city")],
)
def test_a_column_that_changed_is_named(
    usual: tuple[Columns, Reference], changed: dict[str, float], named: str
) -> None:
    judged = judge_table(usual, table(600, seed=3, **changed))  # type: ignore[arg-type]

    assert len(alarms(judged)) == 1
    assert judged[-1].verdict.window.features[0].name == named


@pytest.mark.slow
def test_an_unseen_category_breaks_a_bound_at_once(usual: tuple[Columns, Reference]) -> None:
    judged = judge_table(usual, table(200, seed=4, cities="TORN"))

    assert [breach.name for breach in judged[0].verdict.breaches] == ["city never seen"]


@pytest.mark.slow
def test_columns_that_say_nothing_are_left_out(usual: tuple[Columns, Reference]) -> None:
    columns, _ = usual

    assert columns.left_out == ("id (1,000 different values)",)
    assert columns.classes == ("city", "member")


@pytest.mark.slow
def test_a_table_that_lacks_a_column_or_holds_words_for_numbers_is_refused(usual: tuple[Columns, Reference]) -> None:
    columns, _ = usual
    frame = table(10, seed=1)

    with pytest.raises(UsageError, match="the table lacks city, which the reference has"):
        columns.rows(frame.drop(columns="city"))
    with pytest.raises(UsageError, match="column 'age' holds 'old', and in the reference it holds numbers"):
        columns.rows(frame.assign(age="old"))


def test_too_few_usual_rows_are_refused() -> None:
    frame = table(99, seed=1)

    with pytest.raises(UsageError, match="has 99 rows; 100 are the least"):
        tabular_reference(frame, Columns.of(frame))
