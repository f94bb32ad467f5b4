"""The scenarios against the real gateway: what the toy server promises, the product keeps."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from loadtests.locust_child import Plan, run_locust
from loadtests.payloads import SCENARIOS
from tests import bundles
from tidegate.bundle_store import BundleStore

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    home = tmp_path_factory.mktemp("home")
    store = BundleStore(home / "bundles")
    bundles.wordpieces(store)
    bundles.sentiment(store, threshold=0.9, fallback="unsure")
    with _serving(home) as server:
        assert server.stdout
        ready = server.stdout.readline()
        assert ready.startswith("ready "), ready
        yield ready.split()[1]
        server.terminate()


def _serving(home: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tidegate", "serve", "--home", str(home), "--port", "0"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)


@pytest.mark.parametrize("model", ["wordpieces", "sentiment"])
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_every_answer_of_the_gateway_passes_the_checks(gateway: str, model: str, scenario: str) -> None:
    plan = Plan(url=gateway, model=model, scenario=scenario, users=4, duration_seconds=2)

    measured = run_locust(plan, os.environ, lambda progress: None).measured

    assert measured
    assert measured.requests > 10
    assert measured.failures == {}
    assert set(measured.server_seconds) == {"queue", "tokenize", "infer"}
