"""A real Alertmanager takes what it is sent: an alert fires, is raised, and ends, and its receivers hear of it."""

import json
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from monitoring import alerts
from tests.monitoring.receivers import Inbox, inbox
from tests.monitoring.states import State, finding

pytestmark = pytest.mark.slow

CONFIG = """
route: {{receiver: inbox, group_by: [alertname, severity], group_wait: 0s, group_interval: 1s, repeat_interval: 1h}}
receivers: [{{name: inbox, webhook_configs: [{{url: "{url}", send_resolved: true}}]}}]
"""


@pytest.fixture
def told() -> Iterator[Inbox]:
    with inbox() as receiver:
        yield receiver


@pytest.fixture
def alertmanager(tmp_path: Path, told: Inbox) -> Iterator[str]:
    """Its URL; skips the test, loudly, where Debian's package is not installed."""
    program = shutil.which("prometheus-alertmanager")
    if program is None:
        pytest.skip("Alertmanager is not installed; to run this test: apt-get install prometheus-alertmanager")
    (tmp_path / "config.yml").write_text(CONFIG.format(url=told.url))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    flags = {
        "config.file": tmp_path / "config.yml",
        "storage.path": tmp_path / "data",
        "web.listen-address": f"127.0.0.1:{port}",
        "cluster.listen-address": "",
    }
    command = [program, *(f"--{name}={value}" for name, value in flags.items())]
    with (tmp_path / "log").open("w") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            until(lambda: answers(f"http://127.0.0.1:{port}/-/ready"))
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


def answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=5).is_success
    except httpx.TransportError:
        return False


def until(holds: Callable[[], bool]) -> None:
    for _ in range(300):
        if holds():
            return
        time.sleep(0.1)
    pytest.fail("it never did")


def heard(told: Inbox) -> list[tuple[str, str]]:
    """(state, severity) of every notice that Alertmanager's own receiver got."""
    return [(body["status"], body["alerts"][0]["labels"]["severity"]) for body in told.bodies]


def test_an_alert_fires_is_raised_and_ends(state: State, alertmanager: str, told: Inbox) -> None:
    state.now = time.time()
    post = state.listen(f"alertmanager+{alertmanager}", public_url="https://t.example")
    state.close_window(finding(message='inputs drifted: "naïve" <☂> & more'))
    post.round()
    until(lambda: heard(told) == [("firing", "ticket")])
    (shown,) = httpx.get(f"{alertmanager}/api/v2/alerts").json()
    state.close_window(finding(severity="page"))
    post.round()
    until(lambda: ("firing", "page") in heard(told))
    alerts.resolve(state.database, 1, time.time())
    post.round()
    until(lambda: ("resolved", "page") in heard(told))

    assert shown["labels"]["alertname"] == "TidegateModelDrift"
    assert shown["annotations"]["summary"] == 'inputs drifted: "naïve" <☂> & more'
    assert shown["generatorURL"] == "https://t.example/drift/headlines?alert=1"
    assert (state.states(), state.failures) == (["delivered"], 0)
    assert "page" not in json.dumps(httpx.get(f"{alertmanager}/api/v2/alerts").json())
