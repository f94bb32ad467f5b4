"""The webhook: posts each alert as JSON from a thread of its own, so that a dead receiver harms nothing.

Before: `writer` hands over an alert when it is stored; after: whatever listens at `settings.webhook_url`.
Limits: one try, 5 s, 100 waiting at most; what fails is logged and counted, and stays in the alerts table.
The URL is a secret of its own (chat services put the key into the path): only its host is ever logged. It must lead to
a public address unless `webhook_allow_private` is set: the address that was checked is the one that is connected to, so
a name cannot change its mind in between, and no redirect is followed.
Source: IANA special-purpose address registries, as Python's `ipaddress` has them; RFC 6052, RFC 3056, RFC 4380.
"""

import ipaddress
import logging
import queue
import socket
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import httpx

from tidegate.errors import UsageError

log = logging.getLogger(__name__)

TIMEOUT_SECONDS = 5.0
MAX_WAITING = 100
# Addresses that look public and answer to the machines of a cloud alone.
_METADATA = frozenset(map(ipaddress.ip_address, ("168.63.129.16", "192.0.0.192", "100.100.100.200")))
_NAT64 = ipaddress.ip_network("64:ff9b::/96")  # the last 32 bits are an IPv4 address
STOP_SECONDS = 0.5  # alerts are in the database; exit must not wait for a receiver that does not answer


class Webhook:
    """Sends documents to one URL; an empty URL sends nothing.

    Args:
        url: of the receiver.
        on_failure: called for each document that was not delivered.
        allow_private: whether the URL may lead into private networks.

    Raises:
        UsageError: not an http or https URL.
    """

    def __init__(self, url: str, on_failure: Callable[[], None], *, allow_private: bool = False) -> None:
        self._url = url
        self._host = _host(url) if url else ""
        self._on_failure = on_failure
        self._allow_private = allow_private
        self._waiting: queue.Queue[Mapping[str, Any] | None] = queue.Queue(MAX_WAITING)
        # Daemonic: what it holds is stored elsewhere, so a hanging receiver must not keep the process.
        self._thread = threading.Thread(target=self._run, name="tidegate-webhook", daemon=True)

    def start(self) -> None:
        """Begin to send."""
        if self._url:
            self._thread.start()

    def send(self, document: Mapping[str, Any]) -> None:
        """Take a document and return at once; one too many is logged and counted as failed."""
        if not self._url:
            return
        try:
            self._waiting.put_nowait(document)
        except queue.Full:
            self._fail(f"{MAX_WAITING} alerts already wait")

    def stop(self) -> None:
        """Send what waits, for half a second at most."""
        if not self._thread.is_alive():
            return
        try:
            self._waiting.put_nowait(None)
        except queue.Full:
            return
        self._thread.join(STOP_SECONDS)

    def _run(self) -> None:
        while (document := self._waiting.get()) is not None:
            self._post(document)

    def _post(self, document: Mapping[str, Any]) -> None:
        try:
            answer = self._send_to(_resolve(self._url), document)
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
            self._fail(type(error).__name__)
            return
        except _PrivateAddress as error:
            self._fail(f"{error} is not public; set webhook_allow_private if it is yours")
            return
        if not answer.is_success:
            self._fail(f"it answered {answer.status_code}")

    def _send_to(self, addresses: Sequence[str], document: Mapping[str, Any]) -> httpx.Response:
        """Post to the first address that can be reached, under the name of the URL; one that is private ends it."""
        private = [] if self._allow_private else [address for address in addresses if not is_public(address)]
        if private:
            raise _PrivateAddress(private[0])
        for address in addresses[:-1]:
            try:
                return self._send_to_one(address, document)
            except (httpx.ConnectError, httpx.ConnectTimeout):
                continue
        return self._send_to_one(addresses[-1], document)

    def _send_to_one(self, address: str, document: Mapping[str, Any]) -> httpx.Response:
        url = httpx.URL(self._url)
        # A transport of our own: a proxy from the environment would resolve the name once more.
        client = httpx.Client(transport=httpx.HTTPTransport(), timeout=TIMEOUT_SECONDS)
        question = client.build_request(
            "POST",
            url.copy_with(host=address),
            json=document,
            headers={"host": url.netloc.decode("ascii")},
            extensions={"sni_hostname": url.host},  # the certificate must be that name's
        )
        with client:
            return client.send(question, stream=True)  # its body is not for us, however long it is

    def _fail(self, why: str) -> None:
        self._on_failure()
        log.warning("alert not delivered to %s: %s; `tidegate alerts list` shows it", self._host, why)


class _PrivateAddress(Exception):
    """The receiver is not on the public internet."""


def is_public(address: str) -> bool:
    """Whether an IP address is one of the internet: not private, local, reserved, or of a cloud's metadata.

    IPv6 addresses that carry an IPv4 address (mapped, NAT64, 6to4, Teredo) are judged by it as well.
    """
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        inner = [ip.ipv4_mapped, ip.sixtofour, *(ip.teredo or ())]
        if ip in _NAT64:
            inner.append(ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF))
        carried = [one for one in inner if one is not None]
        if carried:
            return all(is_public(str(one)) for one in carried)
    return ip.is_global and not ip.is_multicast and ip not in _METADATA


def _resolve(url: str) -> Sequence[str]:
    """The addresses of the URL's host, as the system orders them."""
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    found = socket.getaddrinfo(parts.hostname, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def _host(url: str) -> str:
    try:
        parts = urlsplit(url)
        host = parts.hostname if parts.scheme in ("http", "https") else None
    except ValueError:  # an unfinished IPv6 address
        host = None
    if not host:
        raise UsageError(
            "setting webhook_url (TIDEGATE_WEBHOOK_URL) is no http:// or https:// URL; correct or clear it"
        )
    return host
