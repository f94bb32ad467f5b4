"""The gate: each variant against the source model, on evaluation texts that training never saw.

After `convert` and `quantize`, before anything is published. A variant is refused when it agrees with the source
model on less than 99 % of the labels (threshold and fallback label applied, and both one text a run and in
batches, so an answer that depends on batch-mates counts), or loses more accuracy than allowed. Refused or not,
its numbers are kept as evidence.
"""

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from exporters import scores
from exporters.measure import Measurement, load
from exporters.texts import Row
from tidegate.bundle import Evidence, Manifest, Postprocessing, Variant
from tidegate.devices import hardware
from tidegate.errors import TidegateError, UsageError
from tidegate.tasks import decide

MIN_AGREEMENT = 0.99
_TIE = 1.05  # latencies closer than 5 % are the clock's noise; the more exact variant wins them


@dataclass(frozen=True, slots=True)
class Yardstick:
    """What variants are held against: the evaluation rows and the source model's answers to them.

    Attributes:
        rows: (text, label) pairs.
        labels: every label that can be answered, the fallback label included.
        classes: labels of the probabilities' columns; a prefix of `labels`.
        source: the source model's probabilities, (rows, classes).
        post: threshold and fallback label.
        max_accuracy_drop: share of rows, in [0, 1].
    """

    rows: Sequence[Row]
    labels: tuple[str, ...]
    classes: tuple[str, ...]
    source: NDArray[np.float64]
    post: Postprocessing
    max_accuracy_drop: float


def yardstick(
    rows: Sequence[Row],
    classes: tuple[str, ...],
    source: NDArray[np.float64],
    post: Postprocessing,
    max_accuracy_drop: float,
) -> Yardstick:
    """Check that rows and model speak of the same labels.

    Raises:
        UsageError: a label of the rows that the model cannot answer.
    """
    fallback = post.fallback_label
    labels = classes if fallback is None or fallback in classes else (*classes, fallback)
    foreign = sorted({label for _, label in rows} - set(labels))
    if foreign:
        raise UsageError(
            f"the evaluation data has labels that the model does not know: {', '.join(foreign[:8])}; "
            f"it knows: {', '.join(labels)}. Name the right file with --data and --label-column"
        )
    return Yardstick(rows, labels, classes, source, post, max_accuracy_drop)


def run_measurement(
    folder: Path, manifest: Manifest, variant: Variant, texts: Sequence[str], work: Path
) -> Measurement:
    """Measure a variant in a process of its own.

    Raises:
        TidegateError: that process failed.
    """
    files = {name: work / f"{variant.name}.{name}" for name in ("manifest.json", "texts.json", "npz")}
    files["manifest.json"].write_text(manifest.model_dump_json())
    files["texts.json"].write_text(json.dumps(list(texts)))
    command = [sys.executable, "-m", "exporters.measure", str(folder), str(files["manifest.json"]), variant.name]
    command += [str(files["texts.json"]), str(files["npz"])]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise TidegateError(f"measuring variant {variant.name} failed (exit {done.returncode}): {reason}")
    return load(files["npz"])


def judge(variant: Variant, size_bytes: int, measured: Measurement, yard: Yardstick) -> Evidence:
    """Hold a variant's answers against the source model's and the truth."""
    index = {label: number for number, label in enumerate(yard.labels)}
    truth = np.array([index[label] for _, label in yard.rows])
    source = answered_labels(yard.source, yard)
    single, batched = answered_labels(measured.single, yard), answered_labels(measured.batched, yard)
    agreement = min(float((single == source).mean()), float((batched == source).mean()))
    accuracy, source_accuracy = scores.accuracy(truth, single), scores.accuracy(truth, source)
    refusal = _refusal(agreement, source_accuracy - accuracy, yard.max_accuracy_drop)
    return Evidence(
        variant=variant.name,
        accepted=not refusal,
        refusal=refusal,
        rows=len(truth),
        agreement=agreement,
        max_abs_error=float(max(np.abs(p - yard.source).max() for p in (measured.single, measured.batched))),
        accuracy=accuracy,
        accuracy_interval=scores.interval(scores.accuracy, truth, single),
        macro_f1=scores.macro_f1(truth, single),
        macro_f1_interval=scores.interval(scores.macro_f1, truth, single),
        source_accuracy=source_accuracy,
        source_macro_f1=scores.macro_f1(truth, source),
        size_bytes=size_bytes,
        latency_p50_seconds=measured.latency_p50_seconds,
        throughput_texts_per_second=measured.throughput_texts_per_second,
        hardware=hardware(),
    )


def answered_labels(probabilities: NDArray[np.float64], yard: Yardstick) -> NDArray[np.int64]:
    """Index into `yard.labels` of the answer to each row, threshold and fallback label applied."""
    index = {label: number for number, label in enumerate(yard.labels)}
    answers = (decide(row.tolist(), yard.classes, yard.post) for row in probabilities)
    return np.array([index[answer.label] for answer in answers])


def _refusal(agreement: float, drop: float, max_accuracy_drop: float) -> str:
    reasons = []
    if agreement < MIN_AGREEMENT:
        reasons.append(f"agrees with the source model on {agreement:.2%} of labels, less than {MIN_AGREEMENT:.0%}")
    if drop > max_accuracy_drop + 1e-9:  # a drop of exactly the limit passes, whatever its float digits
        reasons.append(f"loses {drop * 100:.2f} points of accuracy, more than {max_accuracy_drop * 100:.2f}")
    return "; ".join(reasons)


def fastest(accepted: Sequence[Evidence]) -> Evidence:
    """The accepted variant with the lowest median latency; the earlier (more exact) one of two as fast."""
    best = min(evidence.latency_p50_seconds for evidence in accepted)
    return next(evidence for evidence in accepted if evidence.latency_p50_seconds <= _TIE * best)
