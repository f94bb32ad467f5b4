"""The log: lines on stderr, as text for people or as JSON objects for programs, and what they may say of a request.

`serving.observe` notes in `CURRENT` which request is being answered; every line that is logged on its behalf then
carries the request's id, its model and its trace. Threads of the batcher work for many requests at once and name none.
Limits: lines hold no payload and no key; who logs sees to that, here nothing is filtered.
"""

import json
import logging
import sys
import threading
import time
from contextvars import ContextVar
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Literal

LogFormat = Literal["text", "json"]
FIELDS = "fields"  # `extra={FIELDS: {...}}` puts members of its own into a JSON line

log = logging.getLogger("tidegate")


@dataclass(slots=True)
class Current:
    """The request that is being answered, as far as is known.

    Attributes:
        request_id: the caller's, or ours.
        trace_id: 32 hexadecimal digits; empty when nothing is traced.
        model: a model of the store; empty for requests that name none.
        version: that answered; 0 before.
        variant: that answered; empty before.
        texts: how many were answered.
        stages: seconds to tokenize, in queue and to infer; empty before.
    """

    request_id: str
    trace_id: str = ""
    model: str = ""
    version: int = 0
    variant: str = ""
    texts: int = 0
    stages: tuple[float, ...] = ()


CURRENT: ContextVar[Current | None] = ContextVar("tidegate_current_request", default=None)


class JsonLines(logging.Formatter):
    """One JSON object a line."""

    def __init__(self, worker: str) -> None:
        super().__init__()
        self._worker = worker

    def format(self, record: logging.LogRecord) -> str:
        """The record as JSON in ASCII, so that no terminal or collector can misread it."""
        line: dict[str, Any] = {
            "ts": _timestamp(record.created),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            "worker": self._worker,
        }
        current = CURRENT.get()
        if current is not None:
            known = {"request_id": current.request_id, "model": current.model, "trace_id": current.trace_id}
            line |= {name: value for name, value in known.items() if value}
        line |= getattr(record, FIELDS, {})
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def to_stderr(form: LogFormat, process: str = "") -> None:
    """Show the log of this process from here on.

    Args:
        form: of its lines.
        process: which one it is, where there are several: `supervisor`, `worker-0`.
    """
    handler = logging.StreamHandler()
    if form == "json":
        handler.setFormatter(JsonLines(process.removeprefix("worker-") or "0"))
        logging.captureWarnings(True)
        sys.excepthook = _log_uncaught
        threading.excepthook = lambda last: _log_uncaught(last.exc_type, last.exc_value, last.exc_traceback)
    else:
        named = f"{process} " if process else ""
        handler.setFormatter(logging.Formatter(f"%(asctime)s {named}%(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    logging.getLogger("httpx").setLevel(logging.WARNING)  # Gradio asks itself things; a line each is noise


def _timestamp(seconds: float) -> str:
    """RFC 3339 in UTC, to the millisecond."""
    whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    return f"{whole}.{int(seconds * 1e3) % 1_000:03d}Z"


def _log_uncaught(
    kind: type[BaseException], error: BaseException | None, trace: TracebackType | None
) -> None:  # what would be printed as plain lines otherwise
    log.critical("uncaught %s", kind.__name__, exc_info=(kind, error or kind(), trace))
