"""What one Locust process knows and tells: the model it calls, what is counted, and the pipe to its parent.

Between Locust's events (`locustfile` wires them) and `locust_child`, which reads the pipe. Runs inside gevent;
the parent process never imports it.
"""

import logging
import math
import os
import time
from collections.abc import Iterator, Mapping
from typing import Any

import gevent
from gevent.pool import Group

from loadtests.answers import stages_of
from loadtests.measured import Measured, Message, Outcome, Point, Progress, Result
from loadtests.payloads import Payload, tell
from loadtests.slo import Slo
from loadtests.tally import Tally
from loadtests.target import Target

LAG_TICK_SECONDS = 0.02
logger = logging.getLogger("tidegate.loadtests")


class Recording:
    """One run of Locust.

    Attributes:
        tally: what is being counted; a search begins a new one with each step.
        callers: how many streams of payloads were given out.
        note: what a search is doing, for the progress line.
        outcome: what a search found, once it has ended.
    """

    def __init__(self, target: Target, scenario: str, seed: int, slo: Slo | None, pipe: int | None) -> None:
        self.target = target
        self.scenario = scenario
        self.seed = seed
        self.slo = slo
        self.tally = Tally()
        self.callers = 0
        self.note = ""
        self.outcome: Outcome | None = None
        self._pipe = pipe
        self._points: list[Point] = []
        self._begun = time.perf_counter()
        self._watchers = Group()

    def next_payloads(self) -> Iterator[Payload]:
        """A stream of payloads that nobody else of this run gets."""
        self.callers += 1
        return tell(self.scenario, self.target.samples, self.seed, self.callers)

    def begin(self, limit_seconds: float = math.inf) -> Tally:
        """Start counting afresh."""
        self._begun = time.perf_counter()
        self.tally = Tally(limit_seconds)
        return self.tally

    def start(self, **_: Any) -> None:
        """Locust starts a test: count, and tell progress once a second."""
        self.begin()
        self._points.clear()
        self._watchers.kill()  # those of an earlier test, started from Locust's own page
        self._watchers.spawn(self._report_progress)
        if not self.slo:
            self._watchers.spawn(self._watch_lag)

    def on_request(
        self, response_time: float, exception: object, response: Any, context: Mapping[str, int], **_: Any
    ) -> None:
        """Locust's request event; `response_time` is in milliseconds."""
        if exception:
            self.tally.fail(str(exception))
        else:
            self.tally.add(response_time / 1e3, context["texts"], stages_of(response.headers.get("server-timing")))

    def on_user_error(self, exception: BaseException, **_: Any) -> None:
        """A caller broke down before its request was counted."""
        self.tally.fail(type(exception).__name__)

    def finish(self, **_: Any) -> None:
        """Locust is quitting: hand the result over."""
        if self.slo:
            self._tell(Message(result=Result(measured=_at_rate_found(self.outcome), outcome=self.outcome)))
        else:
            measured = self.tally.measured(time.perf_counter() - self._begun)
            self._tell(Message(result=Result(measured=measured, points=tuple(self._points))))

    def _report_progress(self) -> None:
        started = cut = time.perf_counter()
        while True:
            gevent.sleep(1)
            now = time.perf_counter()
            point = self.tally.cut_point(now - started, now - cut)
            cut = now
            self._points.append(point)
            self._tell(Message(progress=Progress(point=point, note=self.note)))

    def _watch_lag(self) -> None:
        """Closed loop: how much later than planned this process gets to run."""
        while True:
            planned = time.perf_counter() + LAG_TICK_SECONDS
            gevent.sleep(LAG_TICK_SECONDS)
            self.tally.lag.add(max(0.0, time.perf_counter() - planned))

    def _tell(self, message: Message) -> None:
        """One line of JSON on the pipe; on the log where there is none."""
        line = message.model_dump_json() + "\n"
        if self._pipe is None:
            logger.debug(line)
            return
        try:
            with os.fdopen(self._pipe, "w", closefd=False) as pipe:
                pipe.write(line)
        except BrokenPipeError:  # our parent is gone: stop the load at once, nobody wants its result
            os._exit(1)


def _at_rate_found(outcome: Outcome | None) -> Measured | None:
    """The last step that kept the rate found."""
    if outcome is None:
        return None
    kept = [step for step in outcome.steps if step.rate == outcome.rate and step.verdict == "kept"]
    return kept[-1].measured if kept else None
