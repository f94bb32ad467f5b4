"""The webhook delivers what the log tells, and a receiver that is dead, slow or angry harms nothing."""

import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from monitoring.webhook import MAX_WAITING, Webhook
from tests.monitoring.conftest import House
from tidegate.errors import UsageError


class Receiver(BaseHTTPRequestHandler):
    """Keeps what is posted; answers 500 on /angry."""

    got: list[dict[str, Any]]
    arrived: threading.Event

    def do_POST(self) -> None:
        self.got.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
        self.send_response(500 if self.path == "/angry" else 204)
        self.end_headers()
        self.arrived.set()

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture
def receiver() -> Iterator[tuple[str, type[Receiver]]]:
    handler = type("Fresh", (Receiver,), {"got": [], "arrived": threading.Event()})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}", handler
    server.shutdown()
    thread.join()
    server.server_close()


def test_an_alert_arrives_as_json_once(house: House, receiver: tuple[str, type[Receiver]]) -> None:
    url, handler = receiver
    house.settings = house.settings.model_copy(update={"webhook_url": url})
    job = house.job()
    job.start()
    job.record(house.novel(400, "a"))
    assert handler.arrived.wait(20)
    job.stop()

    (document,) = handler.got
    assert (document["event"], document["model"], document["version"]) == ("drift_alert", "sentiment", 1)
    assert document["relabel_items_queued"] == 10
    assert document["text"] == document["message"]
    assert "unseen" not in json.dumps(document), "an alert carries no caller's text"


def test_an_angry_receiver_is_counted_and_its_secret_path_is_not_logged(
    receiver: tuple[str, type[Receiver]], caplog: pytest.LogCaptureFixture
) -> None:
    url, _ = receiver
    failed = threading.Event()
    hook = Webhook(f"{url}/angry", failed.set)
    hook.start()
    hook.send({"a": 1})
    assert failed.wait(20)
    hook.stop()

    assert "127.0.0.1: it answered 500" in caplog.text
    assert "angry" not in "".join(r.getMessage() for r in caplog.records if r.name.startswith("monitoring"))


@pytest.mark.parametrize("url", ["http://", "nonsense", "ftp://x/", "http://[::1", "https:///path"])
def test_a_url_that_cannot_be_posted_to_fails_at_start(url: str) -> None:
    with pytest.raises(UsageError, match="TIDEGATE_WEBHOOK_URL"):
        Webhook(url, lambda: None)


def test_a_dead_receiver_is_one_counted_failure() -> None:
    failed = threading.Event()
    hook = Webhook("http://127.0.0.1:1/", failed.set)
    hook.start()
    hook.send({"a": 1})

    assert failed.wait(20)
    hook.stop()


def test_a_receiver_that_never_answers_holds_up_neither_alerts_nor_exit(house: House) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        failures = 0

        def count() -> None:
            nonlocal failures
            failures += 1

        hook = Webhook(f"http://127.0.0.1:{silent.getsockname()[1]}/", count)
        hook.start()
        for number in range(MAX_WAITING + 5):
            hook.send({"number": number})
        hook.stop()

    assert failures >= 4


def test_without_a_url_nothing_is_sent() -> None:
    hook = Webhook("", lambda: pytest.fail("nothing to fail"))
    hook.start()
    hook.send({"a": 1})
    hook.stop()
