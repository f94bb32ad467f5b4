"""Tunings: what was measured of a bundle on a machine, kept in the home folder, keyed by bundle and hardware.

`tuning/<name>/<version>-<bundle digest>-<hardware digest>.json`, written whole by rename. Before: `exporters.tune`
measures; after: the repository opens the plan that won. Never in the bundle: a bundle that moves to another
machine finds no tuning there and is verified and tuned again. Limits: one file a bundle and machine; the newest
tuning replaces the one before.
"""

import fcntl
import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from tempfile import NamedTemporaryFile
from threading import Event

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tidegate.bundle import MANIFEST, Bundle, digest
from tidegate.errors import NotReady
from tidegate.plan import Goal, Plan

# Figures closer than 5 % are the clock's noise; the more exact plan wins them.
TIE = 1.05
_SPLIT = 1.2
_SAME_ERROR_DIGITS = 3  # a probability that is off by less than half a thousandth is as good as exact
_POLL_SECONDS = 0.1


class Trial(BaseModel):
    """One candidate and what was measured of it on this machine.

    A candidate that was refused or could not start keeps the reason and whatever was measured before it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    plan: Plan
    accepted: bool
    refusal: str = Field("", description="Why it is not used; empty when accepted.")
    rows: int = Field(0, ge=0, description="Verification texts.")
    agreement: float = Field(0.0, ge=0, le=1, description="Share of texts whose label is the source model's.")
    max_abs_error: float = Field(0.0, ge=0, description="Largest difference of a probability from the source's.")
    flips: int = Field(0, ge=0, description="Labels that differ between one text a run and batches.")
    batch_difference: float = Field(0.0, ge=0, description="Largest difference of a probability between the two.")
    latency_p50_seconds: float = Field(0.0, ge=0, description="One text at a time, tokenization included.")
    throughput_texts_per_second: float = Field(0.0, ge=0, description="All texts waiting, batched by the plan.")


class Tuning(BaseModel):
    """What tuning found for one bundle on one machine."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    hardware: str = Field(description="`tidegate.devices.fingerprint()`, and what the settings leave of that machine.")
    bundle: str = Field(description="sha256 of the manifest.")
    created_at: datetime
    quick: bool = Field(description="Cut short by its time budget; `tidegate tune` measures more.")
    against: str = Field("the source model", description="Whose answers the trials were held against.")
    trials: tuple[Trial, ...]

    def best(self, goal: Goal) -> Trial | None:
        """The accepted trial that is best for a goal; None when none was accepted.

        Of those as good the most exact one, then the one whose runs are shortest: others wait behind a run.
        """
        accepted = [trial for trial in self.trials if trial.accepted and _cost(trial, goal) > 0]
        cheapest = min((_cost(trial, goal) for trial in accepted), default=0.0)
        level = [trial for trial in accepted if _cost(trial, goal) <= TIE * cheapest]
        return min(
            level, key=lambda trial: (_error(trial), trial.plan.max_batch_tokens, _cost(trial, goal)), default=None
        )


@dataclass(frozen=True, slots=True)
class Planned:
    """How a bundle is to be served here, and why so.

    Attributes:
        plan: what the engine follows.
        note: the reason, and what was refused, for logs and pages.
        tuning: the measurements behind it; None when there are none of this machine.
        verified: whether its answers were checked on this machine, here or at export.
    """

    plan: Plan
    note: str
    tuning: Tuning | None = None
    verified: bool = False


def seconds_per_text(trial: Trial) -> float:
    """What a text costs under load; 0 when the throughput was not measured.

    A run split over threads waits for its slowest one, and behind a server the request path holds cores now and then,
    which a trial alone on the machine does not see: where split runs came out 8 % ahead alone, they fell 15 % behind
    over HTTP. So they have to be ahead by `_SPLIT` to win.
    """
    if not trial.throughput_texts_per_second:
        return 0.0
    split = trial.plan.device == "cpu" and trial.plan.threads > 1
    return (_SPLIT if split else 1.0) / trial.throughput_texts_per_second


def refused(trials: Sequence[Trial]) -> str:
    """What was refused and why, in one line; empty when nothing was."""
    return "; ".join(f"{trial.plan} refused: {trial.refusal}" for trial in trials if not trial.accepted)


def ratio(trial: Trial, other: Trial, goal: Goal) -> float:
    """How many times as fast one is as the other; 0 when either was not measured."""
    mine, its = _cost(trial, goal), _cost(other, goal)
    return its / mine if mine else 0.0


def explain(tuning: Tuning, best: Trial, goal: Goal) -> str:
    """Why a plan was taken: what it beat, and what was refused; one line."""
    first = tuning.trials[0]  # the exported choice is tried first
    how = "quick tuning" if tuning.quick else "tuning"
    note = f"best for {goal} of {len(tuning.trials)} plans by {how}"
    if first.accepted and first != best:
        note += f", {ratio(best, first, goal):.2f} times the exported choice ({first.plan})"
    return "; ".join(part for part in (note, refused(tuning.trials)) if part)


def read(folder: Path, bundle: Bundle, hardware: str) -> Tuning | None:
    """The tuning of a bundle for this hardware; None when there is none, or none that this version can read."""
    file = _file(folder, bundle, hardware)
    try:
        tuning = Tuning.model_validate_json(file.read_bytes())
    except (FileNotFoundError, ValidationError):  # one that an older Tidegate wrote is measured anew
        return None
    known = {variant.name for variant in bundle.manifest.variants}
    stale = any(trial.accepted and trial.plan.variant not in known for trial in tuning.trials)
    return None if stale or tuning.hardware != hardware or tuning.bundle != bundle_digest(bundle) else tuning


def write(folder: Path, bundle: Bundle, tuning: Tuning) -> Path:
    """Keep a tuning; the one before it is replaced in whole. Returns its file."""
    file = _file(folder, bundle, tuning.hardware)
    file.parent.mkdir(parents=True, exist_ok=True)
    with NamedTemporaryFile("w", dir=file.parent, suffix=".tmp", delete=False, encoding="utf-8") as scratch:
        scratch.write(tuning.model_dump_json(indent=1))
    return Path(scratch.name).replace(file)


@contextmanager
def measuring(folder: Path, stopping: Event) -> Iterator[None]:
    """One measurement at a time in this home folder, whichever process makes it: two would time each other.

    Raises:
        NotReady: `stopping` was set while another one measured.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        while not _locked(lock.fileno()):
            if stopping.wait(_POLL_SECONDS):
                raise NotReady("the server stops; nothing was measured")
        yield


def bundle_digest(bundle: Bundle) -> str:
    """sha256 of the manifest, which holds the sha256 of every other file."""
    return digest(bundle.file(MANIFEST))


def _cost(trial: Trial, goal: Goal) -> float:
    return trial.latency_p50_seconds if goal == "latency" else seconds_per_text(trial)


def _error(trial: Trial) -> float:
    return round(trial.max_abs_error, _SAME_ERROR_DIGITS)


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)  # the kernel lets go when this process ends
    except BlockingIOError:
        return False
    return True


def _file(folder: Path, bundle: Bundle, hardware: str) -> Path:
    machine = hashlib.sha256(hardware.encode()).hexdigest()[:12]
    manifest = bundle.manifest
    return folder / manifest.name / f"{manifest.version}-{bundle_digest(bundle)[:12]}-{machine}.json"
