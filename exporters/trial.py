"""One open engine and several ways to batch for it, alone in a process of its own: its answers and its speed.

Started by `trials` as `python -m exporters.trial REQUEST ANSWER`. Writes one JSON line after each measurement, so that
a crash or a kill leaves what was measured before it: first `Alone` (each text by itself, and in batches as they come),
then a `Batched` for each plan (all texts at once, on the plan's threads). Limits: it takes as many of the first texts
as its seconds allow, 64 at least.
"""

import os
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from exporters.batches import Point, cut, padded_tokens
from tidegate.bundle import MANIFEST, Bundle, Manifest
from tidegate.engine import Engine, open_session
from tidegate.plan import Plan
from tidegate.preprocess import Encoded

MIN_TEXTS = 64
_MIXED = 32  # texts of a batch as they come, as the gate batches them
# Plans take turns, so that a slow minute of the machine does not fall on one of them.
_ROUNDS = 2
_WARM_UP = 8
_SECONDS = 0.25  # shorter timings are mostly noise; longer ones add up over dozens of plans

Answers = list[list[float]]  # probabilities, (texts, classes)


class Line(BaseModel):
    """Base of what goes between the processes."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Request(Line):
    """What to measure: plans of one engine, which differ only in how they batch."""

    bundle: Path
    plans: tuple[Plan, ...] = Field(min_length=1)
    texts: tuple[str, ...] = Field(min_length=1)
    seconds: float = Field(gt=0, description="What opening and measuring should take in all.")


class Alone(Line):
    """Each text by itself."""

    answers: Answers
    mixed: Answers | None = Field(description="The same in batches as they come; None where no plan batches.")
    latency_p50_seconds: float


class Batched(Line):
    """Every text at once, as one plan batches them."""

    plan: Plan
    answers: Answers
    throughput_texts_per_second: float
    points: list[Point]


def measure(request: Request) -> Iterator[Line]:
    """Open the engine and measure; yields `Alone`, then a `Batched` for each plan that there is time for."""
    deadline = time.perf_counter() + request.seconds
    bundle = Bundle(request.bundle, Manifest.model_validate_json((request.bundle / MANIFEST).read_bytes()))
    engines = _open(bundle, request.plans)
    texts = _affordable(engines[0], request.texts, deadline, passes=2 + 2 * _ROUNDS * len(engines))
    yield _alone(engines, texts)
    best: dict[int, Batched] = {}
    for _ in range(_ROUNDS):
        for index, engine in enumerate(engines):
            if not best or time.perf_counter() < deadline:
                best[index] = _faster(best.get(index), _batched(engine, texts))
    yield from best.values()


def _faster(one: Batched | None, other: Batched) -> Batched:
    return other if one is None or other.throughput_texts_per_second > one.throughput_texts_per_second else one


def _open(bundle: Bundle, plans: Sequence[Plan]) -> list[Engine]:
    """One engine a plan, all around one session."""
    session = open_session(bundle, plans[0])
    return [Engine(bundle, plan, session) for plan in plans]


def _affordable(engine: Engine, texts: Sequence[str], deadline: float, passes: int) -> Sequence[str]:
    """The first texts, as many as can be answered `passes` times until the deadline."""
    few = texts[:_WARM_UP]
    for text in few:  # lazy allocation and thread start are not what is timed
        engine.classify([text])
    start = time.perf_counter()
    for text in few:
        engine.classify([text])
    now = time.perf_counter()
    each = (now - start) / len(few)
    return texts[: max(MIN_TEXTS, int((deadline - now) / (passes * each)))]


def _alone(engines: Sequence[Engine], texts: Sequence[str]) -> Alone:
    engine = engines[0]
    seconds: list[float] = []
    answers: Answers = []
    while sum(seconds) < _SECONDS:
        answers = []
        for text in texts:
            start = time.perf_counter()
            answers += engine.classify([text]).tolist()
            seconds.append(time.perf_counter() - start)
    batching = next((engine for engine in engines if engine.plan.max_batch_rows > 1), None)
    mixed = None if batching is None else batching.classify(texts, _MIXED).tolist()
    return Alone(answers=answers, mixed=mixed, latency_p50_seconds=statistics.median(seconds))


def _batched(engine: Engine, texts: Sequence[str]) -> Batched:
    answers: Any = None
    points: list[Point] = []
    passes: list[float] = []
    with ThreadPoolExecutor(engine.plan.runs) as runners:
        while sum(passes) < _SECONDS or len(passes) < 2:  # the first one pays for shapes that are new
            start = time.perf_counter()
            answers, points = _all_at_once(engine, texts, runners)
            passes.append(time.perf_counter() - start)
            if passes[0] > 4 * _SECONDS:
                break  # so long that what new shapes cost is lost in it
    seconds = min(passes[1:] or passes)  # what else a shared machine does only ever adds
    return Batched(
        plan=engine.plan, answers=answers.tolist(), throughput_texts_per_second=len(texts) / seconds, points=points
    )


def _all_at_once(
    engine: Engine, texts: Sequence[str], runners: ThreadPoolExecutor
) -> tuple[NDArray[np.float64], list[Point]]:
    rows = engine.encode(texts)
    runs = cut(rows, engine.plan)
    outputs = list(runners.map(_timed(engine), [[rows[index] for index in run] for run in runs]))
    answers = np.empty((len(texts), outputs[0][0].shape[1]))
    for run, (output, _) in zip(runs, outputs, strict=True):
        answers[run] = output  # (rows of the run, classes)
    return answers, [point for _, point in outputs]


def _timed(engine: Engine) -> Callable[[Sequence[Encoded]], tuple[NDArray[np.float64], Point]]:
    def infer(rows: Sequence[Encoded]) -> tuple[NDArray[np.float64], Point]:
        start = time.perf_counter()
        output = engine.infer(rows).probabilities
        return output, (padded_tokens(rows, engine.plan), time.perf_counter() - start)

    return infer


def main(arguments: Sequence[str]) -> None:
    """Measure what the request file says, into the answer file."""
    threading.Thread(target=_end_with_parent, daemon=True, name="attend-parent").start()
    request, answer = map(Path, arguments)
    with answer.open("w", encoding="utf-8") as out:
        for line in measure(Request.model_validate_json(request.read_bytes())):
            out.write(line.model_dump_json() + "\n")
            out.flush()


def _end_with_parent() -> None:
    while os.read(0, 4096):  # the parent writes nothing; an empty read says that it is gone
        pass
    os._exit(1)


if __name__ == "__main__":
    main(sys.argv[1:])
