"""Watches aliases of the registry, and says where each points whenever it has moved.

A process of its own in the export environment, because MLflow lives there alone; `tidegate.cli.follow` starts it,
sends its orders as one line of JSON on stdin, and reads a line of JSON on stdout for each change. It ends when its
stdin does.
Limits: an alias is asked for at intervals; one that moved twice in between has moved once.
"""

import json
import os
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from exporters.sources import pointed_at
from tidegate.errors import TidegateError
from tidegate.home import tracking_uri

LONGEST_WAIT_SECONDS = 300.0
# MLflow's own client would try for minutes before it says that nobody answers; here the next round is the next try.
_PATIENCE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "20"}

Said = dict[str, str]


def watch(
    runs: Sequence[str],
    store: str,
    seconds: float,
    tell: Callable[[Said], None],
    wait: Callable[[float], None] = time.sleep,
) -> None:
    """Ask for each alias again and again, for ever; a registry that does not answer is asked less and less often.

    Args:
        runs: `models:/NAME@ALIAS` each.
        store: the tracking URI.
        seconds: between two rounds.
        tell: gets `{"run", "source", "run_id"}` at first and when an alias has moved, `{"run", "error"}` when it could
            not be asked for any more.
        wait: sleeps.
    """
    told: dict[str, str] = {}  # run -> source, or "error"
    failures = 0
    while True:
        said = [_ask(run, store) for run in runs]
        for each in said:
            what = each.get("source", "error")
            if told.get(each["run"]) != what:
                told[each["run"]] = what
                tell(each)
        failures = failures + 1 if "error" in told.values() else 0
        wait(max(seconds, min(seconds * 2**failures, LONGEST_WAIT_SECONDS)))


def _ask(run: str, store: str) -> Said:
    try:
        source, run_id = pointed_at(run, store)
    except TidegateError as error:
        return {"run": run, "error": str(error)}
    return {"run": run, "source": source, "run_id": run_id}


def _end_with_parent() -> None:
    while os.read(0, 4096):  # after the orders nothing is sent; an empty read says that the parent is gone
        pass
    os._exit(0)


def main() -> None:
    """Read the orders, then watch."""
    report = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is no report
    orders: dict[str, Any] = json.loads(_first_line())
    threading.Thread(target=_end_with_parent, daemon=True, name="attend-parent").start()
    for name, value in _PATIENCE.items():
        os.environ.setdefault(name, value)

    def tell(said: Said) -> None:
        print(json.dumps(said), file=report, flush=True)

    watch(orders["runs"], tracking_uri(Path(orders["home"])), orders["seconds"], tell)


def _first_line() -> bytes:
    """The first line of stdin, and nothing beyond it, so that the end of stdin can be seen."""
    line = b""
    while not line.endswith(b"\n") and (byte := os.read(0, 1)):
        line += byte
    return line


if __name__ == "__main__":
    main()
