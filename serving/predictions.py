"""Predictions: what a served model answers to the texts of one request, and the ids that feedback names them by.

Before: `serving.model` makes them; after: each protocol encodes them in its own shape. A request of one text has one
id; a request of several has `{request_id}.{index}` for each.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Self

from tidegate.bundle import Task
from tidegate.errors import NotReady
from tidegate.preprocess import Encoded
from tidegate.tasks import Answer


@dataclass(frozen=True, slots=True)
class Timings:
    """Where the time of one request went, in seconds.

    Attributes:
        queue: from tokenized to the first batch that took one of its rows.
        tokenize: waiting for a tokenizer thread included.
        infer: from the first batch to the last answer.
    """

    queue: float
    tokenize: float
    infer: float


@dataclass(frozen=True, slots=True)
class Predictions:
    """The answers to the texts of one request, in their order.

    Attributes:
        request_id: id of the request; also the prediction id when it held one text.
        ids: one prediction id a text.
        labels: of the version that answered, in the order of each answer's scores.
        rows: the texts as the model took them.
        vectors: one a text where the task is embedding; else none.
    """

    request_id: str
    ids: Sequence[str]
    answers: Sequence[Answer]
    labels: Sequence[str]
    model: str
    version: int
    variant: str
    timings: Timings
    rows: Sequence[Encoded] = ()
    vectors: Sequence[Sequence[float]] = ()

    def of(self, task: Task) -> Self:
        """These, if a version of the task answered that was asked for; versions of one model may differ in it.

        Raises:
            NotReady: another one did.
        """
        if bool(self.vectors) is not (task == "embedding"):
            raise NotReady(f"version {self.version} of {self.model!r} is not for {task}; an alias has just moved to it")
        return self


def random_ids() -> Callable[[], str]:
    """Ids of 128 random bits in hexadecimal; the system is asked for randomness once in 256 ids, not each time."""
    pool: Iterator[str] = iter(())

    def next_id() -> str:
        nonlocal pool
        bits = next(pool, None)
        if bits is None:
            fresh = os.urandom(4_096).hex()
            pool = iter([fresh[start : start + 32] for start in range(0, len(fresh), 32)])
            bits = next(pool)
        return bits

    return next_id
