"""What tuning may try on a machine: variants x providers x runs and threads x batching, most promising first.

Used by `tune`. An engine is what a child opens once; its plans differ only in how they batch. Coarse candidates come
first; `refined` looks around a winner. Pure functions but for `offered`.
Sources for the order and the grid: shared measurements of MiniLM-L6 on 2 cores with VNNI and AMX: int8 is fastest one
text a run on one-thread runs, bf16 by OpenVINO in large sorted batches on one stream a core.
"""

from collections.abc import Iterator, Sequence

from tidegate.bundle import Manifest, Variant
from tidegate.devices import CPU, OPENVINO, Device, available_providers, choose, cores, fingerprint, openvino_device
from tidegate.gpus import CUDA, TENSORRT
from tidegate.plan import Plan, exported, gpu_variants, length_multiple

Engine = tuple[Plan, ...]  # plans that one child measures, around one session

COARSE_TOKENS = 512
_GRID = (256, 512, 1_024, 2_048)
# Providers that plan anew for each shape; elsewhere rounding lengths up is padding for nothing.
_REPLANNING = (OPENVINO, CUDA, TENSORRT)
# TensorRT builds its engine for minutes: last, where a budget may leave it out.
_PROMISE = (CUDA, OPENVINO, CPU, TENSORRT)
_MANY_CORES = 4


def offered(requested: str) -> list[Device]:
    """Where sessions may run for one of `--device`, the exported choice first; no CPU where a GPU was asked for.

    Raises:
        UsageError: a GPU was asked for by name and there is none.
    """
    providers = available_providers()
    device = choose(requested, providers)
    names = [name for name in (CUDA, TENSORRT) if name in providers and device.name != "cpu"]
    places = [Device(device.name, name, device.reason) for name in names]
    if requested.startswith("cuda"):
        return places
    places.append(Device("cpu", CPU, "always there"))
    if openvino_device() is not None:
        places.append(Device("cpu", OPENVINO, "the extra `intel` offers it"))
    return places


def place(requested: str, threads: int) -> str:
    """What a tuning is keyed by: this machine, and what the settings leave of it."""
    limits = [f"device {requested}"] if requested != "auto" else []
    limits += [f"at most {threads} threads"] if threads else []
    return ", ".join([fingerprint(), *limits])


def coarse(manifest: Manifest, places: Sequence[Device], threads: int) -> list[Engine]:
    """Every engine with one or two ways to batch; the exported choice first, then the most promising."""
    total = threads or cores()
    engines = [
        _engine(variant, device, runs, each)
        for device in sorted(places, key=lambda device: _PROMISE.index(device.provider))
        for variant in sorted(manifest.variants, key=lambda variant: variant.name != manifest.chosen)
        if _takes(device, variant, manifest)
        for runs, each in _shapes(device, total)
    ]
    first = exported(manifest, places[0], threads=threads)
    return sorted(engines, key=lambda engine: _shape(engine[0]) != _shape(first))


def refined(best: Plan) -> Engine:
    """Other ways to batch for the engine of a plan; none where it runs one text at a time."""
    if best.max_batch_rows == 1:
        return ()
    finer = [best.model_copy(update={"max_batch_tokens": tokens}) for tokens in _GRID]
    if best.provider in _REPLANNING:
        finer.append(best.model_copy(update={"length_multiple": 1 if best.length_multiple > 1 else 8}))
    return tuple(finer)


def reference(manifest: Manifest, threads: int) -> Plan:
    """The most exact plan there is: the fp32 file on the CPU, one text a run."""
    exact = next((variant for variant in manifest.variants if variant.precision == "fp32"), manifest.variants[0])
    plan = exported(manifest, Device("cpu", CPU, "the reference"), variant=exact.name, threads=threads)
    return plan.model_copy(update={"max_batch_rows": 1})


def _takes(device: Device, variant: Variant, manifest: Manifest) -> bool:
    """OpenVINO and GPUs are slow on int8 files (measured for OpenVINO); fp16 is slow on CPUs."""
    if device.is_gpu:
        return variant in gpu_variants(manifest)
    return variant.precision in (("fp32",) if device.provider == OPENVINO else ("fp32", "int8"))


def _shapes(device: Device, total: int) -> Iterator[tuple[int, int]]:
    """(runs at once, threads of one) that use every core."""
    if device.is_gpu:
        yield 1, total
        return
    yield total, 1
    if total >= _MANY_CORES:
        yield 2, total // 2
    if total > 1:
        yield 1, total


def _engine(variant: Variant, device: Device, runs: int, threads: int) -> Engine:
    alone = Plan(
        variant=variant.name,
        device=device.name,
        provider=device.provider,
        runs=runs,
        threads=threads,
        max_batch_rows=1,
        length_multiple=length_multiple(device.provider),
    )
    rows = {"max_batch_rows": variant.max_batch_size, "max_batch_tokens": COARSE_TOKENS}
    return (alone,) if variant.max_batch_size == 1 else (alone.model_copy(update=rows), alone)


def _shape(plan: Plan) -> tuple[str, str, int, int]:
    return plan.variant, plan.provider, plan.runs, plan.threads
