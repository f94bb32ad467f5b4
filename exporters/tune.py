"""Tuning: the fastest safe plan for a bundle on this machine, by measurement.

Before: a published bundle, at export and again where it is served. Every candidate (`candidates`) is tried in a child
of its own (`trials`): held to the gate's bounds on the bundle's verification set first, then timed on those texts. The
best engine is tried with finer batching. After: `tidegate.tunings` keeps the result; the planner of the command line
takes the winner. Limits: with a budget, what was measured when it ended counts, and fewer texts are used.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from threading import Event

import numpy as np

from exporters import verification
from exporters.candidates import Engine, coarse, place, reference, refined
from exporters.trial import MIN_TEXTS
from exporters.trials import ask, judge
from exporters.verify import Yardstick, answered_labels, yardstick
from tidegate.bundle import Bundle
from tidegate.devices import Device
from tidegate.errors import BundleCorrupt
from tidegate.plan import Plan
from tidegate.tunings import Trial, Tuning, bundle_digest, seconds_per_text

Say = Callable[[str], None]

QUICK_SECONDS = 18.0  # under 20 with the start of the process that asks
# What one child should take when nobody waits; it takes fewer texts for that, and is killed after the second figure.
_TRIAL_SECONDS, _TRIAL_LIMIT = 30.0, 600.0
# In a hurry a share of the budget goes to each engine, but no less than opening one and 64 short texts take.
_SHARES, _LEAST_SECONDS = 4, 2.0


@dataclass(frozen=True, slots=True)
class _Bench:
    """What stays the same through one tuning."""

    bundle: Bundle
    yard: Yardstick
    ends_at: float | None  # by time.monotonic; None when there is time
    say: Say
    stopping: Event
    trials: list[Trial] = field(default_factory=list)

    def left(self) -> float:
        return _TRIAL_LIMIT if self.ends_at is None else self.ends_at - time.monotonic()


def tune(
    bundle: Bundle,
    places: Sequence[Device],
    *,
    requested: str = "auto",
    threads: int = 0,
    budget_seconds: float | None = None,
    say: Say,
    stopping: Event | None = None,
) -> Tuning:
    """Measure plans for a bundle here.

    Args:
        bundle: a loaded one, so its bytes are those published.
        places: from `candidates.offered`.
        requested: the setting that `places` came from.
        threads: cores to use in all; 0 for every core.
        budget_seconds: stop by then; None measures every candidate on the whole verification set.
        say: told about each trial.
        stopping: ends the tuning when set.

    Raises:
        BundleCorrupt: no verification set, and the most exact variant does not run here.
        NotReady: `stopping` was set.
    """
    ends_at = None if budget_seconds is None else time.monotonic() + budget_seconds
    stopping = stopping or Event()
    yard, against = _yard(bundle, threads, budget_seconds, stopping)
    if against:
        say(f"{bundle.manifest.name} carries no verification set; its samples are held against {against}")
    bench = _Bench(bundle, yard, ends_at, say, stopping)
    _try_all(bench, coarse(bundle.manifest, places, threads))
    best = _fastest(bench.trials)
    finer = refined(best.plan) if best is not None else ()
    if finer:
        _try_all(bench, [finer])
    return _tuning(bench, place(requested, threads), against, quick=ends_at is not None)


def verify(
    bundle: Bundle, plan: Plan, *, requested: str = "auto", threads: int = 0, say: Say, stopping: Event | None = None
) -> Tuning:
    """Hold one plan to the gate's bounds on this machine, without looking for a faster one; raises what `tune` does."""
    stopping = stopping or Event()
    yard, against = _yard(bundle, threads, None, stopping)
    bench = _Bench(bundle, yard, None, say, stopping)
    _try(bench, (plan,), QUICK_SECONDS / _SHARES)
    return _tuning(bench, place(requested, threads), against, quick=True)


def _try_all(bench: _Bench, engines: Sequence[Engine]) -> None:
    for index, engine in enumerate(engines):
        waiting = len(engines) - index
        share = _TRIAL_SECONDS if bench.ends_at is None else bench.left() / min(waiting, _SHARES)
        if bench.left() < _LEAST_SECONDS:
            skipped = sum(len(rest) for rest in engines[index:])
            bench.say(f"the time is used up; plans that were not tried: {skipped}")
            return
        if _hopeless(bench.trials, engine[0]):
            bench.say(f"{engine[0].variant} was refused on {engine[0].provider}; other threads would change nothing")
            continue
        _try(bench, engine, max(share, _LEAST_SECONDS))


def _hopeless(trials: Sequence[Trial], plan: Plan) -> bool:
    """Whether the same file failed on the same provider, however it was batched."""
    alike = [t for t in trials if (t.plan.variant, t.plan.provider) == (plan.variant, plan.provider)]
    return bool(alike) and not any(trial.accepted for trial in alike)


def _try(bench: _Bench, engine: Engine, seconds: float) -> None:
    texts = [text for text, _ in bench.yard.rows]
    outcome = ask(bench.bundle, engine, texts, seconds=seconds, limit=bench.left(), stopping=bench.stopping)
    if outcome.late and bench.ends_at is not None:
        bench.say(f"the time was used up by {engine[0]}")  # our haste is no fault of the plan
        outcome = replace(outcome, fault="")
    precision = bench.bundle.manifest.variant(engine[0].variant).precision
    for trial in judge(outcome, engine, bench.yard, precision):
        bench.trials.append(trial)
        bench.say(describe(trial))


def describe(trial: Trial) -> str:
    """One line for people."""
    if not trial.accepted:
        return f"{trial.plan}: refused, {trial.refusal}"
    return (
        f"{trial.plan}: {trial.throughput_texts_per_second:.0f} texts/s, "
        f"{trial.latency_p50_seconds * 1e3:.2f} ms one at a time"
    )


def _fastest(trials: Sequence[Trial]) -> Trial | None:
    accepted = [trial for trial in trials if trial.accepted]
    return min(accepted, key=seconds_per_text, default=None)


def _tuning(bench: _Bench, hardware: str, against: str, *, quick: bool) -> Tuning:
    return Tuning(
        hardware=hardware,
        bundle=bundle_digest(bench.bundle),
        created_at=datetime.now(UTC),
        quick=quick,
        against=against or "the source model",
        trials=tuple(bench.trials),
    )


def _yard(bundle: Bundle, threads: int, budget_seconds: float | None, stopping: Event) -> tuple[Yardstick, str]:
    """What plans are held against, and whose answers those are where the source model's are not known."""
    known = verification.read(bundle)
    if known is not None:
        return known.yardstick(bundle.manifest), ""
    manifest, plan = bundle.manifest, reference(bundle.manifest, threads)
    seconds, limit = budget_seconds or _TRIAL_SECONDS, budget_seconds or _TRIAL_LIMIT
    outcome = ask(bundle, [plan], _repeated(manifest.samples), seconds=seconds, limit=limit, stopping=stopping)
    if outcome.alone is None:
        raise BundleCorrupt(f"{manifest.name}/{manifest.version}: {plan} does not run here: {outcome.fault}")
    yard = yardstick([], manifest.labels, np.array(outcome.alone.answers), manifest.postprocessing, 0.0)
    labels = ["-"] * len(yard.source)
    if yard.classes:
        labels = [yard.labels[index] for index in answered_labels(yard.source, yard)]
    rows = list(zip(_repeated(manifest.samples), labels, strict=False))  # as many as it had time for
    return replace(yard, rows=rows, min_agreement=1.0), f"{plan.variant} on the CPU of this machine"


def _repeated(samples: Sequence[str]) -> list[str]:
    """The samples, often enough to fill a batch or two."""
    return list(samples) * -(-MIN_TEXTS // len(samples))
