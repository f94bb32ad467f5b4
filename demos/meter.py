"""What share visitors spend, in the one process that has the demos: questions, and tries at a password.

Before: `demos.guard` asks `use` for each question, `demos.wiring.charge` asks `charge` for what a list or an
explanation asks beyond it, and `demos.entrance` asks `try_password`; after: the `shares` table, to which `keeping` adds
the questions every second in a thread, so that a kill loses a second of them. What is held is bounded by the links that
were asked in that second. Rates and tries are of this process: a restart gives them anew.
"""

import asyncio
import logging
import math
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

from demos.password import is_password
from demos.share import Share, ShareLinks
from serving.keys import Bucket
from tidegate.errors import NotReady, Overloaded, Unauthorized

# In the scope of a share visitor's request, beside `SHARE_KEY`: `Charge`, which counts further questions of its link.
CHARGE_KEY = "tidegate.charge"
KEEP_SECONDS = 1.0
TRIES_AT_ONCE = 10
_TRIES_PER_SECOND = 1 / 60
_MOST_BUCKETS = 1_024

Charge = Callable[[int], Awaitable[None]]

_log = logging.getLogger(__name__)


class ShareMeter:
    """Counts and limits; used on the event loop."""

    def __init__(self, links: ShareLinks, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._links = links
        self._monotonic = monotonic
        self._uses: Counter[str] = Counter()
        self._rates: dict[str, Bucket] = {}
        self._tries: dict[str, Bucket] = {}
        self._trying = asyncio.Lock()  # one scrypt at a time: 16 MiB and a quarter of a second of a core

    def use(self, share: Share, questions: int = 1) -> None:
        """Count questions, all or none.

        Raises:
            Overloaded: its link's visitors asked as many as they may in a minute, or this is more than that.
        """
        if share.rate_per_minute is not None:
            bucket = self._bucket(self._rates, share.id, share.rate_per_minute / 60, share.rate_per_minute)
            if wait := bucket.take(self._monotonic(), questions):
                raise _too_many(share.rate_per_minute, questions, wait)
        self._uses[share.id] += questions

    async def charge(self, share: Share, questions: int) -> None:
        """As `use`, for those who may be in another process."""
        self.use(share, questions)

    async def try_password(self, share: Share, typed: str) -> None:
        """Check the password of a link that has one; right ones cost no try.

        Raises:
            Unauthorized: it is another one.
            Overloaded: it was tried too often.
        """
        async with self._trying:
            bucket = self._bucket(self._tries, share.id, _TRIES_PER_SECOND, TRIES_AT_ONCE)
            if wait := bucket.take(self._monotonic()):
                raise Overloaded(
                    f"too many wrong passwords were tried at this link; try again in {max(1, round(wait))} s",
                    retry_after_seconds=wait,
                    reason="rate_limit",
                )
            if not await asyncio.to_thread(is_password, typed, share.password_hash or ""):
                raise Unauthorized("this is not the password of this link; ask whoever sent it")
            bucket.give_back()

    @asynccontextmanager
    async def keeping(self) -> AsyncIterator[None]:
        """Add the counts to the database again and again, and once more at the end."""
        ended = asyncio.Event()
        task = asyncio.create_task(self._keep_until(ended))
        try:
            yield
        finally:
            ended.set()
            await task

    async def _keep_until(self, ended: asyncio.Event) -> None:
        while not ended.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(ended.wait(), KEEP_SECONDS)
            await self._keep()

    async def _keep(self) -> None:
        """Add what was counted to the database; what it does not take is kept for the next time."""
        counted, self._uses = self._uses, Counter()
        if not counted:
            return
        try:
            await asyncio.to_thread(self._links.add_uses, counted)
        except NotReady as error:
            _log.error("uses of share links are not counted now, they are added later: %s", error)
            self._uses.update(counted)

    def _bucket(self, buckets: dict[str, Bucket], share_id: str, rate: float, most: float) -> Bucket:
        if share_id not in buckets:
            if len(buckets) >= _MOST_BUCKETS:
                del buckets[next(iter(buckets))]  # the oldest; only who makes links can make as many
            buckets[share_id] = Bucket(rate, self._monotonic(), most)
        return buckets[share_id]


def _too_many(rate: float, questions: int, wait: float) -> Overloaded:
    told = f"this share link takes {rate:g} questions a minute, from all who have it together"
    if questions > 1 and questions + 1 > rate:  # one of them was counted before, with the click
        what = f"{told}, and this asks {questions + 1:,} at once; ask for less"
    else:
        what = f"{told}; ask again in {max(1, math.ceil(wait))} s"
    return Overloaded(what, retry_after_seconds=wait, reason="rate_limit")
