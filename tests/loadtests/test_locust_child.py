"""Real Locust runs, of a second each, against a real server."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from starlette.responses import RedirectResponse, Response

from loadtests.locust_child import CALLERS, LOCUSTFILE, Plan, command, run_locust
from loadtests.measured import Progress, Result
from loadtests.payloads import SCENARIOS
from tests.loadtests.toy_server import Toy, served
from tidegate.errors import TidegateError


def plan(url: str, scenario: str = "single", users: int = 2, seconds: float = 1.0) -> Plan:
    return Plan(url=url, model="toy", scenario=scenario, users=users, duration_seconds=seconds)


def call(toy: Toy, scenario: str = "single", seconds: float = 1.0, **environ: str) -> Result:
    with served(toy) as url:
        return run_locust(plan(url, scenario, seconds=seconds), os.environ | environ, lambda progress: None)


def test_every_request_is_counted_and_checked() -> None:
    toy = Toy(service_seconds=0.01)
    progress = list[Progress]()
    with served(toy) as url:
        result = run_locust(plan(url, seconds=3), os.environ, progress.append)

    assert result.measured
    assert result.measured.failures == {}
    # one prediction was asked for beforehand; two callers may be cut off in the middle of theirs
    assert len(toy.seen) - 3 <= result.measured.requests <= len(toy.seen) - 1
    assert result.measured.latency_seconds
    assert result.measured.latency_seconds.p50 >= 0.01
    assert result.measured.server_seconds["infer"].p50 == pytest.approx(0.01, rel=0.02)
    assert result.measured.client_lag_seconds
    assert len(progress) == len(result.points) >= 2


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_each_scenario_sends_what_its_story_says(scenario: str) -> None:
    toy = Toy(service_seconds=0.01)

    result = call(toy, scenario)

    sent = toy.seen[1:]
    sizes = {1 if isinstance(inputs, str) else len(inputs) for inputs in sent}
    assert sent
    assert result.measured
    assert result.measured.failures == {}
    assert sizes <= (set(range(8, 33)) if scenario == "batches" else {1})
    assert result.measured.texts >= result.measured.requests * min(sizes)


def test_wrong_answers_count_as_failures_of_their_kind_and_not_as_throughput() -> None:
    toy = Toy(service_seconds=0.005)
    toy.spoil = 4

    measured = call(toy).measured

    assert measured
    assert set(measured.failures) == {"wrong answer: a label the model does not have"}
    assert measured.failed == pytest.approx(measured.requests / 4, abs=2)
    assert measured.texts == measured.requests - measured.failed


@pytest.mark.parametrize(
    ("spoiled", "kind"),
    [
        (Response(status_code=503), "HTTP 503"),
        (RedirectResponse("http://203.0.113.1/"), "HTTP 307"),
        (Response(b"xx", headers={"content-encoding": "zstd"}), "ValueError"),
    ],
)
def test_refusals_redirects_and_unreadable_answers_are_failures(spoiled: Response, kind: str) -> None:
    toy = Toy(service_seconds=0.005)
    toy.spoil = 2
    toy.spoiled = spoiled

    measured = call(toy).measured

    assert measured
    assert set(measured.failures) == {kind}


def test_the_key_is_sent_and_stands_on_no_command_line() -> None:
    toy = Toy(service_seconds=0.005)
    toy.key = "secret-key"

    measured = call(toy, TIDEGATE_API_KEY="secret-key").measured

    assert measured
    assert measured.requests
    assert measured.failures == {}
    assert "secret-key" not in " ".join(command(plan("http://x"), 3))


def test_settings_of_locust_in_the_environment_or_at_home_change_nothing(tmp_path: Path) -> None:
    (tmp_path / ".locust.conf").write_text("tags = none-of-ours\n")  # would leave the callers without a task

    measured = call(Toy(service_seconds=0.005), LOCUST_TAGS="none-of-ours", HOME=str(tmp_path)).measured

    assert measured
    assert measured.requests
    assert measured.failures == {}


def test_a_child_that_cannot_begin_says_why() -> None:
    with served(Toy()) as url, pytest.raises(TidegateError, match="serves no model 'other'; it serves: toy"):
        run_locust(
            Plan(url=url, model="other", scenario="single", users=1, duration_seconds=1), os.environ, lambda p: None
        )


def test_a_caller_that_stops_listening_ends_the_load() -> None:
    class Enough(Exception):
        pass

    def stop(progress: Progress) -> None:
        raise Enough

    toy = Toy(service_seconds=0.01)
    with served(toy) as url:
        with pytest.raises(Enough):
            run_locust(plan(url, seconds=3600), os.environ, stop)
        ended = len(toy.seen)
        time.sleep(0.3)  # thirty requests' worth, were anybody still calling

        assert len(toy.seen) == ended


def test_a_child_whose_parent_died_stops_within_a_second_or_so() -> None:
    with served(Toy(service_seconds=0.01)) as url:
        reading, writing = os.pipe()
        child = subprocess.Popen(
            command(plan(url, seconds=3600), writing), pass_fds=[writing], stderr=subprocess.DEVNULL
        )
        os.close(writing)
        os.close(reading)

        try:
            assert child.wait(timeout=60) == 1
        finally:
            child.kill()


def test_by_hand_locust_lists_our_callers() -> None:
    listed = subprocess.run(
        [sys.executable, "-m", "locust", "-f", str(LOCUSTFILE), "--list"], capture_output=True, text=True, check=True
    )

    assert set(listed.stdout.split()) >= {*CALLERS.values(), "Arrivals"}


def test_by_hand_a_start_without_a_model_says_what_to_name() -> None:
    refused = subprocess.run(
        [sys.executable, "-m", "locust", "-f", str(LOCUSTFILE), "--headless", "--host", "http://127.0.0.1:1"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert refused.returncode == 2
    assert "name a --host, a --model and one of Single, Batches, Mixed, Arrivals" in refused.stderr
