"""One variant, alone in a process of its own: its answers and its speed, on texts that it is given.

Started by `verify` as `python -m exporters.measure FOLDER MANIFEST VARIANT TEXTS OUT`, so that no variant is
timed beside another one's threads and memory. Answers each text twice: one text a run, as a single caller sees
it, and in batches of 32, as a busy server runs it. Limits: CPU; a small set is repeated for half a second.
"""

import json
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tidegate.bundle import Bundle, Manifest
from tidegate.devices import choose
from tidegate.engine import Engine

BATCH = 32
_SECONDS = 0.5  # shorter timings are mostly noise on shared cores


@dataclass(frozen=True, slots=True)
class Measurement:
    """What a variant answered and how fast.

    Attributes:
        single: probabilities with one text a run, (texts, classes).
        batched: the same in batches of `BATCH`, (texts, classes).
        latency_p50_seconds: median over texts, preprocessing included.
        throughput_texts_per_second: in batches, preprocessing included, on all cores.
    """

    single: NDArray[np.float64]
    batched: NDArray[np.float64]
    latency_p50_seconds: float
    throughput_texts_per_second: float


def measure(engine: Engine, texts: Sequence[str]) -> Measurement:
    """Answer the texts both ways, with the clock running."""
    engine.classify(texts[:BATCH])  # warm up: lazy allocation and thread start are not what is timed
    single, seconds = _single(engine, texts)
    batched, throughput = _batched(engine, texts)
    return Measurement(single, batched, float(np.median(seconds)), throughput)


def _single(engine: Engine, texts: Sequence[str]) -> tuple[NDArray[np.float64], list[float]]:
    seconds: list[float] = []
    answers: list[NDArray[np.float64]] = []
    while sum(seconds) < _SECONDS:
        answers = []
        for text in texts:
            start = time.perf_counter()
            answers.append(engine.classify([text])[0])
            seconds.append(time.perf_counter() - start)
    return np.stack(answers), seconds


def _batched(engine: Engine, texts: Sequence[str]) -> tuple[NDArray[np.float64], float]:
    batches = [texts[start : start + BATCH] for start in range(0, len(texts), BATCH)]
    done, start = 0, time.perf_counter()
    with ThreadPoolExecutor(engine.plan.runs) as runners:
        while True:
            answers = list(runners.map(engine.classify, batches))
            done += len(texts)
            elapsed = time.perf_counter() - start
            if elapsed >= _SECONDS:
                return np.concatenate(answers), done / elapsed


def save(measurement: Measurement, file: Path) -> None:
    """Write it as an `.npz` without pickles."""
    np.savez(
        file,
        single=measurement.single,
        batched=measurement.batched,
        latency_p50_seconds=measurement.latency_p50_seconds,
        throughput_texts_per_second=measurement.throughput_texts_per_second,
    )


def load(file: Path) -> Measurement:
    """Read what `save` wrote."""
    with np.load(file, allow_pickle=False) as arrays:
        return Measurement(
            arrays["single"],
            arrays["batched"],
            float(arrays["latency_p50_seconds"]),
            float(arrays["throughput_texts_per_second"]),
        )


def main(arguments: Sequence[str]) -> None:
    """Measure the variant named on the command line."""
    folder, manifest, variant, texts, out = arguments
    bundle = Bundle(Path(folder), Manifest.model_validate_json(Path(manifest).read_bytes()))
    engine = Engine.open(bundle, choose("cpu", ()), variant=variant)
    save(measure(engine, json.loads(Path(texts).read_text())), Path(out))


if __name__ == "__main__":
    main(sys.argv[1:])
