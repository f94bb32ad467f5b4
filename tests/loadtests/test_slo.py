"""Objectives and verdicts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests.slo import Slo, judge, most_late, parse_slo
from loadtests.tally import Tally
from tidegate.errors import UsageError

P99 = parse_slo("p99=100ms")


def verdict(tally: Tally, slo: Slo = P99) -> str:
    return judge(slo, 10.0, 5.0, 5.0, tally).verdict


def tally_of(latencies: list[float], failures: int = 0, lag: float = 0.0) -> Tally:
    tally = Tally(P99.seconds)
    for seconds in latencies:
        tally.add(seconds, 1, {})
        tally.lag.add(lag)
    if failures:
        tally.fail("HTTP 503", failures)
    return tally


@pytest.mark.parametrize(
    ("text", "quantile", "seconds"),
    [("p99=100ms", 0.99, 0.1), ("p95=1s", 0.95, 1.0), ("p90 = 5ms", 0.9, 0.005), (" p50=0.5s ", 0.5, 0.5)],
)
def test_an_objective_is_a_quantile_and_a_time(text: str, quantile: float, seconds: float) -> None:
    slo = parse_slo(text)

    assert slo.seconds == pytest.approx(seconds)
    assert (slo.quantile, slo.text) == (quantile, text.strip())


@pytest.mark.parametrize(
    "text", ["p99", "p99=", "99=1s", "p98=100ms", "mean=1s", "p99=100", "p99<100ms", "p99=1s p50=1s"]
)
def test_anything_else_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(UsageError, match=r"--slo .*such as"):
        parse_slo(text)


@pytest.mark.parametrize("text", ["p99=0ms", "p99=0.5ms", "p99=1.1s", "p99=1m"])
def test_a_time_that_the_windows_cannot_judge_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="out of range"):
        parse_slo(text)


def test_a_window_is_long_beside_the_objective() -> None:
    assert [parse_slo(f"p99={text}").window_seconds for text in ("5ms", "500ms", "1s")] == [5.0, 5.0, 10.0]


def test_late_requests_within_the_quantile_are_allowed_and_one_more_is_not() -> None:
    assert verdict(tally_of([0.01] * 99 + [5.0])) == "kept"
    assert verdict(tally_of([0.01] * 98 + [5.0] * 2)) == "broken"


@given(st.integers(1, 500), st.sampled_from(["p50=100ms", "p90=100ms", "p95=100ms", "p99=100ms"]))
def test_giving_a_step_up_early_agrees_with_judging_it_whole(requests: int, text: str) -> None:
    slo = parse_slo(text)
    allowed = most_late(slo, requests)

    assert verdict(tally_of([0.01] * (requests - allowed) + [5.0] * allowed), slo) == "kept"
    assert verdict(tally_of([0.01] * (requests - allowed - 1) + [5.0] * (allowed + 1)), slo) == "broken"


def test_failures_count_as_never_answered() -> None:
    step = judge(P99, 10.0, 5.0, 5.0, tally_of([0.01] * 98, failures=2))

    assert step.verdict == "broken"
    assert step.latency_seconds is None


def test_a_median_objective_does_not_hide_failures() -> None:
    assert verdict(tally_of([0.01] * 90, failures=10), parse_slo("p50=100ms")) == "broken"


def test_a_step_without_any_answer_is_broken() -> None:
    assert verdict(Tally()) == "broken"


def test_a_breach_that_the_clients_own_lag_explains_is_not_the_servers() -> None:
    assert verdict(tally_of([0.15] * 100, lag=0.05)) == "client behind"


def test_a_breach_far_beyond_the_clients_lag_is_the_servers() -> None:
    assert verdict(tally_of([2.0] * 100, lag=0.05)) == "broken"


def test_a_trifling_lag_excuses_no_narrow_breach() -> None:
    assert verdict(tally_of([0.102] * 100, lag=0.005)) == "broken"


def test_an_objective_kept_in_spite_of_lag_is_kept() -> None:
    assert verdict(tally_of([0.09] * 100, lag=0.05)) == "kept"
