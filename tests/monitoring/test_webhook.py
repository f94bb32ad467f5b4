"""The webhook delivers what the log tells, and a receiver that is dead, slow or angry harms nothing."""

import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from monitoring.webhook import MAX_WAITING, Webhook, is_public
from tests.monitoring.conftest import House
from tidegate.errors import UsageError


class Receiver(BaseHTTPRequestHandler):
    """Keeps what is posted; answers 500 on /angry."""

    got: list[dict[str, Any]]
    arrived: threading.Event

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.got.append({**body, "host": self.headers["host"]})
        self.send_response({"/angry": 500, "/moved": 302}.get(self.path, 204))
        self.send_header("location", "/elsewhere")
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
    house.settings = house.settings.model_copy(update={"webhook_url": url, "webhook_allow_private": True})
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
    hook = Webhook(f"{url}/angry", failed.set, allow_private=True)
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
    hook = Webhook("http://127.0.0.1:1/", failed.set, allow_private=True)
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

        hook = Webhook(f"http://127.0.0.1:{silent.getsockname()[1]}/", count, allow_private=True)
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


PRIVATE = (
    *("127.0.0.1", "127.8.8.8", "0.0.0.0", "10.1.2.3", "172.16.0.1", "192.168.1.4", "100.64.0.1", "169.254.169.254"),
    *("168.63.129.16", "100.100.100.200", "192.0.0.192", "224.0.0.1", "255.255.255.255", "198.18.0.1", "240.0.0.1"),
    *("::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "fd00:ec2::254", "ff02::1", "::ffff:127.0.0.1"),
    *("::ffff:169.254.169.254", "64:ff9b::7f00:1", "2002:7f00:1::", "2001:0:7f00:1::", "2001:db8::1"),
)


@pytest.mark.parametrize("address", PRIVATE)
def test_private_local_and_metadata_addresses_are_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["1.1.1.1", "93.184.215.14", "2606:4700:4700::1111", "64:ff9b::101:101"])
def test_addresses_of_the_internet_are_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0x7f.1", "2130706433", "[::ffff:127.0.0.1]", "127.1"])
def test_a_private_target_is_refused_however_it_is_written(
    receiver: tuple[str, type[Receiver]], caplog: pytest.LogCaptureFixture, host: str
) -> None:
    url, handler = receiver
    failed = threading.Event()
    hook = Webhook(f"http://{host}:{url.rpartition(':')[2]}/", failed.set)
    hook.start()
    hook.send({"a": 1})
    assert failed.wait(20)
    hook.stop()

    assert handler.got == []
    assert "webhook_allow_private" in caplog.text


def test_a_redirect_is_a_failure_and_is_not_followed(receiver: tuple[str, type[Receiver]]) -> None:
    url, handler = receiver
    failed = threading.Event()
    hook = Webhook(f"{url}/moved", failed.set, allow_private=True)
    hook.start()
    hook.send({"a": 1})
    assert failed.wait(20)
    hook.stop()

    assert len(handler.got) == 1


def test_the_receiver_hears_its_name_although_the_address_is_connected_to(
    receiver: tuple[str, type[Receiver]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")  # nobody there: it must not be asked
    url, handler = receiver
    port = url.rpartition(":")[2]
    hook = Webhook(f"http://localhost:{port}/", lambda: pytest.fail("not delivered"), allow_private=True)
    hook.start()
    hook.send({"a": 1})
    assert handler.arrived.wait(20)
    hook.stop()

    assert handler.got == [{"a": 1, "host": f"localhost:{port}"}]
