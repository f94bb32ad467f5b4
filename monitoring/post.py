"""One POST to an address that was checked. The only place of this room that speaks to the network.

The host must lead to public addresses unless the caller allows private ones: what was checked is what is connected to,
so a name cannot change its mind in between; no redirect is followed, no proxy of the environment asked, no answer read
beyond its head. Before: `webhook`; after: whoever listens. Limits: 5 s for each step, 10 s for all of them together,
the name's resolution excepted, which the system bounds.
Source: IANA special-purpose address registries, as Python's `ipaddress` has them; RFC 6052, RFC 3056, RFC 4380.
"""

import asyncio
import ipaddress
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

import httpx

STEP_SECONDS = 5.0
TOTAL_SECONDS = 10.0  # a receiver that sends its head byte by byte would pass each step
# Addresses that look public and answer to the machines of a cloud alone.
_METADATA = frozenset(map(ipaddress.ip_address, ("168.63.129.16", "192.0.0.192", "100.100.100.200")))
_NAT64 = ipaddress.ip_network("64:ff9b::/96")  # the last 32 bits are an IPv4 address


class Unanswered(Exception):
    """There was no answer, or no question; says why, and nothing of the URL but its address."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The head of an answer: status, and `Retry-After` as it came (empty without)."""

    status: int
    retry_after: str


def post(url: str, body: bytes, headers: Mapping[str, str], *, allow_private: bool) -> Answer:
    """Send a body to the first address of the URL's host that can be reached.

    Raises:
        Unanswered: nobody answered in time, or the host leads into private networks.
    """
    try:
        addresses = _resolve(url)
        private = [] if allow_private else [address for address in addresses if not is_public(address)]
        if private:
            raise Unanswered(f"{private[0]} is not public; set webhook_allow_private if it is yours")
        return asyncio.run(_post_to_first(addresses, httpx.URL(url), body, headers))
    except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
        raise Unanswered(type(error).__name__) from None


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


async def _post_to_first(addresses: Sequence[str], url: httpx.URL, body: bytes, headers: Mapping[str, str]) -> Answer:
    # A transport of our own: a proxy from the environment would resolve the name once more.
    transport = httpx.AsyncHTTPTransport()
    async with asyncio.timeout(TOTAL_SECONDS), httpx.AsyncClient(transport=transport, timeout=STEP_SECONDS) as client:
        for address in addresses[:-1]:
            try:
                return await _post_to(client, address, url, body, headers)
            except (httpx.ConnectError, httpx.ConnectTimeout):
                continue
        return await _post_to(client, addresses[-1], url, body, headers)


async def _post_to(
    client: httpx.AsyncClient, address: str, url: httpx.URL, body: bytes, headers: Mapping[str, str]
) -> Answer:
    question = client.build_request(
        "POST",
        url.copy_with(host=address),
        content=body,
        headers={**headers, "host": url.netloc.decode("ascii")},
        extensions={"sni_hostname": url.host},  # the certificate must be that name's
    )
    answer = await client.send(question, stream=True)  # its body is not for us, however long it is
    await answer.aclose()
    return Answer(answer.status_code, answer.headers.get("retry-after", ""))


def _resolve(url: str) -> Sequence[str]:
    """The addresses of the URL's host, as the system orders them."""
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    found = socket.getaddrinfo(parts.hostname, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))
