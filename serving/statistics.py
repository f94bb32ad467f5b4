"""Statistics of one live version: how often, how long, in which stage. What V2 clients ask for; Prometheus has its own.

Counted since the version was opened, in this process; with several workers each tells its own. Requests are counted on
the event loop, runs in the threads that run them. Source: Triton, statistics extension.
"""

import threading
import time
from dataclasses import dataclass, field


@dataclass(slots=True)
class Span:
    """How often something happened, and how long it took in all."""

    count: int = 0
    seconds: float = 0.0

    def add(self, seconds: float) -> None:
        """Once more."""
        self.count += 1
        self.seconds += seconds


@dataclass(slots=True)
class Statistics:
    """The counts.

    Attributes:
        rows: texts or rows that were answered.
        last_answer: Unix seconds; 0 when there was none.
        runs: by the rows of the run.
    """

    success: Span = field(default_factory=Span)
    fail: Span = field(default_factory=Span)
    queue: Span = field(default_factory=Span)
    encode: Span = field(default_factory=Span)
    infer: Span = field(default_factory=Span)
    rows: int = 0
    last_answer: float = 0.0
    runs: dict[int, Span] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def answered(self, rows: int, queue: float, encode: float, infer: float) -> None:
        """One request was answered; its stages in seconds."""
        self.rows += rows
        self.last_answer = time.time()
        self.queue.add(queue)
        self.encode.add(encode)
        self.infer.add(infer)

    def ran(self, rows: int, seconds: float) -> None:
        """One run of the model; from any thread."""
        with self._lock:
            self.runs.setdefault(rows, Span()).add(seconds)

    def by_rows(self) -> list[tuple[int, Span]]:
        """Runs by their rows, fewest first; a copy."""
        with self._lock:
            return [(rows, Span(span.count, span.seconds)) for rows, span in sorted(self.runs.items())]
