"""The webhook: brings deliveries to their receivers, each from a thread of its own, so that a dead one harms nothing.

A try that fails is made again after 5 s, 10 s, ... an hour at most, with jitter, or when the receiver says
(`Retry-After`); after twelve, or an answer that says it never will be taken, the delivery is dead and stays in the
table. An Alertmanager is told how an alert stands once a minute until it is resolved, as Prometheus does, however often
it was away. Before: `deliveries`; after: `post`. Limits: a receiver that stops between taking and answering gets the
same again, under the same `Idempotency-Key`; what is due is looked for every 2 s. Only a receiver's host is logged.
"""

import email.utils
import logging
import random
import threading
import time
from collections.abc import Callable
from http import HTTPStatus

from sqlalchemy import Engine

from monitoring import deliveries
from monitoring.deliveries import Delivery
from monitoring.messages import link_of, message
from monitoring.post import Answer, Unanswered, post
from monitoring.receivers import Receiver, receivers_of
from tidegate.settings import Settings

log = logging.getLogger(__name__)

FIRST_RETRY_SECONDS = 5.0
MAX_RETRY_SECONDS = 3_600.0
MAX_TRIES = 12  # the last of them some four hours after the first
REPEAT_SECONDS = 60.0
FOLLOWER_RETRY_SECONDS = 300.0
POLL_SECONDS = 2.0
TIDY_SECONDS = 3_600.0
STOP_SECONDS = 0.5  # deliveries are in the database; exit must not wait for a receiver that does not answer
# The client errors that pass: too slow, too early, too many.
_PASSING = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS)


class Webhooks:
    """The senders of one process, one per receiver that the settings name.

    Args:
        database: with the deliveries.
        settings: `webhook_url`, `webhook_allow_private`, `public_url`.
        on_failure: called for each try that failed.
        clock: Unix time in seconds.

    Raises:
        UsageError: `webhook_url` cannot be read.
    """

    def __init__(
        self,
        database: Engine,
        settings: Settings,
        on_failure: Callable[[], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._database = database
        self._clock = clock
        self._tidy_at = 0.0
        self._receivers = receivers_of(settings.webhook_url)
        self._senders = [Sender(database, receiver, settings, on_failure, clock) for receiver in self._receivers]

    def start(self) -> None:
        """Begin to send."""
        for sender in self._senders:
            sender.start()

    def sort(self) -> None:
        """Hand new events to the senders, and forget old ones; to be called every second or so."""
        now = self._clock()
        sorted_events = deliveries.sort(self._database, self._receivers, now)
        if sorted_events:
            for sender in self._senders:
                sender.wake()
        if sorted_events or now >= self._tidy_at:
            self._tidy_at = now + TIDY_SECONDS
            deliveries.tidy(self._database, self._receivers, now)

    def stop(self) -> None:
        """Send nothing more; a try that is under way has half a second."""
        until = time.monotonic() + STOP_SECONDS
        for sender in self._senders:
            sender.leave()
        for sender in self._senders:
            sender.join(max(0.0, until - time.monotonic()))


class Sender:
    """Brings one receiver what is due; arguments as those of `Webhooks`."""

    def __init__(
        self,
        database: Engine,
        receiver: Receiver,
        settings: Settings,
        on_failure: Callable[[], None],
        clock: Callable[[], float],
    ) -> None:
        self._database = database
        self._receiver = receiver
        self._allow_private = settings.webhook_allow_private
        self._public_url = settings.public_url
        self._on_failure = on_failure
        self._clock = clock
        self._woken = threading.Event()
        self._leaving = False
        # Daemonic: what it holds is stored elsewhere, so a hanging receiver must not keep the process.
        self._thread = threading.Thread(target=self._run, name="tidegate-webhook", daemon=True)

    def start(self) -> None:
        """Begin to send, from a thread."""
        self._thread.start()

    def wake(self) -> None:
        """Look at once for what is due."""
        self._woken.set()

    def leave(self) -> None:
        """Begin nothing more."""
        self._leaving = True
        self._woken.set()

    def join(self, seconds: float) -> None:
        """Wait for the thread to end."""
        if self._thread.is_alive():
            self._thread.join(seconds)

    def send_due(self) -> int:
        """Try everything that is due now, oldest first; returns how many tries were made."""
        tries = 0
        while not self._leaving and (delivery := deliveries.claim(self._database, self._receiver.name, self._clock())):
            tries += 1
            self._try(delivery)
        return tries

    def _run(self) -> None:
        while not self._leaving:
            self._woken.clear()
            try:
                self.send_due()
            except Exception:
                log.exception("deliveries to %s cannot be read or written; next look in %s s", self._host, POLL_SECONDS)
            if not self._leaving:
                self._woken.wait(POLL_SECONDS)

    @property
    def _host(self) -> str:
        return self._receiver.host

    def _try(self, delivery: Delivery) -> None:
        link = link_of(self._public_url, delivery.document)
        body = message(self._receiver.shape, delivery.event, delivery.document, link, self._clock())
        headers = {"content-type": "application/json", "idempotency-key": delivery.key}
        try:
            answer = post(self._receiver.url, body, headers, allow_private=self._allow_private)
        except Unanswered as error:
            self._put_off(delivery, str(error), 0.0)
            return
        if 200 <= answer.status < 300:
            self._through(delivery)
        elif answer.status >= 500 or answer.status in _PASSING:
            self._put_off(delivery, f"it answered {answer.status}", wait_of(answer, self._clock()))
        else:
            self._give_up(delivery, f"it answered {answer.status}, which will not change by itself")

    def _through(self, delivery: Delivery) -> None:
        if self._receiver.follows and delivery.event != "resolved":
            deliveries.repeat(self._database, delivery, self._clock() + REPEAT_SECONDS)
        else:
            deliveries.delivered(self._database, delivery, self._clock())

    def _put_off(self, delivery: Delivery, why: str, wait_seconds: float) -> None:
        follows = self._receiver.follows and delivery.event != "resolved"
        if delivery.attempts >= MAX_TRIES and not follows:
            self._give_up(delivery, f"{why}, at the last of {MAX_TRIES} tries")
            return
        most = FOLLOWER_RETRY_SECONDS if follows else MAX_RETRY_SECONDS
        seconds = max(min(backoff(delivery.attempts), most), wait_seconds)
        self._on_failure()
        deliveries.put_off(self._database, delivery, self._clock() + seconds, why)
        log.warning("alert %s not delivered to %s: %s; again in %.0f s", delivery.alert_id, self._host, why, seconds)

    def _give_up(self, delivery: Delivery, why: str) -> None:
        self._on_failure()
        deliveries.give_up(self._database, delivery, self._clock(), why)
        log.error(
            "alert %s not delivered to %s: %s; given up: `tidegate alerts retry %s` tries it again",
            *(delivery.alert_id, self._host, why, delivery.id),
        )


def backoff(attempts: int, jitter: float | None = None) -> float:
    """Seconds until the next try: 5, 10, 20, ... 3,600, less up to a fifth, so that processes do not knock together.

    Args:
        attempts: tries made, 1 or more.
        jitter: in [0, 1), what part of the fifth; drawn when None.
    """
    drawn = random.random() if jitter is None else jitter
    return float(min(FIRST_RETRY_SECONDS * 2 ** (attempts - 1), MAX_RETRY_SECONDS)) * (1 - 0.2 * drawn)


def wait_of(answer: Answer, now: float) -> float:
    """Seconds that a `Retry-After` asks for, an hour at most; 0 without one. Source: RFC 9110 section 10.2.3."""
    said = answer.retry_after.strip()
    if said.isdecimal():
        return min(float(said[:10]), MAX_RETRY_SECONDS)
    try:
        until = email.utils.parsedate_to_datetime(said).timestamp()
    except (ValueError, OverflowError):  # no date, or none that there is
        return 0.0
    return min(max(0.0, until - now), MAX_RETRY_SECONDS)
