"""The planner: how a bundle is to run on this machine, from its tuning, from a quick one, or as it was exported.

Composed into the gateway by the command line, because serving and exporters do not know each other. Before: the
repository loaded a bundle; after: the repository opens the plan. A bundle that was verified on other hardware is held
to the gate's bounds here before it is served, and what fails is not used. All champions are placed on devices at once,
before the first one opens. Limits: runs in the repository's thread; a model that is being measured is still loading.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from threading import Event

from pydantic import ValidationError

from exporters import tune
from exporters.candidates import offered, place
from serving.opening import Planner
from tidegate import devices, placement, tunings
from tidegate.aliases import CHAMPION
from tidegate.bundle import MANIFEST, Bundle, Manifest
from tidegate.bundle_store import BundleStore
from tidegate.devices import CPU, Device
from tidegate.errors import GateRefused, TidegateError
from tidegate.gpus import CUDA, discover
from tidegate.placement import Machine, Placement, Wish, estimate_footprint, parse_devices
from tidegate.plan import Plan, exported, gpu_variants
from tidegate.settings import Settings
from tidegate.tunings import Planned, Tuning, explain, refused

Placements = Mapping[str, Placement]  # by model

log = logging.getLogger(__name__)


def make_planner(settings: Settings, placements: Placements | None = None) -> Planner:
    """The planner of these settings; see `plan`. Where nobody placed the champions it does, at the first call."""

    @cache
    def placed() -> Placements:
        return place_champions(settings) if placements is None else placements

    return lambda bundle, stopping: plan(settings, bundle, stopping, placed().get(bundle.manifest.name))


def place_champions(settings: Settings, machine: Machine | None = None) -> Placements:
    """Where every champion of the store runs; call it before any session opens. What is loud goes to the log.

    Raises:
        UsageError: a model asks by name for a GPU that it cannot have.
    """
    store = BundleStore(settings.bundles_dir)
    manifests = [manifest for name in store.names() if (manifest := _champion(store, name)) is not None]
    return place_models(settings, manifests, machine)


def place_models(settings: Settings, manifests: Sequence[Manifest], machine: Machine | None = None) -> Placements:
    """Where these models run, on this machine or a described one; raises what `place_champions` does."""
    requested = parse_devices(settings.device)
    wishes = [_wish(manifest, requested.of(manifest.name)) for manifest in manifests]
    placed = placement.place(machine or _machine(settings), wishes, workers=settings.workers)
    for entry in placed:
        if entry.loud:
            log.warning("model %s runs on the CPU: %s", entry.model, entry.reason)
    return {entry.model: entry for entry in placed}


def plan(settings: Settings, bundle: Bundle, stopping: Event, where: Placement | None = None) -> Planned:
    """How a bundle is to run here.

    Args:
        settings: of the server.
        bundle: a loaded one.
        stopping: ends a measurement when set.
        where: what it was given; None places it alone.

    Raises:
        GateRefused: no variant passes the gate's bounds on this machine.
        NotReady: `stopping` was set.
        UsageError: its device cannot be had.
    """
    where = where or place_models(settings, [bundle.manifest])[bundle.manifest.name]
    settings = settings.model_copy(update={"device": _asked(settings, where)})
    planned = _planned(settings, bundle, stopping, where)
    in_words = where.loud or _on_gpu(where)
    note = f"{planned.note}; given {', '.join(where.devices)}: {where.reason}" if in_words else planned.note
    return replace(planned, plan=_moved(planned.plan, where), note=note)


def _planned(settings: Settings, bundle: Bundle, stopping: Event, where: Placement) -> Planned:
    tuning = _known(settings, bundle) or (_measured(settings, bundle, stopping, where) if settings.tune else None)
    best = tuning.best(settings.goal) if tuning else None
    if tuning is None or best is None:
        return _as_exported(settings, bundle, stopping, tuning, where)
    return Planned(best.plan, explain(tuning, best, settings.goal), tuning, verified=True)


def _champion(store: BundleStore, name: str) -> Manifest | None:
    """The manifest, unverified; None where it cannot be read: the repository will say what is wrong with it."""
    try:
        return Manifest.model_validate_json((store.path(name, store.resolve(name, CHAMPION)) / MANIFEST).read_bytes())
    except (TidegateError, OSError, ValidationError):
        return None


def _machine(settings: Settings) -> Machine:
    found = discover()
    return Machine(settings.threads or devices.cores(), found.gpus, devices.available_providers(), found.reason)


def _wish(manifest: Manifest, requested: str) -> Wish:
    """What a model asks for: room for the largest file that may run there."""
    suited = gpu_variants(manifest)
    largest = max((manifest.files[variant.file].size_bytes for variant in suited), default=0)
    return Wish(manifest.name, requested, estimate_footprint(largest), has_gpu_variant=bool(suited))


def _on_gpu(where: Placement) -> bool:
    return where.devices != ("cpu",)


def _asked(settings: Settings, where: Placement) -> str:
    """The device of one model, which its tuning is keyed by: no GPU is measured for one that was given none."""
    if not _on_gpu(where) and CUDA in devices.available_providers():
        return "cpu"
    return parse_devices(settings.device).of(where.model)


def _places(settings: Settings, where: Placement) -> list[Device]:
    """Where to measure: of several GPUs on the first that was given; they are taken to be alike."""
    offers = offered(settings.device)
    return [replace(device, name=where.devices[0]) if device.is_gpu else device for device in offers]


def _moved(chosen: Plan, where: Placement) -> Plan:
    """A plan for a GPU on those that were given, with a run for each at least; one for the CPU as it is."""
    if not chosen.where.is_gpu:
        return chosen
    first, *others = where.devices
    runs = max(chosen.runs, len(where.devices))
    return chosen.model_copy(update={"device": first, "replicas": tuple(others), "runs": runs})


def _known(settings: Settings, bundle: Bundle) -> Tuning | None:
    return tunings.read(settings.home / "tuning", bundle, place(settings.device, settings.threads))


def _measured(settings: Settings, bundle: Bundle, stopping: Event, where: Placement) -> Tuning:
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
            _places(settings, where),
            requested=settings.device,
            threads=settings.threads,
            budget_seconds=tune.QUICK_SECONDS,
            say=log.info,
            stopping=stopping,
        )
        tunings.write(folder, bundle, tuning)
    return tuning


def _as_exported(
    settings: Settings, bundle: Bundle, stopping: Event, tuning: Tuning | None, where: Placement
) -> Planned:
    """The first of the exported plans that was verified on this hardware, or is now.

    Where a tuning refused every plan, what the gate found at export is no longer believed; one that had no time to
    judge any says nothing.
    """
    doubted = tuning is not None and bool(tuning.trials)
    checked: Tuning | None = None
    for candidate in _exported(settings, bundle, where):
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


def _exported(settings: Settings, bundle: Bundle, where: Placement) -> Iterator[Plan]:
    """On a GPU what suits it, half precision first; on the CPU the chosen variant, then the others, fp32 last."""
    manifest = bundle.manifest
    if _on_gpu(where):
        gpu = Device(where.devices[0], CUDA, where.reason)
        for variant in gpu_variants(manifest):
            yield exported(manifest, gpu, variant=variant.name, threads=settings.threads)
        if settings.device != "auto":
            return
    order = sorted(
        manifest.variants, key=lambda variant: (variant.name != manifest.chosen, variant.precision == "fp32")
    )
    for variant in order:
        yield exported(manifest, Device("cpu", CPU, where.reason), variant=variant.name, threads=settings.threads)


def _verified_at_export(bundle: Bundle, candidate: Plan) -> bool:
    """Whether the gate's evidence was measured on this hardware, by the provider that the gate uses."""
    return candidate.provider == CPU and any(
        evidence.variant == candidate.variant and evidence.accepted and evidence.hardware == devices.hardware()
        for evidence in bundle.manifest.evidence
    )


def _note(note: str, checked: Tuning | None) -> str:
    beaten = refused(checked.trials) if checked else ""
    return f"{note}; {beaten}" if beaten else note
