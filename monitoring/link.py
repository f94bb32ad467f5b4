"""The link: one monitor process, as the gateway that started it sees it, and the pipe between the two.

Frames are pickled tuples over a pair of sockets that nobody else can reach: the settings first, then `records`,
`disagreed`, `call` and `end` to the child, `changes` of its metrics and `answer`s back. They arrive in order, so a call
finds all records before it taken; `changes` say what it has dealt with, and no more than `MOST_UNDER_WAY` records are
sent beyond that: so many at most are lost with a child that is killed. The child reads the end of the pipe when the
gateway is gone, however it ended.
Before: `process`; after: `child`. Limits: one thread reads (`attend`); any may send, one at a time.
"""

import contextlib
import itertools
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from multiprocessing import Pipe
from typing import Any

from monitoring.metrics import Changes
from monitoring.parcels import seal
from tidegate.errors import NotReady
from tidegate.records import Record
from tidegate.settings import Settings

SEND_SECONDS = 15.0  # for which a child may leave the pipe full before a question is given up
ANSWER_SECONDS = 60.0  # the classifier of a drift report takes seconds
MOST_UNDER_WAY = 4_000  # twice what the child writes at once: the one half comes while the other is written
_ENDED = "the monitor process ended before it answered and is started again; ask again in a few seconds"


class Link:
    """A started monitor process.

    Args:
        settings: what the child is to do.
        name: of the child in its log.
    """

    def __init__(self, settings: Settings, name: str) -> None:
        self._pipe, theirs = Pipe()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "monitoring.child", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=2,  # the gateway's own stdout is for `ready`
                env=_environment(),
                process_group=0,  # Ctrl-C reaches the gateway alone, which passes on what is left
            )
        self._lock = threading.Lock()  # of the pipe
        self._open = True
        self._sent = 0
        self._dealt_with = 0
        self._told = threading.Condition()  # that `_dealt_with` has grown, or the child ended
        self._numbers = itertools.count()
        self._waiting: dict[int, Future[Any]] = {}
        self._send(("start", settings, name))

    @property
    def pid(self) -> int:
        """The child's process id."""
        return self._process.pid

    def record(self, records: Sequence[Record]) -> bool:
        """Send a few records once there is room for them; False where the child is gone."""
        with self._told:
            self._told.wait_for(lambda: not self._open or self._under_way + len(records) <= MOST_UNDER_WAY)
        return self._send(("records", seal(records)), len(records))

    def disagreed(self, model: str, ids: Sequence[str]) -> None:
        """Send predictions that two versions answered differently."""
        self._send(("disagreed", model, ids))

    def ask(self, name: str, *arguments: Any) -> Any:
        """Call a method of the child's job and wait for what it returns.

        Raises:
            NotReady: the child ended meanwhile, or did not answer in time.
            TidegateError: what the method raised.
        """
        number, answer = next(self._numbers), Future[Any]()
        self._waiting[number] = answer
        try:
            if not self._send(("call", number, name, arguments), patience=SEND_SECONDS):
                raise NotReady(_ENDED)
            return answer.result(ANSWER_SECONDS)
        except TimeoutError:
            raise NotReady(f"monitoring has not answered within {ANSWER_SECONDS:g} s; ask again later") from None
        finally:
            del self._waiting[number]

    def end(self, patience: float) -> None:
        """Have the child write what it was sent and end; nothing may be sent after."""
        self._send(("end",), patience=patience)

    def attend(self, show: Callable[[Changes], int]) -> tuple[int, int]:
        """Read what the child says until it has ended.

        Args:
            show: takes what is new in its metrics; returns how many predictions it has dealt with.

        Returns:
            Its exit code, negative for a signal, and how many of the predictions sent to it it never dealt with.
        """
        with contextlib.suppress(EOFError, OSError):
            while True:
                kind, *content = self._pipe.recv()
                if kind == "changes":
                    self._tell(show(content[0]))
                else:
                    self._answer(*content)
        code = self._process.wait()
        with self._lock:
            self._open = False
            self._pipe.close()
        self._tell(0)
        for answer in list(self._waiting.values()):
            answer.set_exception(NotReady(_ENDED))
        return code, max(0, self._under_way)

    @property
    def _under_way(self) -> int:
        """Records sent and not dealt with."""
        return self._sent - self._dealt_with

    def _tell(self, dealt_with: int) -> None:
        """Wake whoever waits for room."""
        with self._told:
            self._dealt_with += dealt_with
            self._told.notify_all()

    def _answer(self, number: int, value: Any, error: Exception | None) -> None:
        answer = self._waiting.get(number)
        if answer is None:  # nobody waits any more
            return
        if error is None:
            answer.set_result(value)
        else:
            answer.set_exception(error)

    def _send(self, frame: tuple[Any, ...], rows: int = 0, *, patience: float = -1) -> bool:
        """Send a frame; False if the child is gone, or the pipe was full for longer than `patience`, in seconds."""
        if not self._lock.acquire(timeout=patience):
            return False
        try:
            if self._open:
                self._pipe.send(frame)
                self._sent += rows
            return self._open
        except OSError:  # it has just ended
            return False
        finally:
            self._lock.release()


def _environment() -> dict[str, str]:
    """The gateway's, less where workers share their metrics, and one thread for arithmetic: models need the cores."""
    ours = {name: value for name, value in os.environ.items() if name != "PROMETHEUS_MULTIPROC_DIR"}
    return ours | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
