"""The gate: each variant against the source model, on evaluation texts that training never saw.

After `convert` and `quantize`, before anything is published; `tune` holds plans to the same bounds on the machine that
serves. Refused is what agrees with the source model on less than 99 % of the labels (threshold and fallback label
applied), loses more accuracy than allowed, or answers a text in a batch otherwise than alone (`compare`); embeddings
are held to cosines and nearest neighbours (`nearness`). Refused or not, the numbers are kept as evidence.
"""

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from exporters import nearness, scores
from exporters.measure import Measurement, load
from exporters.texts import Row
from tidegate.bundle import Evidence, Manifest, Postprocessing, Variant
from tidegate.devices import hardware
from tidegate.errors import TidegateError, UsageError
from tidegate.tasks import decide
from tidegate.tunings import TIE

MIN_AGREEMENT = 0.99
# Most that batch-mates may move a probability. fp32 moved none at all (MiniLM-L6, 256 texts, batches of 8 to 64);
# bf16 moves 0.004, dynamic int8 0.38.
BATCH_DIFFERENCE_FP32 = 1e-5
BATCH_DIFFERENCE_REDUCED = 1e-2


@dataclass(frozen=True, slots=True)
class Yardstick:
    """What variants are held against: the evaluation rows and the source model's answers to them.

    Attributes:
        rows: (text, label) pairs.
        labels: every label that can be answered, the fallback label included; none of embeddings.
        classes: labels of the probabilities' columns; a prefix of `labels`.
        source: the source model's probabilities, (rows, classes), or vectors, (rows, dim).
        post: threshold and fallback label.
        max_accuracy_drop: share of rows, in [0, 1].
        min_agreement: share of rows, in [0, 1].
    """

    rows: Sequence[Row]
    labels: tuple[str, ...]
    classes: tuple[str, ...]
    source: NDArray[np.float64]
    post: Postprocessing
    max_accuracy_drop: float
    min_agreement: float = MIN_AGREEMENT

    def first(self, count: int) -> Self:
        """The same, of the first `count` rows: a sample, in which one row may go either way by chance."""
        if count >= len(self.rows):
            return self
        return replace(
            self,
            rows=self.rows[:count],
            source=self.source[:count],
            max_accuracy_drop=max(self.max_accuracy_drop, 1 / count),
            min_agreement=min(self.min_agreement, 1 - 1 / count),
        )


@dataclass(frozen=True, slots=True)
class Comparison:
    """Answers held against a yardstick; see `tidegate.bundle.Evidence` for the fields."""

    agreement: float
    max_abs_error: float
    accuracy: float
    flips: int
    batch_difference: float
    refusal: str
    mean_cosine: float | None = None
    worst_cosine: float | None = None


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
    if not classes:
        return Yardstick(rows, (), (), source, post, max_accuracy_drop, nearness.MIN_NEIGHBOURS)
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
    compared = compare(measured.single, [measured.batched], yard, max_batch_difference(variant.precision))
    return Evidence(
        variant=variant.name,
        accepted=not compared.refusal,
        refusal=compared.refusal,
        rows=len(yard.rows),
        agreement=compared.agreement,
        max_abs_error=compared.max_abs_error,
        accuracy=compared.accuracy,
        **(_right_answers(measured.single, yard) if yard.classes else {}),
        mean_cosine=compared.mean_cosine,
        worst_cosine=compared.worst_cosine,
        flips=compared.flips,
        batch_difference=compared.batch_difference,
        size_bytes=size_bytes,
        latency_p50_seconds=measured.latency_p50_seconds,
        throughput_texts_per_second=measured.throughput_texts_per_second,
        hardware=hardware(),
    )


def _right_answers(single: NDArray[np.float64], yard: Yardstick) -> dict[str, Any]:
    """What the truth says of a classifier's labels, and of the source model's."""
    truth, source, answered = _truth(yard), answered_labels(yard.source, yard), answered_labels(single, yard)
    return {
        "accuracy_interval": scores.interval(scores.accuracy, truth, answered),
        "macro_f1": scores.macro_f1(truth, answered),
        "macro_f1_interval": scores.interval(scores.macro_f1, truth, answered),
        "source_accuracy": scores.accuracy(truth, source),
        "source_macro_f1": scores.macro_f1(truth, source),
    }


def compare(
    single: NDArray[np.float64], batched: Sequence[NDArray[np.float64]], yard: Yardstick, max_difference: float
) -> Comparison:
    """Hold answers against the source model, the truth, and one another.

    Args:
        single: probabilities with one text a run, (rows, classes).
        batched: the same in batches, each (rows, classes); none for what is served one text a run.
        yard: what they are held against.
        max_difference: most that batch-mates may move a probability, or a vector (cosine distance).
    """
    if not yard.classes:
        return _compare_vectors(single, batched, yard, max_difference)
    truth, source = _truth(yard), answered_labels(yard.source, yard)
    alone, *together = (settled_labels(answers, yard) for answers in (single, *batched))
    agreement = min(float((labels == source).mean()) for labels in (alone, *together))
    accuracy = scores.accuracy(truth, alone)
    flips = max((int((labels != alone).sum()) for labels in together), default=0)
    difference = max((float(np.abs(answers - single).max()) for answers in batched), default=0.0)
    drop = scores.accuracy(truth, source) - accuracy
    reasons = [*_faults(agreement, drop, yard), *_batch_faults(flips, difference, max_difference)]
    error = max(float(np.abs(answers - yard.source).max()) for answers in (single, *batched))
    return Comparison(agreement, error, accuracy, flips, difference, "; ".join(reasons))


def _compare_vectors(
    single: NDArray[np.float64], batched: Sequence[NDArray[np.float64]], yard: Yardstick, max_difference: float
) -> Comparison:
    """The same of embeddings: neighbours agree, cosine distances are the errors, and nothing is right or wrong."""
    found = nearness.measure(single, batched, yard.source)
    reasons = list(nearness.faults(found, yard.min_agreement, reduced=max_difference > BATCH_DIFFERENCE_FP32))
    if found.batch_distance > max_difference:
        reasons.append(_moves("a vector", found.batch_distance, max_difference))
    return Comparison(
        agreement=found.neighbours,
        max_abs_error=1 - found.worst_cosine,
        accuracy=0.0,
        flips=found.moved,
        batch_difference=found.batch_distance,
        refusal="; ".join(reasons),
        mean_cosine=found.mean_cosine,
        worst_cosine=found.worst_cosine,
    )


def _tied(source: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Rows whose two best classes the source model itself cannot tell apart: either label agrees with it."""
    best = np.sort(source, axis=1)[:, -2:]  # (rows, 2)
    tied: NDArray[np.bool_] = best[:, 1] - best[:, 0] <= BATCH_DIFFERENCE_FP32
    return tied


def max_batch_difference(precision: str) -> float:
    """Most that batch-mates may move a probability, by precision: fp32, or anything less."""
    return BATCH_DIFFERENCE_FP32 if precision == "fp32" else BATCH_DIFFERENCE_REDUCED


def depends_on_batch(evidence: Evidence, variant: Variant) -> bool:
    """Whether an answer of the variant depends on who else is in its batch."""
    bound = max_batch_difference(variant.precision)
    return any(_batch_faults(evidence.flips, evidence.batch_difference, bound))


def _truth(yard: Yardstick) -> NDArray[np.int64]:
    index = {label: number for number, label in enumerate(yard.labels)}
    return np.array([index[label] for _, label in yard.rows])


def answered_labels(probabilities: NDArray[np.float64], yard: Yardstick) -> NDArray[np.int64]:
    """Index into `yard.labels` of the answer to each row, threshold and fallback label applied."""
    index = {label: number for number, label in enumerate(yard.labels)}
    answers = (decide(row.tolist(), yard.classes, yard.post) for row in probabilities)
    return np.array([index[answer.label] for answer in answers])


def settled_labels(probabilities: NDArray[np.float64], yard: Yardstick) -> NDArray[np.int64]:
    """The same, with the source model's answer where it cannot tell the two best classes apart itself."""
    settled: NDArray[np.int64] = np.where(
        _tied(yard.source), answered_labels(yard.source, yard), answered_labels(probabilities, yard)
    )
    return settled


def _faults(agreement: float, drop: float, yard: Yardstick) -> Iterator[str]:
    if agreement < yard.min_agreement:
        yield f"agrees with the source model on {agreement:.2%} of labels, less than {yard.min_agreement:.0%}"
    if drop > yard.max_accuracy_drop + 1e-9:  # a drop of exactly the limit passes, whatever its float digits
        yield f"loses {drop * 100:.2f} points of accuracy, more than {yard.max_accuracy_drop * 100:.2f}"


def _batch_faults(flips: int, difference: float, max_difference: float) -> Iterator[str]:
    if flips:
        yield f"answers {flips} texts with another label in a batch than alone"
    if difference > max_difference:
        yield _moves("a probability", difference, max_difference)


def _moves(what: str, difference: float, most: float) -> str:
    return f"moves {what} by {difference:.2g} with its batch-mates, more than {most:.0e}"


def fastest(accepted: Sequence[Evidence]) -> Evidence:
    """The accepted variant with the lowest median latency; the more exact one of two as fast."""
    best = min(evidence.latency_p50_seconds for evidence in accepted)
    as_fast = (evidence for evidence in accepted if evidence.latency_p50_seconds <= TIE * best)
    return min(as_fast, key=lambda evidence: evidence.max_abs_error)
