"""Windows are drawn as said, thresholds sit at the rate asked for, and what never comes counts as the limit."""

import numpy as np
import pytest

from benchmarks.drift.measures import opened, rate, rows_until, stream, streams_of, threshold_at, waited

FRESH, BROUGHT = np.arange(1_000), np.arange(1_000, 2_000)


def test_a_drift_free_stream_shows_no_row_twice_while_there_are_others() -> None:
    windows = stream(np.random.default_rng(0), FRESH, 50, 25)
    rows = np.concatenate(windows).tolist()

    assert [len(window) for window in windows] == [50] * 25
    assert len(set(rows[:1_000])) == 1_000
    assert len(set(rows[1_000:])) == 250


def test_a_shifted_stream_holds_the_share_of_affected_rows() -> None:
    rows = np.concatenate(stream(np.random.default_rng(0), FRESH, 200, 50, BROUGHT[:500], 0.3))

    assert (rows >= 1_000).mean() == pytest.approx(0.3, abs=0.02)


def test_a_row_comes_as_it_was_or_changed_and_never_both() -> None:
    rows = np.concatenate(stream(np.random.default_rng(0), FRESH, 100, 10, BROUGHT, 0.5))

    assert len(set((rows % 1_000).tolist())) == 1_000


def test_a_stream_longer_than_what_the_shift_brings_repeats_it() -> None:
    rows = np.concatenate(stream(np.random.default_rng(0), FRESH, 100, 1, np.arange(1_000, 1_010), 1.0))

    assert len(set(rows.tolist())) == 10


def test_the_interval_of_a_rate_widens_when_splits_disagree() -> None:
    rng = np.random.default_rng(0)
    alike, apart = rate([5] * 10, [500] * 10, rng), rate([0] * 9 + [50], [500] * 10, rng)

    assert alike.value == apart.value == 0.01
    assert alike.high - alike.low < apart.high - apart.low


def test_no_alarm_at_all_still_leaves_an_upper_bound() -> None:
    assert rate([0, 0], [1_000, 2_000], np.random.default_rng(0)).high == pytest.approx(0.001)


def test_an_alarm_that_lasts_is_one_and_ends_after_three_calm_windows() -> None:
    alarming = np.array([1, 1, 0, 0, 1, 0, 0, 0, 1, 1], dtype=np.bool_)

    assert np.flatnonzero(opened(alarming)).tolist() == [0, 8]


def test_a_threshold_lets_drift_free_streams_alarm_at_the_rate_asked_for() -> None:
    calm = list(np.random.default_rng(0).normal(size=(5, 2_000)))
    limit = threshold_at(calm, 0.01)

    assert sum(opened(each > limit).sum() for each in calm) == pytest.approx(100, rel=0.1)


def test_a_threshold_is_never_beyond_what_was_seen() -> None:
    calm = [np.random.default_rng(0).normal(size=100)]

    assert (calm[0] > threshold_at(calm, 1e-6)).sum() == 1


def test_a_threshold_so_low_that_an_alarm_never_ends_is_not_taken() -> None:
    calm = [np.arange(100.0) % 2 + 10]

    assert threshold_at(calm, 0.02) >= 10


def test_rows_are_counted_up_to_and_with_the_window_that_alarms() -> None:
    assert rows_until(np.array([False, False, True, True]), 200) == 600
    assert rows_until(np.array([False]), 200) == float("inf")


def test_a_stream_without_an_alarm_counts_as_the_limit() -> None:
    found = waited([200.0, float("inf"), float("inf")], 5_000)

    assert found.median == 5_000
    assert found.never == pytest.approx(2 / 3)


def test_streams_of_windows_that_alarm_half_of_the_time_wait_two_windows_on_average() -> None:
    rows = streams_of([np.array([0.0, 1.0])], 0.5, 100, 100_000, np.random.default_rng(0))

    assert np.mean(rows) == pytest.approx(200, rel=0.2)


def test_streams_beyond_the_limit_have_no_alarm() -> None:
    assert set(streams_of([np.zeros(5)], 0.5, 100, 5_000, np.random.default_rng(0))) == {float("inf")}
