"""The Locust side: callers who live through the scenarios, and arrivals at the rates of a search.

Run by `locust_child` for `tidegate loadtest`; by hand, with Locust's own page or without:

    locust -f loadtests/locustfile.py --host http://127.0.0.1:8080 --model headlines Single

The only module that imports Locust, because gevent patches the whole process. Closed loop: `Single`, `Batches`,
`Mixed`. Open loop: `Arrivals` (needs `--slo`), which fires Locust's request events with latencies counted from
the scheduled arrival. The API key comes from TIDEGATE_API_KEY.
"""

import logging
import os
import sys
import time
from argparse import ArgumentParser
from typing import Any, ClassVar

import gevent
import orjson
from gevent.pool import Pool
from locust import FastHttpUser, events
from locust.exception import StopUser

from loadtests.answers import failure_of
from loadtests.arrivals import Road, follow, schedule
from loadtests.measured import Step
from loadtests.payloads import SCENARIOS, Payload
from loadtests.recording import Recording
from loadtests.search import search
from loadtests.slo import Slo, judge, most_late, parse_slo
from loadtests.target import Target, authorization, inspect
from tidegate.errors import TidegateError, UsageError

ANSWER_SECONDS = 10.0  # a request without an answer by then has failed
MOST_IN_FLIGHT = 1_024


# --- one request -----------------------------------------------------------------------------------------------


def send(user: Any, payload: Payload, due: float) -> None:
    """Ask for a prediction and check the answer; latency counts from `due`, a time of `perf_counter`."""
    recording: Recording = user.environment.recording
    inputs = payload[0] if len(payload) == 1 else payload
    with user.client.post(
        recording.target.predict_path,
        name=recording.scenario,
        data=orjson.dumps({"inputs": inputs}),
        headers=user.request_headers,
        context={"texts": len(payload)},
        catch_response=True,
    ) as response:
        response.request_meta["response_time"] = (time.perf_counter() - due) * 1e3
        failure = _failure(response, len(payload), recording.target)
        if failure:
            response.failure(failure)
        else:
            response.success()


def _failure(response: Any, texts: int, target: Target) -> str:
    if not response.status_code:  # no answer at all
        return type(response.error).__name__
    return failure_of(response.status_code, response.content, texts, target.labels)


class Caller(FastHttpUser):  # type: ignore[misc]  # Locust's types are not followed
    """What every caller has: verified TLS, a bounded wait, no redirects."""

    abstract = True
    scenario = ""
    insecure = False
    connection_timeout = network_timeout = ANSWER_SECONDS

    def on_start(self) -> None:
        """Get headers and payloads, and stay at the URL given."""
        recording: Recording = self.environment.recording
        self.client.client.redirect_response_codes = frozenset()  # a 3xx is a failure, not a way to elsewhere
        self.request_headers = {
            "Content-Type": "application/json",
            "Accept-Encoding": "identity",
            **authorization(os.environ.get("TIDEGATE_API_KEY", "")),
        }
        self.payloads = recording.next_payloads()


# --- closed loop: callers who wait for their answer ------------------------------------------------------------


def ask(user: Any) -> None:
    """Send the next payload, wait for its answer, and so on."""
    send(user, next(user.payloads), time.perf_counter())


class Single(Caller):
    """Sends each text the moment it has it."""

    scenario = "single"
    tasks: ClassVar = [ask]


class Batches(Caller):
    """Works through a table, 8 to 32 texts at a time."""

    scenario = "batches"
    tasks: ClassVar = [ask]


class Mixed(Caller):
    """Sends headlines, paragraphs and now and then a whole page."""

    scenario = "mixed"
    tasks: ClassVar = [ask]


# --- open loop: arrivals that do not wait ----------------------------------------------------------------------


def find_rate(user: Any) -> None:
    """Search for the highest arrival rate that keeps the objective, then end the run."""
    recording: Recording = user.environment.recording
    slo = recording.slo
    if slo is None:
        raise StopUser

    def measure(rate: float, window_seconds: float) -> Step:
        recording.note += f"trying {rate:.1f}/s"
        step = _arrive(user, recording, slo, rate, window_seconds)
        recording.note = f"{rate:.1f}/s {step.verdict}, "
        return step

    recording.outcome = search(slo.text, measure, slo.window_seconds)
    gevent.spawn(user.environment.runner.quit)
    raise StopUser


def _arrive(user: Any, recording: Recording, slo: Slo, rate: float, window_seconds: float) -> Step:
    """One step: send on schedule, wait for the last answer, judge."""
    payloads = recording.next_payloads()  # no two steps see the same texts and arrivals
    offsets = schedule(rate, window_seconds, f"{recording.seed}/{recording.callers}")
    # Twice what is in flight at the objective's latency (Little's law): a server that keeps it never fills it.
    pool = Pool(min(MOST_IN_FLIGHT, max(64, round(2 * rate * slo.seconds))))
    tally = recording.begin(slo.seconds)
    allowed = most_late(slo, len(offsets))
    begun = time.perf_counter()
    sent = follow(
        offsets,
        Road(
            clock=time.perf_counter,
            sleep=gevent.sleep,
            send=lambda due: pool.spawn(send, user, next(payloads), due),
            full=lambda: pool.free_count() == 0,
            wait_for_slot=pool.wait_available,
            hopeless=lambda: tally.late > allowed,
        ),
        tally.lag.add,
    )
    pool.join()
    if sent > tally.requests:  # a request that broke down in this client; Locust's log says how
        tally.fail("not counted", sent - tally.requests)
    return judge(slo, rate, window_seconds, time.perf_counter() - begun, tally)


class Arrivals(Caller):
    """Sends at scheduled times, whether or not the earlier requests were answered."""

    tasks: ClassVar = [find_rate]
    fixed_count = 1
    concurrency = MOST_IN_FLIGHT


# --- hooks into Locust -----------------------------------------------------------------------------------------


def add_arguments(parser: ArgumentParser) -> None:
    """Our options beside Locust's own."""
    parser.add_argument("--model", default="", help="Model to call.")
    parser.add_argument("--scenario", default="single", choices=sorted(SCENARIOS), help="What Arrivals sends.")
    parser.add_argument("--slo", default="", help="Objective of Arrivals, such as p99=100ms.")
    parser.add_argument("--seed", type=int, default=0, help="Seed of texts and arrivals.")
    parser.add_argument("--pipe", type=int, default=None, help="Descriptor that results go to; the log without it.")


def start(environment: Any, **_: Any) -> None:
    """Look at the server, and listen to what the callers report."""
    try:
        recording = _recording(environment)
    except TidegateError as error:
        logging.getLogger("tidegate").error(str(error))
        sys.exit(error.exit_code)
    environment.recording = recording
    environment.events.request.add_listener(recording.on_request)
    environment.events.user_error.add_listener(recording.on_user_error)
    environment.events.test_start.add_listener(recording.start)
    environment.events.quitting.add_listener(recording.finish)


def _recording(environment: Any) -> Recording:
    options = environment.parsed_options
    chosen = environment.user_classes
    if len(chosen) != 1 or not options.model or not environment.host:
        raise UsageError("name a --host, a --model and one of Single, Batches, Mixed, Arrivals")
    if (chosen[0] is Arrivals) != bool(options.slo):
        raise UsageError("--slo belongs to Arrivals, and Arrivals needs it, such as --slo p99=100ms")
    return Recording(
        target=inspect(environment.host, options.model, os.environ.get("TIDEGATE_API_KEY", "")),
        scenario=chosen[0].scenario or options.scenario,
        seed=options.seed,
        slo=parse_slo(options.slo) if options.slo else None,
        pipe=options.pipe,
    )


events.init_command_line_parser.add_listener(add_arguments)
events.init.add_listener(start)
