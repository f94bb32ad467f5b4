"""First come, first served: the batching that most servers have, over Tidegate's own engine.

A free run takes the oldest waiting rows, as many as fit the same budget of padded tokens, and pads them to the
longest. Everything else (tokenizer threads, runs at once, no timer) is as in serving, so that only the
choice of rows differs. Before: `skew` sends texts; after: it compares.
"""

import asyncio
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Self

from tidegate.engine import Engine
from tidegate.preprocess import Encoded

_TOKENIZER_THREADS = 2  # as `serving.tokenizing`


@dataclass(slots=True, eq=False)
class Waiting:
    """One row in the queue, and who waits for it."""

    row: Encoded
    answer: asyncio.Future[None]


class Fifo:
    """A queue in order of arrival; enter it on the event loop.

    Attributes:
        tokens: tokens that were run, padding left out.
        padded: tokens that were run, padding included.
    """

    def __init__(self, engine: Engine, max_rows: int) -> None:
        self.tokens = 0
        self.padded = 0
        self._engine = engine
        self._max_rows = max_rows
        self._queue: deque[Waiting] = deque()
        self._work = asyncio.Event()
        self._tokenizers = ThreadPoolExecutor(_TOKENIZER_THREADS)
        self._executor = ThreadPoolExecutor(engine.plan.runs)
        self._runners: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        """Start one runner for each run at once."""
        self._runners = [asyncio.create_task(self._run()) for _ in range(self._engine.plan.runs)]
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop them."""
        for runner in self._runners:
            runner.cancel()
        await asyncio.gather(*self._runners, return_exceptions=True)
        self._tokenizers.shutdown()
        self._executor.shutdown()

    async def predict(self, text: str) -> None:
        """Wait until the text was run."""
        loop = asyncio.get_running_loop()
        (row,) = await loop.run_in_executor(self._tokenizers, self._engine.encode, [text])
        waiting = Waiting(row, loop.create_future())
        self._queue.append(waiting)
        self._work.set()
        await waiting.answer

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            batch = self._take()
            if not batch:
                self._work.clear()
                await self._work.wait()
                continue
            await loop.run_in_executor(self._executor, self._engine.infer, [waiting.row for waiting in batch])
            for waiting in batch:
                waiting.answer.set_result(None)

    def _take(self) -> list[Waiting]:
        """The oldest rows that fit; a row longer than the budget goes alone."""
        plan = self._engine.plan
        batch: list[Waiting] = []
        longest = 0
        while self._queue and len(batch) < self._max_rows:
            longest = max(longest, self._queue[0].row.length)
            if batch and longest * (len(batch) + 1) > plan.max_batch_tokens:
                break
            batch.append(self._queue.popleft())
        if batch:
            multiple = plan.length_multiple
            self.tokens += sum(waiting.row.length for waiting in batch)
            widest = max(waiting.row.length for waiting in batch)
            self.padded += len(batch) * -(-widest // multiple) * multiple
        return batch
