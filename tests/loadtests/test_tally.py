"""Counting: quantiles within their stated error, failures never dropped."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests.tally import BIN_WIDTH, Latencies, Tally

TIMES = st.lists(st.floats(min_value=1e-6, max_value=3600), min_size=1, max_size=200)


def counted(times: list[float]) -> Latencies:
    latencies = Latencies()
    for seconds in times:
        latencies.add(seconds)
    return latencies


def nearest_rank(times: list[float], share: float) -> float:
    return sorted(times)[max(1, math.ceil(share * len(times) - 1e-9)) - 1]


@given(TIMES, st.sampled_from([0.01, 0.5, 0.9, 0.95, 0.99, 1.0]))
def test_a_quantile_is_never_too_low_and_at_most_one_percent_too_high(times: list[float], share: float) -> None:
    exact = nearest_rank(times, share)

    assert exact * (1 - 1e-9) <= counted(times).quantile(share) <= exact * BIN_WIDTH * (1 + 1e-9)


@given(TIMES)
def test_quantiles_rise_and_end_at_the_exact_maximum(times: list[float]) -> None:
    quantiles = counted(times).quantiles()

    assert quantiles
    assert quantiles.p50 <= quantiles.p90 <= quantiles.p95 <= quantiles.p99 <= quantiles.max == max(times)


def test_the_99th_of_100_is_the_99th() -> None:
    assert counted([float(n) for n in range(1, 101)]).quantile(0.99) == pytest.approx(99, rel=0.01)


def test_what_never_ended_counts_as_infinitely_long() -> None:
    latencies = counted([0.01] * 99)

    assert latencies.quantile(0.99, unanswered=1) == pytest.approx(0.01, rel=0.01)
    assert latencies.quantile(0.99, unanswered=2) == math.inf


def test_nothing_has_no_quantiles() -> None:
    assert Latencies().quantiles() is None
    with pytest.raises(ValueError, match="nothing"):
        Latencies().quantile(0.5)


def test_memory_stays_bounded_from_nothing_to_an_hour() -> None:
    latencies = counted([0.0, 1e-9, *(1e-6 * 1.003**n for n in range(7_400))])

    assert latencies.largest > 3_600
    assert len(latencies._bins) < 2_500


def test_a_tally_keeps_right_answers_and_failures_apart() -> None:
    tally = Tally(limit_seconds=0.1)
    tally.add(0.05, 8, {"queue": 0.01, "infer": 0.03})
    tally.add(0.2, 8, {})
    tally.fail("HTTP 503")

    measured = tally.measured(2.0)

    assert (measured.requests, measured.texts, measured.failed, tally.late) == (3, 16, 1, 2)
    assert (measured.requests_per_second, measured.texts_per_second) == (1.0, 8.0)
    assert measured.latency_seconds
    assert measured.latency_seconds.max == 0.2
    assert set(measured.server_seconds) == {"queue", "infer"}


def test_a_point_covers_only_what_came_since_the_last_one() -> None:
    tally = Tally()
    tally.add(1.0, 1, {})
    first = tally.cut_point(1.0, 1.0)
    second = tally.cut_point(3.0, 2.0)

    assert (first.requests_per_second, first.p50_seconds) == (1.0, 1.0)
    assert (second.requests_per_second, second.p50_seconds, second.elapsed_seconds) == (0.0, None, 3.0)
