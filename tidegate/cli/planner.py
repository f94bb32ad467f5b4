"""The planner: how a bundle is to run on this machine, from its tuning, from a quick one, or as it was exported.

Composed into the gateway by the command line, because serving and exporters do not know each other. Before: the
repository loaded a bundle; after: the repository opens the plan. A bundle that was verified on other hardware is held
to the gate's bounds here before it is served, and what fails is not used. Limits: runs in the repository's thread; a
model that is being measured is still loading.
"""

import logging
from collections.abc import Iterator
from threading import Event

from exporters import tune
from exporters.candidates import offered, place
from serving.repository import Planner
from tidegate import devices, tunings
from tidegate.bundle import Bundle
from tidegate.devices import CPU, Device
from tidegate.errors import GateRefused
from tidegate.plan import Plan, exported
from tidegate.settings import Settings
from tidegate.tunings import Planned, Tuning, explain, refused

log = logging.getLogger(__name__)


def make_planner(settings: Settings) -> Planner:
    """The planner of these settings; see `plan`."""
    return lambda bundle, stopping: plan(settings, bundle, stopping)


def plan(settings: Settings, bundle: Bundle, stopping: Event) -> Planned:
    """How a bundle is to run here.

    Raises:
        GateRefused: no variant passes the gate's bounds on this machine.
        NotReady: `stopping` was set.
    """
    tuning = _known(settings, bundle) or (_measured(settings, bundle, stopping) if settings.tune else None)
    best = tuning.best(settings.goal) if tuning else None
    if tuning is None or best is None:
        return _as_exported(settings, bundle, stopping, tuning)
    return Planned(best.plan, explain(tuning, best, settings.goal), tuning, verified=True)


def _known(settings: Settings, bundle: Bundle) -> Tuning | None:
    return tunings.read(settings.home / "tuning", bundle, place(settings.device, settings.threads))


def _measured(settings: Settings, bundle: Bundle, stopping: Event) -> Tuning:
    """A quick tuning, kept for the next start; what another process measured meanwhile is taken in its place."""
    folder = settings.home / "tuning"
    with tunings.measuring(folder, stopping):
        known = _known(settings, bundle)
        if known is not None:
            return known
        log.info(
            "tuning %s for this machine, %.0f s at most; --no-tune serves the exported choice",
            bundle.manifest.name,
            tune.QUICK_SECONDS,
        )
        tuning = tune.tune(
            bundle,
            offered(settings.device),
            requested=settings.device,
            threads=settings.threads,
            budget_seconds=tune.QUICK_SECONDS,
            say=log.info,
            stopping=stopping,
        )
        tunings.write(folder, bundle, tuning)
    return tuning


def _as_exported(settings: Settings, bundle: Bundle, stopping: Event, tuning: Tuning | None) -> Planned:
    """The first of the exported plans that was verified on this hardware, or is now.

    Where a tuning refused every plan, what the gate found at export is no longer believed; one that had no time to
    judge any says nothing.
    """
    doubted = tuning is not None and bool(tuning.trials)
    checked: Tuning | None = None
    for candidate in _exported(settings, bundle):
        if not doubted and _verified_at_export(bundle, candidate):
            return Planned(candidate, _note("as exported, verified here at export", checked), checked, verified=True)
        log.info("verifying %s, %s, before it is served here", bundle.manifest.name, candidate)
        newest = _verified(settings, bundle, candidate, stopping)
        before = checked.trials if checked else ()
        checked = newest.model_copy(update={"trials": (*before, *newest.trials)})
        if newest.trials[-1].accepted:
            note = f"as exported, verified again here on {newest.trials[-1].rows} texts"
            return Planned(candidate, _note(note, checked), checked, verified=True)
    faults = refused(checked.trials) if checked else "it has none"
    raise GateRefused(f"{bundle.manifest.name}: no variant passes on this machine: {faults}")


def _verified(settings: Settings, bundle: Bundle, candidate: Plan, stopping: Event) -> Tuning:
    with tunings.measuring(settings.home / "tuning", stopping):
        return tune.verify(
            bundle, candidate, requested=settings.device, threads=settings.threads, say=log.info, stopping=stopping
        )


def _exported(settings: Settings, bundle: Bundle) -> Iterator[Plan]:
    """The chosen variant, then the others, fp32 last; on the device of the settings, then on the CPU."""
    manifest = bundle.manifest
    device = devices.choose(settings.device, devices.available_providers())
    cpu = Device("cpu", CPU, "a GPU was refused")
    places = [device, cpu] if device.name != "cpu" and settings.device == "auto" else [device]
    order = sorted(
        manifest.variants, key=lambda variant: (variant.name != manifest.chosen, variant.precision == "fp32")
    )
    for where in places:
        for variant in order:
            yield exported(manifest, where, variant=variant.name, threads=settings.threads)


def _verified_at_export(bundle: Bundle, candidate: Plan) -> bool:
    """Whether the gate's evidence was measured on this hardware, by the provider that the gate uses."""
    return candidate.provider == CPU and any(
        evidence.variant == candidate.variant and evidence.accepted and evidence.hardware == devices.hardware()
        for evidence in bundle.manifest.evidence
    )


def _note(note: str, checked: Tuning | None) -> str:
    beaten = refused(checked.trials) if checked else ""
    return f"{note}; {beaten}" if beaten else note
