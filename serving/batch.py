"""Which waiting rows make the next batch: a pure function over the front of the queue.

Before: `serving.line` has rows in the order of their turn; after: the batch is padded (`tidegate.preprocess.collate`)
and run. The row whose turn it is goes into the batch, so nothing starves; its company is whoever stands near the
front with nearly its length. A row joins when the padding that it brings costs less than a run of its own would:
a run costs a fixed part, given in tokens by the plan, and a part for each padded token (measured by `tune`).
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from serving.caller import ANYONE, Caller
from tidegate.preprocess import Encoded


@dataclass(slots=True, eq=False)
class Ticket:
    """One request: its texts are tokenized, batched and answered together.

    The event loop makes it and completes `future`; the tokenizer thread that holds it appends to `rows`, runners
    count down `waiting` one at a time (`serving.backlog`). Times are `time.perf_counter`, 0 until they are known.

    Attributes:
        texts: as the caller sent them.
        deadline: `time.monotonic` seconds after which nobody wants the answer.
        caller: who asks.
        future: completes when every row is answered, or fails with the first row that does.
        rows: encoded texts, as far as they are.
        answers: probabilities per text; None until answered.
        embeddings: of each text, (hidden,); None until answered, and where the bundle has none.
        unanswered: texts without an answer.
        waiting: rows in the backlog that are in no batch yet.
        next_rank: rank of the next row that arrives.
        left: nobody waits for it any more.
        predicted_seconds: how long its answer was expected to take as it came.
    """

    texts: Sequence[str]
    deadline: float
    future: asyncio.Future[None]
    queued_at: float
    caller: Caller = ANYONE
    rows: list[Encoded] = field(default_factory=list)
    answers: list[list[float] | None] = field(init=False)
    embeddings: list[NDArray[np.float32] | None] = field(init=False)
    unanswered: int = field(init=False)
    waiting: int = 0
    next_rank: float = 0.0
    left: bool = False
    encoded_at: float = 0.0
    started_at: float = 0.0
    answered_at: float = 0.0
    predicted_seconds: float = 0.0

    def __post_init__(self) -> None:
        self.answers = [None] * len(self.texts)
        self.embeddings = [None] * len(self.texts)
        self.unanswered = len(self.texts)


@dataclass(slots=True, eq=False)
class Entry:
    """One row in the queue.

    Attributes:
        rank: place among the rows of its caller, in virtual tokens; lowest goes first.
        index: the row's place in its request.
    """

    row: Encoded
    rank: float
    index: int
    ticket: Ticket = field(repr=False)


def cut(window: Sequence[Entry], max_tokens: int, max_rows: int, run_tokens: float) -> list[Entry]:
    """Choose the next batch from the front of the queue.

    Args:
        window: waiting entries, lowest rank first, at least one.
        max_tokens: most padded tokens (rows times longest); a single longer row goes alone.
        max_rows: most rows.
        run_tokens: fixed cost of a run, in tokens.

    Returns:
        The first entry and neighbours in length, at most `max_rows`; order is that of length.
    """
    if max_rows == 1 or len(window) == 1:
        return [window[0]]
    by_length = sorted(window, key=_length)
    lengths = [entry.row.length for entry in by_length]
    low = high = by_length.index(window[0])
    while high - low + 1 < max_rows:
        rows, longest = high - low + 1, lengths[high]
        below = low > 0 and _pays(lengths[low - 1], rows, longest, longest, max_tokens, run_tokens)
        above = high + 1 < len(lengths) and _pays(
            lengths[high + 1], rows, longest, lengths[high + 1], max_tokens, run_tokens
        )
        if not below and not above:
            break
        pivot = window[0].row.length
        if below and (not above or pivot - lengths[low - 1] <= lengths[high + 1] - pivot):
            low -= 1
        else:
            high += 1
    return by_length[low : high + 1]


def padded_tokens(batch: Sequence[Entry]) -> int:
    """Tokens of a batch once padded: rows times the longest."""
    return len(batch) * max(entry.row.length for entry in batch)


def _pays(length: int, rows: int, before: int, after: int, max_tokens: int, run_tokens: float) -> bool:
    """Whether one more row, making the longest `after`, fits and costs less here than in a run of its own."""
    padded = (rows + 1) * after
    return padded <= max_tokens and padded - rows * before <= length + run_tokens


def _length(entry: Entry) -> int:
    return entry.row.length
