"""Runs Gradio's queue of one page while somebody asks, and lets it rest after.

Gradio's queue looks for questions a thousand times a second and for progress a hundred times, for good: 50 opened
pages would cost half a core with nobody there. Here it starts with a question and ends `REST_SECONDS` after the last.
What a session leaves behind in it (Gradio drops only what was interrupted) goes when its answers have been read, and
at rest whatever is left.
Before: `demos.app` calls `wake` before it hands a question on, `forget` after a stream; after: Gradio.
Source: Gradio 6.31 `queueing.py` (`start`, `start_processing`, `pending_messages_per_session`).
"""

import asyncio
import time

import gradio as gr

REST_SECONDS = 30.0  # longer than an answer is on its way to who asked for it
_LOOK_SECONDS = 1.0


class QueueRunner:
    """The queue of one page; used on the event loop."""

    def __init__(self, blocks: gr.Blocks, rest_seconds: float = REST_SECONDS) -> None:
        self._blocks = blocks
        self._queue = blocks._queue
        self._rest_seconds = rest_seconds
        self._asked_at = 0.0
        self._task: asyncio.Task[None] | None = None
        self._queue.stopped = True

    @property
    def works(self) -> bool:
        """Whether it runs: somebody asked not long ago."""
        return self._task is not None and not self._task.done()

    def awaits(self, session: str) -> bool:
        """Whether somebody asked in a session and has not read all answers."""
        return session in self._queue.pending_messages_per_session

    async def wake(self) -> None:
        """Have the queue run when this returns."""
        self._asked_at = time.monotonic()
        while self._task is not None and self._queue.stopped and not self._task.done():
            await asyncio.wait((self._task,))  # it was just going to rest
        if not self.works:
            self._start()

    def forget(self, session: str) -> None:
        """Drop what is kept for a session, unless something that it asked is still on its way."""
        if not self._queue.pending_event_ids_session.get(session):
            self._queue.pending_event_ids_session.pop(session, None)
            self._queue.pending_messages_per_session.pop(session, None)

    async def close(self) -> None:
        """Stop, whatever waits."""
        self._blocks.is_running = False
        self._queue.close()  # type: ignore[no-untyped-call]
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait((self._task,))

    def _start(self) -> None:
        if not self._blocks.is_running:
            self._blocks.is_running = True
            self._blocks.create_limiter()  # type: ignore[no-untyped-call]
        self._queue.stopped = False
        self._queue.active_jobs = [None] * self._queue.max_thread_count
        self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as loops:
            loops.create_task(self._queue.start_processing())
            loops.create_task(self._queue.start_progress_updates())
            while self._busy() or time.monotonic() < self._asked_at + self._rest_seconds:
                await asyncio.sleep(min(_LOOK_SECONDS, self._rest_seconds))
            self._queue.close()  # type: ignore[no-untyped-call]
        self._queue.pending_messages_per_session.clear()
        self._queue.pending_event_ids_session.clear()

    def _busy(self) -> bool:
        return len(self._queue) > 0 or any(job is not None for job in self._queue.active_jobs)
