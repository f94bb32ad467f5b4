"""A burst of windows closes as asked for; a model that stays busy has larger ones, and none is lost."""

from monitoring.spacing import BURST, Spacing
from tests.monitoring.conftest import House
from tests.monitoring.test_writer import rows_of


def test_a_burst_is_let_through_and_then_one_at_a_time() -> None:
    spacing, let = Spacing(2.0), 0
    for _ in range(1_000):
        if spacing.open(100.0):
            spacing.close(100.0)
            let += 1

    assert let == BURST
    assert [spacing.open(at) for at in (101.0, 102.1)] == [False, True]
    assert not spacing.open(99.0), "a clock that goes back lets nothing through"


def test_no_spacing_lets_everything_through() -> None:
    spacing = Spacing(0.0)
    spacing.close(1.0)

    assert spacing.open(1.0)


def test_windows_of_a_busy_model_grow_by_whole_windows_and_close_when_their_time_comes(house: House) -> None:
    writer = house.writer(window_rows=50, window_spacing_seconds=2.0)
    for number in range(12):
        writer.write(house.usual(100, f"a{number}-"))
    assert [rows for rows, open_, _ in rows_of(house)] == [*[50] * BURST, 200]

    house.now += 2.5
    writer.close_due()

    assert [(rows, open_) for rows, open_, _ in rows_of(house)][-1] == (200, False)
