"""A POST goes to the address that was checked, hears only the head of the answer, and ends in time."""

import socket
import threading
from collections.abc import Callable

import pytest

from monitoring import post as posting
from monitoring.post import Answer, Unanswered, is_public, post
from tests.monitoring.receivers import inbox

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
def test_a_private_target_is_refused_however_it_is_written(host: str) -> None:
    with inbox() as receiver, pytest.raises(Unanswered, match="set webhook_allow_private"):
        post(f"http://{host}:{receiver.url.rpartition(':')[2]}/", b"{}", {}, allow_private=False)

    assert receiver.bodies == []


def test_a_redirect_is_an_answer_and_is_not_followed() -> None:
    with inbox([(307, "")]) as receiver:
        answer = post(f"{receiver.url}/moved", b"{}", {}, allow_private=True)

    assert answer == Answer(307, "")
    assert receiver.paths == ["/moved"]


def test_the_receiver_hears_its_name_although_the_address_is_connected_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")  # nobody there: it must not be asked
    with inbox([(503, "7")]) as receiver:
        port = receiver.url.rpartition(":")[2]
        answer = post(f"http://localhost:{port}/", b'{"a": 1}', {"x-more": "b"}, allow_private=True)

    assert answer == Answer(503, "7")
    assert (receiver.heads[0]["host"], receiver.heads[0]["x-more"]) == (f"localhost:{port}", "b")
    assert receiver.bodies == [{"a": 1}]


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/", "http://no-such-host.invalid/", "http://" + "a" * 300 + "/"])
def test_nobody_there_is_said_without_the_url(url: str) -> None:
    with pytest.raises(Unanswered) as refusal:
        post(url, b"{}", {}, allow_private=True)

    assert url not in str(refusal.value)


def answering(reply: Callable[[socket.socket], None]) -> tuple[str, threading.Thread]:
    """A server of one connection that answers as it likes."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with listener, listener.accept()[0] as connection:
            connection.settimeout(20)
            connection.recv(65_536)
            reply(connection)

    thread = threading.Thread(target=serve)
    thread.start()
    return f"http://127.0.0.1:{listener.getsockname()[1]}/", thread


def test_a_receiver_that_drips_its_head_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(posting, "TOTAL_SECONDS", 0.3)
    over = threading.Event()

    def drip(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nx-drip: ")
        while not over.wait(0.02):
            try:
                connection.sendall(b".")
            except OSError:
                return

    url, thread = answering(drip)
    with pytest.raises(Unanswered, match="TimeoutError"):
        post(url, b"{}", {}, allow_private=True)
    over.set()
    thread.join()


def test_an_endless_answer_is_not_read() -> None:
    def pour(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        try:
            while True:
                connection.sendall(b"x" * 65_536)
        except OSError:
            return

    url, thread = answering(pour)
    assert post(url, b"{}", {}, allow_private=True).status == 200
    thread.join()


def test_what_is_no_http_is_no_answer() -> None:
    url, thread = answering(lambda connection: connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n"))
    with pytest.raises(Unanswered, match="RemoteProtocolError"):
        post(url, b"{}", {}, allow_private=True)
    thread.join()
