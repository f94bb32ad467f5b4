"""Plans of one engine, tried in a child process: starts `exporters.trial`, waits, judges what it answered.

Between `tune`, which says what to try, and `trial`, which measures. A child that crashes, is killed or takes too long
is a refusal with its reason, never an error: the next candidate may do better. Limits: one child at a time.
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Event

import numpy as np
from pydantic import ValidationError

from exporters.batches import run_tokens
from exporters.trial import Alone, Batched, Request
from exporters.verify import Comparison, Yardstick, compare, max_batch_difference
from tidegate.bundle import Bundle
from tidegate.devices import CPU
from tidegate.errors import NotReady
from tidegate.plan import Plan
from tidegate.tunings import Trial

_POLL_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a child left behind.

    Attributes:
        alone: None when it did not come so far.
        batched: one a plan, as far as it came.
        fault: why it ended before its end; empty when it did not.
        late: it ended because its time was up.
    """

    alone: Alone | None
    batched: tuple[Batched, ...]
    fault: str
    late: bool = False


def ask(
    bundle: Bundle, plans: Sequence[Plan], texts: Sequence[str], *, seconds: float, limit: float, stopping: Event
) -> Outcome:
    """Measure plans of one engine in a process of its own.

    Args:
        bundle: a verified one.
        plans: which differ only in how they batch.
        texts: what to answer.
        seconds: what the child should take; it takes fewer texts for that.
        limit: seconds after which it is killed.
        stopping: ends it before.

    Raises:
        NotReady: `stopping` was set.
    """
    with tempfile.TemporaryDirectory(prefix="tidegate-trial-") as folder:
        request, answer, errors = (Path(folder) / name for name in ("request.json", "answer.jsonl", "stderr"))
        wanted = Request(bundle=bundle.path.absolute(), plans=tuple(plans), texts=tuple(texts), seconds=seconds)
        request.touch(0o600)  # the texts are somebody's
        request.write_text(wanted.model_dump_json(), encoding="utf-8")
        command = [sys.executable, "-m", "exporters.trial", str(request), str(answer)]
        with (
            errors.open("w") as stderr,
            subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=stderr) as child,
        ):
            fault = _wait(child, limit, stopping)
        said = (errors.read_text(errors="replace").strip().splitlines() or ["no message"])[-1]
        lines = answer.read_text(encoding="utf-8").splitlines() if answer.is_file() else []
    if not fault and child.returncode > 0:
        fault = said.partition("Error: ")[2] or said
    return _outcome(lines, fault, late=fault == _late(limit))


def judge(outcome: Outcome, plans: Sequence[Plan], yard: Yardstick, precision: str) -> list[Trial]:
    """A trial for each plan that was measured, and a refused one where the child ended too early.

    Args:
        outcome: from `ask`.
        plans: as they were asked for.
        yard: what the answers are held against; its first rows are the texts.
        precision: of the variant's file.
    """
    trials = []
    if outcome.alone is not None:
        held = yard.first(len(outcome.alone.answers))
        fixed = run_tokens([point for batched in outcome.batched for point in batched.points])
        trials = [_judged(batched, outcome.alone, fixed, held, precision) for batched in outcome.batched]
    if outcome.fault and len(trials) < len(plans):
        trials.append(Trial(plan=plans[len(trials)], accepted=False, refusal=outcome.fault))
    return trials


def _wait(child: "subprocess.Popen[bytes]", limit: float, stopping: Event) -> str:
    """Why it ended before its end, if it did; its own exit code is not looked at."""
    end = time.monotonic() + limit
    try:
        while child.poll() is None:
            if stopping.wait(_POLL_SECONDS):
                raise NotReady("the server stops; the measurement was given up")
            if time.monotonic() > end:
                return _late(limit)
    finally:
        child.kill()  # nothing happens to one that has ended
    return f"its process was killed by signal {-child.returncode}" if child.returncode < 0 else ""


def _late(limit: float) -> str:
    return f"it was not measured within {limit:.0f} s"


def _outcome(lines: Sequence[str], fault: str, *, late: bool = False) -> Outcome:
    try:
        alone = Alone.model_validate_json(lines[0]) if lines else None
    except ValidationError:  # killed in the middle of the line
        return Outcome(None, (), fault, late)
    batched: list[Batched] = []
    for line in lines[1:]:
        try:
            batched.append(Batched.model_validate_json(line))
        except ValidationError:
            break
    return Outcome(alone, tuple(batched), fault, late)


def _judged(batched: Batched, alone: Alone, fixed_tokens: float, yard: Yardstick, precision: str) -> Trial:
    compared = _compared(batched, alone, yard, precision)
    return Trial(
        plan=batched.plan.model_copy(update={"run_tokens": fixed_tokens}),
        accepted=not compared.refusal,
        refusal=compared.refusal,
        rows=len(alone.answers),
        agreement=compared.agreement,
        max_abs_error=compared.max_abs_error,
        flips=compared.flips,
        batch_difference=compared.batch_difference,
        latency_p50_seconds=alone.latency_p50_seconds,
        throughput_texts_per_second=batched.throughput_texts_per_second,
    )


def _compared(batched: Batched, alone: Alone, yard: Yardstick, precision: str) -> Comparison:
    plan = batched.plan
    together = [batched.answers, *([alone.mixed] if alone.mixed else [])] if plan.max_batch_rows > 1 else []
    # What a provider other than the CPU's makes of an fp32 file is its own (bf16, TF32).
    bound = max_batch_difference(precision if plan.provider == CPU else "reduced")
    return compare(np.array(alone.answers), [np.array(answers) for answers in together], yard, bound)
