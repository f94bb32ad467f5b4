"""Open-loop arrivals, on a clock that the test turns."""

from itertools import pairwise
from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests.arrivals import Road, follow, schedule


class Clock:
    """Time passes only when somebody sleeps or works; timers may fire late."""

    def __init__(self, oversleep_seconds: float = 0.0) -> None:
        self.now = 100.0
        self.oversleep_seconds = oversleep_seconds

    def sleep(self, seconds: float) -> None:
        self.now += seconds + self.oversleep_seconds


def road(clock: Clock, sent: list[float], **changes: object) -> Road:
    parts: dict[str, object] = {
        "clock": lambda: clock.now,
        "sleep": clock.sleep,
        "send": sent.append,
        "full": lambda: False,
        "wait_for_slot": lambda: None,
        "hopeless": lambda: False,
    }
    return Road(**(parts | changes))  # type: ignore[arg-type]


@given(st.floats(0.1, 500), st.floats(0.1, 10), st.text(max_size=5))
def test_a_schedule_brings_its_rate_in_order_within_its_window(rate: float, seconds: float, seed: str) -> None:
    offsets = schedule(rate, seconds, seed)

    assert len(offsets) == max(1, round(rate * seconds))
    assert offsets == sorted(offsets) == schedule(rate, seconds, seed)
    assert 0 <= offsets[0] <= offsets[-1] <= seconds


def test_gaps_between_arrivals_are_exponential() -> None:
    offsets = schedule(1000, 20, "gaps")
    gaps = [after - before for before, after in pairwise(offsets)]

    longer_than_mean = fmean(gap > 0.001 for gap in gaps)
    assert fmean(gaps) == pytest.approx(0.001, rel=0.01)
    assert longer_than_mean == pytest.approx(0.3679, abs=0.02)  # e^-1; regular arrivals would give 0 or 1


def test_requests_are_due_at_their_scheduled_times() -> None:
    clock, sent = Clock(), list[float]()

    number = follow([0.0, 0.5, 0.75], road(clock, sent), lambda lag: None)

    assert number == 3
    assert sent == [100.0, 100.5, 100.75]


def test_a_full_road_delays_sending_but_not_what_latency_counts_from() -> None:
    """Coordinated omission: the wait for a slot is part of the latency, and is not the client's lag."""
    clock, sent, lags = Clock(), list[float](), list[float]()
    full = iter([False, True, False, False])

    def wait() -> None:
        clock.now += 3.0

    follow([0.0, 1.0, 2.0, 3.0], road(clock, sent, full=lambda: next(full), wait_for_slot=wait), lags.append)

    assert sent == [100.0, 101.0, 102.0, 103.0]
    assert clock.now == pytest.approx(104.0)
    assert lags == pytest.approx([0, 0, 0, 0])


def test_a_client_that_cannot_keep_up_shows_growing_lag() -> None:
    clock, sent, lags = Clock(oversleep_seconds=0.02), list[float](), list[float]()

    follow([n * 0.01 for n in range(50)], road(clock, sent), lags.append)

    assert lags[-1] == pytest.approx(0.02 * 50 - 0.49)
    assert lags == sorted(lags)


def test_nothing_is_sent_once_the_objective_is_lost() -> None:
    clock, sent = Clock(), list[float]()

    number = follow([0.0, 0.1, 0.2, 0.3], road(clock, sent, hopeless=lambda: len(sent) == 2), lambda lag: None)

    assert number == len(sent) == 2
