"""Runs Gradio's queue of one page while questions are answered, and lets it rest between them.

Gradio's queue looks for questions a thousand times a second and for progress a hundred times, for good: 50 opened
pages would cost half a core with nobody there. Here it starts with a question and ends with the last answer.
What a session leaves behind in it (Gradio drops only what was interrupted) goes when its answers have been read, and
whatever is left `REST_SECONDS` after the last question.
Before: `demos.app` hands questions on within `asking`, and calls `forget` after a stream; after: Gradio.
Source: Gradio 6.31 `queueing.py` (`start`, `start_processing`, `pending_messages_per_session`).
"""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager

import gradio as gr

REST_SECONDS = 30.0  # longer than an answer is on its way to who asked for it
_LOOK_SECONDS = 0.01


class QueueRunner:
    """The queue of one page; used on the event loop."""

    def __init__(self, blocks: gr.Blocks, rest_seconds: float = REST_SECONDS) -> None:
        self._blocks = blocks
        self._queue = blocks._queue
        self._rest_seconds = rest_seconds
        self._asking = 0
        self._asked_at = 0.0
        self._work: asyncio.Task[None] | None = None
        self._tidying: asyncio.TimerHandle | None = None
        self._queue.stopped = True

    @property
    def runs(self) -> bool:
        """Whether Gradio looks for questions just now."""
        return self._work is not None and not self._work.done()

    @property
    def works(self) -> bool:
        """Whether somebody asked not long ago, and may still read answers."""
        return self._tidying is not None

    def awaits(self, session: str) -> bool:
        """Whether somebody asked in a session and has not read all answers."""
        return session in self._queue.pending_messages_per_session

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Have the queue run as long as a question is handed on, and until all are answered."""
        self._asking += 1
        self._start()
        try:
            yield
        finally:
            self._asking -= 1
            self._asked_at = time.monotonic()

    def forget(self, session: str) -> None:
        """Drop what is kept for a session, unless something that it asked is still on its way."""
        if not self._queue.pending_event_ids_session.get(session):
            self._queue.pending_event_ids_session.pop(session, None)
            self._queue.pending_messages_per_session.pop(session, None)

    async def close(self) -> None:
        """Stop, whatever waits."""
        self._blocks.is_running = False
        self._queue.close()  # type: ignore[no-untyped-call]
        if self._tidying is not None:
            self._tidying.cancel()
            self._tidying = None
        if self._work is not None:
            self._work.cancel()
            await asyncio.wait((self._work,))

    def _start(self) -> None:
        if not self._blocks.is_running:
            self._blocks.is_running = True
            self._blocks.create_limiter()  # type: ignore[no-untyped-call]
            self._queue.active_jobs = [None] * self._queue.max_thread_count
            self._queue.stopped = False
        if not self.runs:
            self._work = asyncio.create_task(self._run())
        if self._tidying is None:
            self._tidy_in(self._rest_seconds)

    async def _run(self) -> None:
        while self._busy():  # again where somebody asked while the loops were ending
            async with asyncio.TaskGroup() as group:
                loops = group.create_task(self._process()), group.create_task(self._queue.start_progress_updates())
                while self._busy():
                    await asyncio.sleep(_LOOK_SECONDS)
                for loop in loops:
                    loop.cancel()

    async def _process(self) -> None:
        try:
            await self._queue.start_processing()
        finally:  # that it ended is not to end the streams of those who read their answers
            self._queue.stopped = not self._blocks.is_running

    def _busy(self) -> bool:
        jobs = any(job is not None for job in self._queue.active_jobs)
        return self._asking > 0 or jobs or len(self._queue) > 0 or len(self._queue._asyncio_tasks) > 0

    def _tidy_in(self, seconds: float) -> None:
        self._tidying = asyncio.get_running_loop().call_later(seconds, self._tidy)

    def _tidy(self) -> None:
        left = self._asked_at + self._rest_seconds - time.monotonic()
        if self.runs or left > 0:
            self._tidy_in(max(left, _LOOK_SECONDS))
            return
        self._tidying = None
        self._queue.pending_messages_per_session.clear()
        self._queue.pending_event_ids_session.clear()
