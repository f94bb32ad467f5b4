"""The floor of one answer: tokenize and run, in a process of its own that does nothing else.

`python -m benchmarks.bare FOLDER` prints the p50 in seconds. The plan is the server's, so that only what the server
adds differs. Started by `overhead` while the server is parked.
"""

import sys
import time
from pathlib import Path
from statistics import median

from benchmarks.opening import open_engine
from benchmarks.workspace import Workspace

CALLS = 300


def p50_seconds(workspace: Workspace, calls: int = CALLS) -> float:
    """Median seconds of tokenizing and running one text, texts in turn."""
    engine = open_engine(workspace)
    texts = [text for text, _ in workspace.read_texts()]
    seconds = []
    for call in range(calls):
        text = texts[call % len(texts)]
        started = time.perf_counter()
        engine.infer(engine.encode([text]))
        seconds.append(time.perf_counter() - started)
    return median(seconds)


if __name__ == "__main__":
    print(p50_seconds(Workspace(Path(sys.argv[1]))))  # noqa: T201
