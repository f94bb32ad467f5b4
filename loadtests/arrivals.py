"""Open-loop arrivals: requests come when the schedule says so, whether or not the earlier ones were answered.

A closed loop (N callers who wait for their answers) sends less as the server slows, and so never sees the
queue that real arrivals would build. Here the schedule is fixed beforehand, and a request's latency counts from
its scheduled arrival. Used by `locustfile`; needs nothing of gevent itself, so that a test can turn the clock.
Source: Schroeder, Wierman, Harchol-Balter 2006, "Open Versus Closed: A Cautionary Tale" (NSDI).
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass


def schedule(rate: float, seconds: float, seed: str) -> list[float]:
    """Offsets in seconds, ascending in [0, seconds), of a Poisson process that brings exactly `rate * seconds`.

    Given its count, the arrivals of a Poisson process are independent uniform draws (Ross, Stochastic Processes,
    2nd ed., theorem 2.3.1); fixing the count makes the rate of a short window the one that it is named after.
    """
    chance = random.Random(seed)
    return sorted(chance.random() * seconds for _ in range(max(1, round(rate * seconds))))


@dataclass(frozen=True, slots=True)
class Road:
    """What `follow` needs of the outside.

    Attributes:
        clock: monotonic time in seconds.
        sleep: waits that many seconds, 0 meaning that others may run; the wait may end late.
        send: starts a request that was due at that time of the clock, and returns at once.
        full: as many requests are in flight as may be.
        wait_for_slot: returns when one of them has ended.
        hopeless: the objective cannot be kept any more, so the rest need not be sent.
    """

    clock: Callable[[], float]
    sleep: Callable[[float], object]
    send: Callable[[float], object]
    full: Callable[[], bool]
    wait_for_slot: Callable[[], object]
    hopeless: Callable[[], bool]


def follow(offsets: Sequence[float], road: Road, on_lag: Callable[[float], object]) -> int:
    """Send a request at each offset from now on, and tell `on_lag` how late each one left by our own fault.

    Returns how many were sent. Waiting for a slot is the server's doing (it has not answered those in flight):
    it is part of the latency, not of the lag.
    """
    start = road.clock()
    freed = start
    for sent, offset in enumerate(offsets):
        due = start + offset
        road.sleep(max(0.0, due - road.clock()))
        on_lag(max(0.0, road.clock() - max(due, freed)))
        if road.full():
            road.wait_for_slot()
            freed = road.clock()
        if road.hopeless():
            return sent
        road.send(due)
    return len(offsets)
