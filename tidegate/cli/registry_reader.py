"""The runs of the registry for the dashboard: read by an export child, behind what is shown, and kept for a while.

Before: the dashboard's views, which are answered at once with what is known; after: `tidegate.cli.export_child`, so
that no server imports MLflow. One child at a time, in a thread: a question that comes while one runs is asked again
when its page is loaded again. Limits: each worker process reads for itself; the last 32 questions are kept, in memory.
"""

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from demos.dashboard.visit import Reading
from tidegate.cli.export import ask
from tidegate.environments import export_python
from tidegate.errors import EnvironmentMissing, TidegateError
from tidegate.settings import Settings

FRESH_SECONDS = 15.0
MOST_KEPT = 32

log = logging.getLogger("tidegate.registry")

Ask = Callable[[str, dict[str, Any]], Sequence[Mapping[str, Any]]]
Question = tuple[str, ...]  # run ids; empty for the list of all runs


class RegistryReader:
    """Answers at once from what was read last, and reads again behind when that is old."""

    def __init__(self, asked: Ask, clock: Callable[[], float] = time.time) -> None:
        """Read with `asked`, which takes an action of the export child and its arguments, and may take seconds."""
        self._ask = asked
        self._clock = clock
        self._known: OrderedDict[Question, Reading] = OrderedDict()
        self._lock = threading.Lock()
        self._reader: threading.Thread | None = None

    def listed(self) -> Reading:
        """Every run, newest first; see `exporters.run_list`."""
        return self._answer(())

    def documents(self, run_ids: Sequence[str]) -> Reading:
        """What is known of some runs; see `exporters.run_documents`."""
        return self._answer(tuple(run_ids)) if run_ids else Reading(documents=[], as_of=self._clock())

    def wait(self) -> None:
        """Until what is being read has been read."""
        reader = self._reader
        if reader is not None:
            reader.join()

    def _answer(self, question: Question) -> Reading:
        with self._lock:
            known = self._known.get(question, Reading())
            old = self._clock() - known.as_of > FRESH_SECONDS
            if old and (self._reader is None or not self._reader.is_alive()):
                # A daemon, whose child ends with this process: a registry that hangs holds up no shutdown.
                self._reader = threading.Thread(target=self._read, args=(question,), daemon=True, name="registry")
                self._reader.start()
            return known

    def _read(self, question: Question) -> None:
        reading = self._asked(question)
        with self._lock:
            self._known[question] = reading
            self._known.move_to_end(question)
            while len(self._known) > MOST_KEPT:
                self._known.popitem(last=False)

    def _asked(self, question: Question) -> Reading:
        try:
            action, arguments = ("read_runs", {"runs": list(question)}) if question else ("all_runs", {})
            return Reading(self._ask(action, arguments), self._clock())
        except TidegateError as error:
            log.warning("the registry could not be read: %s", error)
            return Reading(None, self._clock(), str(error))
        except Exception:
            log.exception("the registry could not be read")
            return Reading(None, self._clock(), "the reader failed; the server's log has the cause")


def registry_reader(settings: Settings) -> RegistryReader | None:
    """The reader of a server's registry; None where there is no export environment to read it with."""
    try:
        export_python(settings.export_python)
    except EnvironmentMissing:
        return None
    return RegistryReader(lambda action, arguments: ask(settings, action, arguments))
