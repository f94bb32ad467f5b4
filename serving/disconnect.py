"""Cancels a request's work when its caller leaves, at no cost to requests that are answered at once.

Watching a connection takes a task; so the watch begins only when a request has taken `_PATIENCE_SECONDS`.
Source for the cancel and uncancel dance: `asyncio.timeouts.Timeout`.
"""

import asyncio
from types import TracebackType
from typing import Self

from starlette.types import Receive

_PATIENCE_SECONDS = 0.02


class CallerLeft(Exception):
    """Nobody waits for this answer any more."""


class WhileConnected:
    """`async with WhileConnected(receive):` raises `CallerLeft` out of the block when the caller is gone."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._left = False
        self._watch: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.current_task()
        self._start = asyncio.get_running_loop().call_later(_PATIENCE_SECONDS, self._begin)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._start.cancel()
        if self._watch:
            self._watch.cancel()
        if self._left and self._task and self._task.uncancel() == 0 and kind is asyncio.CancelledError:
            raise CallerLeft from None

    def _begin(self) -> None:
        self._watch = asyncio.create_task(self._wait_for_the_end())

    async def _wait_for_the_end(self) -> None:
        message = await self._receive()  # the body has been read: only a disconnect can come
        if message["type"] == "http.disconnect" and self._task:
            self._left = True
            self._task.cancel()
