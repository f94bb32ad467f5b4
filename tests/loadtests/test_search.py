"""The search, on simulated servers whose capacity is known."""

import math
from collections.abc import Callable
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadtests.arrivals import schedule
from loadtests.measured import Outcome, Step, Verdict
from loadtests.search import CONFIRM_WINDOWS, HIGHEST_RATE, LIMIT_SECONDS, LOWEST_RATE, Measure, search
from loadtests.slo import Slo, judge, most_late, parse_slo
from loadtests.tally import Tally

WINDOW_SECONDS = 5.0
CONFIRM_SECONDS = CONFIRM_WINDOWS * WINDOW_SECONDS


def single_server_queue(service_seconds: float, slo: Slo, seed: int = 0) -> Measure:
    """An M/D/1 queue: Poisson arrivals, one worker, constant service time; starts empty, stops when hopeless."""
    steps = count()

    def measure(rate: float, window_seconds: float) -> Step:
        offsets = schedule(rate, window_seconds, f"{seed}/{next(steps)}")
        tally = Tally(slo.seconds)
        free_at = 0.0
        for offset in offsets:
            free_at = max(offset, free_at) + service_seconds
            tally.add(free_at - offset, 1, {})
            if tally.late > most_late(slo, len(offsets)):
                break
        return judge(slo, rate, window_seconds, max(free_at, 0.001), tally)

    return measure


def scripted(decide: Callable[[int, float, float], Verdict], tried: list[float], wait_seconds: float = 0.0) -> Measure:
    """A server that does as it is told, (number of the step, rate, window) to verdict, and is slow to finish."""

    def measure(rate: float, window_seconds: float) -> Step:
        tried.append(rate)
        verdict = decide(len(tried), rate, window_seconds)
        return Step(
            rate=rate,
            window_seconds=window_seconds,
            elapsed_seconds=window_seconds + wait_seconds,
            latency_seconds=0.01,
            verdict=verdict,
            measured=Tally().measured(window_seconds),
        )

    return measure


def found(objective: str, measure: Measure) -> Outcome:
    return search(objective, measure, WINDOW_SECONDS)


@settings(max_examples=40, deadline=None)
@given(
    st.floats(0.002, 0.1),
    st.floats(10, 40),
    st.sampled_from(["p50", "p95", "p99"]),
    st.integers(0, 1000),
)
def test_the_rate_found_lies_near_the_capacity_of_a_queue(
    service_seconds: float, patience: float, quantile: str, seed: int
) -> None:
    """An objective of 10 to 40 service times holds easily at half the capacity and never well above it."""
    seconds = min(service_seconds * patience, 1.0)
    slo = parse_slo(f"{quantile}={seconds * 1e3:.3f}ms")
    capacity = 1 / service_seconds

    outcome = search(slo.text, single_server_queue(service_seconds, slo, seed), slo.window_seconds)

    # what a window of that length cannot see (`Slo.window_seconds`), and what chance does to so many arrivals
    confirm_seconds = CONFIRM_WINDOWS * slo.window_seconds
    excess = slo.seconds / (slo.quantile * confirm_seconds)
    chance = 3 / math.sqrt(capacity * confirm_seconds)
    assert outcome.rate
    assert 0.5 * capacity <= outcome.rate <= capacity * (1 + excess + chance)
    assert outcome.limited_by == "server" or slo.window_seconds > WINDOW_SECONDS  # long windows may end the time


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(["kept", "broken", "client behind"]), min_size=1, max_size=60), st.floats(0, 12))
def test_whatever_happens_the_search_ends_within_its_bounds(verdicts: list[Verdict], wait_seconds: float) -> None:
    tried: list[float] = []

    outcome = found("p99=100ms", scripted(lambda number, *_: verdicts[number % len(verdicts)], tried, wait_seconds))

    assert tried
    assert all(LOWEST_RATE <= rate <= HIGHEST_RATE for rate in tried)
    spent = sum(step.elapsed_seconds for step in outcome.steps)
    assert spent - wait_seconds <= LIMIT_SECONDS  # every step was begun with time for its window
    assert outcome.rate in {None, *(step.rate for step in outcome.steps if step.verdict == "kept")}
    last = outcome.steps[-1]
    assert outcome.confirmed is ((last.verdict, last.window_seconds) == ("kept", CONFIRM_SECONDS))


def test_a_confirmed_rate_was_kept_last_and_longest() -> None:
    slo = parse_slo("p99=100ms")

    outcome = search(slo.text, single_server_queue(0.005, slo), slo.window_seconds)

    last = outcome.steps[-1]
    assert outcome.confirmed
    assert (last.rate, last.verdict, last.window_seconds) == (outcome.rate, "kept", CONFIRM_SECONDS)


def test_one_hiccup_on_the_way_up_does_not_end_the_climb() -> None:
    tried: list[float] = []

    def decide(number: int, rate: float, window_seconds: float) -> Verdict:
        return "broken" if number == 2 or rate > 100 else "kept"

    outcome = found("p99=100ms", scripted(decide, tried))

    assert tried[:3] == [8, 16, 16]
    assert outcome.rate == pytest.approx(100, rel=0.06)


def test_a_lucky_rate_is_stepped_down_until_it_holds_for_longer() -> None:
    tried: list[float] = []

    def decide(number: int, rate: float, window_seconds: float) -> Verdict:
        return "kept" if rate <= (100 if window_seconds < CONFIRM_SECONDS else 80) else "broken"

    outcome = found("p99=100ms", scripted(decide, tried))

    assert outcome.confirmed
    assert outcome.rate
    assert 70 <= outcome.rate <= 80


def test_a_rate_that_is_never_confirmed_gives_way_to_one_that_was_kept_below() -> None:
    tried: list[float] = []

    def decide(number: int, rate: float, window_seconds: float) -> Verdict:
        return "kept" if rate <= 100 and window_seconds < CONFIRM_SECONDS else "broken"

    outcome = found("p99=100ms", scripted(decide, tried))

    assert (outcome.rate, outcome.confirmed, outcome.limited_by) == (64.0, False, "server")


def test_a_search_that_runs_out_of_time_says_so() -> None:
    tried: list[float] = []

    outcome = found("p99=100ms", scripted(lambda _, rate, __: "kept" if rate <= 100 else "broken", tried, 9.0))

    assert outcome.rate == pytest.approx(90.5, rel=0.01)
    assert (outcome.confirmed, outcome.limited_by) == (False, "search")


def test_a_server_that_never_keeps_it_gives_no_rate() -> None:
    tried: list[float] = []

    outcome = found("p99=1ms", scripted(lambda *_: "broken", tried))

    assert (outcome.rate, outcome.confirmed, outcome.limited_by) == (None, False, "server")
    assert min(tried) == LOWEST_RATE


def test_a_server_slower_than_the_first_rate_is_found_by_descending() -> None:
    tried: list[float] = []

    outcome = found("p99=1s", scripted(lambda _, rate, __: "kept" if rate <= 3 else "broken", tried))

    assert outcome.rate == pytest.approx(3, rel=0.06)


def test_a_client_that_falls_behind_is_named_as_the_limit() -> None:
    tried: list[float] = []

    outcome = found("p99=1ms", scripted(lambda _, rate, __: "kept" if rate <= 700 else "client behind", tried))

    assert outcome.rate
    assert outcome.limited_by == "client"


def test_a_server_faster_than_the_highest_rate_is_limited_by_the_search() -> None:
    tried: list[float] = []

    outcome = found("p99=1s", scripted(lambda *_: "kept", tried))

    assert (outcome.rate, outcome.limited_by, outcome.confirmed) == (HIGHEST_RATE, "search", True)
