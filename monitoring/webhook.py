"""The webhook: posts each alert as JSON from a thread of its own, so that a dead receiver harms nothing.

Before: `writer` hands over an alert when it is stored; after: whatever listens at `settings.webhook_url`.
Limits: one try, 5 s, 100 waiting at most; what fails is logged and counted, and stays in the alerts table.
The URL is a secret of its own (chat services put the key into the path): only its host is ever logged.
"""

import logging
import queue
import threading
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

import httpx

from tidegate.errors import UsageError

log = logging.getLogger(__name__)

TIMEOUT_SECONDS = 5.0
MAX_WAITING = 100
STOP_SECONDS = 0.5  # alerts are in the database; exit must not wait for a receiver that does not answer


class Webhook:
    """Sends documents to one URL; an empty URL sends nothing.

    Raises:
        UsageError: not an http or https URL.
    """

    def __init__(self, url: str, on_failure: Callable[[], None]) -> None:
        self._url = url
        self._host = _host(url) if url else ""
        self._on_failure = on_failure
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
            answer = httpx.post(self._url, json=document, timeout=TIMEOUT_SECONDS)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            self._fail(type(error).__name__)
            return
        if not answer.is_success:
            self._fail(f"it answered {answer.status_code}")

    def _fail(self, why: str) -> None:
        self._on_failure()
        log.warning("alert not delivered to %s: %s; `tidegate alerts list` shows it", self._host, why)


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
