"""A process that is killed between a change and its delivery, or in the middle of one, loses no alert."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from monitoring.receivers import receivers_of
from tests.monitoring.conftest import House
from tests.monitoring.receivers import inbox
from tests.monitoring.states import State
from tidegate import store

pytestmark = pytest.mark.slow

CHILD = """
import sys, time
from pathlib import Path
from prometheus_client import CollectorRegistry
from monitoring.job import MonitoringJob
from tests.monitoring.states import State, finding
from tidegate import store
from tidegate.bundle_store import BundleStore
from tidegate.settings import Settings

settings = Settings(home=Path(sys.argv[1]), webhook_url=sys.argv[2], webhook_allow_private=True)
database = store.open_database(settings.state_url)
job = MonitoringJob(database, BundleStore(settings.bundles_dir), settings, CollectorRegistry())
if "--send" in sys.argv:
    job.start()
else:
    State(database, now=time.time()).close_window(finding())
print("ready", flush=True)
time.sleep(60)
"""


def child(house: House, url: str, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", CHILD, str(house.settings.home), url, *arguments]
    started = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path.cwd())
    assert started.stdout is not None
    assert started.stdout.readline() == "ready\n"
    return started


def kill(process: subprocess.Popen[str]) -> None:
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()


def test_killed_between_the_change_and_the_delivery(house: House) -> None:
    with inbox() as receiver:
        kill(child(house, receiver.url))
        assert State(house.database).states() == ["new"]
        successor = child(house, receiver.url, "--send")
        assert receiver.arrived.wait(30)
        kill(successor)

    assert receiver.events == ["opened"]


def test_killed_in_the_middle_of_a_delivery_the_next_process_sends_it_again_under_the_same_key(house: House) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent, inbox() as receiver:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        kill(child(house, url))
        sending = child(house, url, "--send")
        connection, _ = silent.accept()
        head = connection.recv(65_536).decode().lower()
        kill(sending)
        connection.close()
        (leased,) = State(house.database).deliveries()
        with house.database.begin() as writing:  # the receiver is up again, and the lease has ended
            (back,) = receivers_of(receiver.url)
            writing.execute(store.deliveries.update().values(leased_until=1.0, receiver=back.name))
        successor = child(house, receiver.url, "--send")
        assert receiver.arrived.wait(30)
        kill(successor)

    assert leased.leased_until is not None
    assert f"idempotency-key: {leased.key}" in head
    assert receiver.heads[0]["idempotency-key"] == leased.key
