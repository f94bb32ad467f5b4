"""Which GPUs are here, how full and how busy; and the options that onnxruntime's GPU providers are opened with.

NVML, the library behind nvidia-smi, is asked through `nvidia-ml-py` (the extra `gpu`), loaded on first use. Without it,
or when it fails, there are no GPUs and `Discovery.reason` says why. After: `tidegate.placement`, `serving.gpu_metrics`.
Limits: NVIDIA only, no MIG parts. CUDA counts by speed and NVML by bus unless `number_by_bus` ran before CUDA started.
Sources: NVML API reference; CUDA programming guide, environment variables; onnxruntime, CUDA and TensorRT providers.
"""
# ruff: noqa: N802, D102 - the protocols carry NVML's own names, and each call returns what its name says

import os
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, cast

from tidegate.errors import DeviceUnavailable

VISIBLE = "CUDA_VISIBLE_DEVICES"
# onnxruntime's names of its GPU providers
CUDA = "CUDAExecutionProvider"
TENSORRT = "TensorrtExecutionProvider"


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU as it stands now.

    Attributes:
        index: CUDA's number of it in this process, the N of `cuda:N`.
        name: the product name.
        total_bytes, used_bytes: its memory; used counts every process and what the driver keeps.
        utilisation: share of the last sampling period in which a kernel ran, 0 to 1; None where NVML cannot tell.
        compute_capability: (major, minor).
    """

    index: int
    name: str
    total_bytes: int
    used_bytes: int
    utilisation: float | None
    compute_capability: tuple[int, int]

    @property
    def device(self) -> str:
        """Its name among devices."""
        return f"cuda:{self.index}"

    @property
    def free_bytes(self) -> int:
        """Memory that nobody holds."""
        return self.total_bytes - self.used_bytes


@dataclass(frozen=True, slots=True)
class Discovery:
    """The GPUs of this machine; when there are none, `reason` says why."""

    gpus: tuple[Gpu, ...]
    reason: str = ""


class Memory(Protocol):
    """Bytes of a GPU."""

    @property
    def total(self) -> int: ...

    @property
    def free(self) -> int: ...


class Utilisation(Protocol):
    """Percent of the last sampling period."""

    @property
    def gpu(self) -> int: ...


class Nvml(Protocol):
    """The part of module `pynvml` that is used."""

    @property
    def NVMLError(self) -> type[Exception]: ...

    def nvmlInit(self) -> None: ...

    def nvmlDeviceGetCount(self) -> int: ...

    def nvmlDeviceGetHandleByIndex(self, index: int) -> Any: ...

    def nvmlDeviceGetUUID(self, handle: Any) -> str: ...

    def nvmlDeviceGetName(self, handle: Any) -> str: ...

    def nvmlDeviceGetMemoryInfo(self, handle: Any) -> Memory: ...

    def nvmlDeviceGetUtilizationRates(self, handle: Any) -> Utilisation: ...

    def nvmlDeviceGetCudaComputeCapability(self, handle: Any) -> tuple[int, int]: ...

    def nvmlDeviceGetMigMode(self, handle: Any) -> Sequence[int]: ...


def number_by_bus(environ: MutableMapping[str, str]) -> None:
    """Make CUDA count GPUs as NVML does; call it before a session opens. A value that the user has set stays."""
    environ.setdefault("CUDA_DEVICE_ORDER", "PCI_BUS_ID")


def load_nvml() -> Nvml:
    """The module `pynvml`, by name: it is in an extra, and has no types."""
    return cast(Nvml, import_module("pynvml"))


def read_gpus() -> list[Gpu]:
    """The GPUs that CUDA shows this process, as they stand now; none when NVML is absent or fails."""
    return list(discover().gpus)


def discover(load: Callable[[], Nvml] = load_nvml, environ: Mapping[str, str] = os.environ) -> Discovery:
    """Read the GPUs, or the reason why there are none; never raises for a machine without them."""
    try:
        nvml = load()
    except ImportError:
        return Discovery((), "nvidia-ml-py is not installed; install tidegate[gpu]")
    try:
        nvml.nvmlInit()  # counts its callers; never shut down, because starting anew costs seconds on some drivers
        found = gpus(nvml, environ.get(VISIBLE))
    except nvml.NVMLError as error:
        return Discovery((), f"NVML cannot be read: {error}; look at what nvidia-smi says")
    except DeviceUnavailable as error:
        return Discovery((), str(error))
    if found:
        return Discovery(tuple(found))
    return Discovery((), f"{VISIBLE}={environ[VISIBLE]!r} shows none" if VISIBLE in environ else "NVML counts none")


def gpus(nvml: Nvml, visible: str | None = None) -> list[Gpu]:
    """The GPUs that CUDA shows, in CUDA's order.

    Args:
        nvml: already started.
        visible: value of `CUDA_VISIBLE_DEVICES`; None when it is not set.

    Raises:
        DeviceUnavailable: one of them is split by MIG, so its figures are not those of the part that CUDA shows.
    """
    handles = [nvml.nvmlDeviceGetHandleByIndex(number) for number in range(nvml.nvmlDeviceGetCount())]
    shown = _shown([nvml.nvmlDeviceGetUUID(handle) for handle in handles], visible)
    return [_read(nvml, handles[number], index) for index, number in enumerate(shown)]


def cuda_options(index: int, arena_bytes: int) -> dict[str, str]:
    """Options of onnxruntime's CUDA provider.

    The arena is capped at what placement granted, and grows by what is asked for: doubling would hit the cap with
    half of it unused. The cap does not cover the CUDA context and cuBLAS; placement's reserve does. TF32 is off: it has
    the ten bits of float16's mantissa, and a float32 file is held to float32's bounds.

    Args:
        index: the N of `cuda:N`.
        arena_bytes: most bytes of weights and activations.
    """
    return {
        "device_id": str(index),
        "gpu_mem_limit": str(arena_bytes),
        "arena_extend_strategy": "kSameAsRequested",
        "use_tf32": "0",
    }


def tensorrt_options(index: int, workspace_bytes: int, home: Path, runtime: str, *, fp16: bool) -> dict[str, str]:
    """Options of onnxruntime's TensorRT provider.

    Built engines are kept, because a build takes minutes. They belong to one onnxruntime and are loaded as code, so
    their folder lies in the home folder (readable by its owner only) under the version.

    Args:
        index: the N of `cuda:N`.
        workspace_bytes: most scratch memory of one engine; its weights come on top.
        home: the home folder.
        runtime: version of onnxruntime.
        fp16: let TensorRT compute in half precision; what it answers has to be verified like any variant.
    """
    return {
        "device_id": str(index),
        "trt_max_workspace_size": str(workspace_bytes),
        "trt_fp16_enable": str(int(fp16)),
        "trt_engine_cache_enable": "1",
        "trt_engine_cache_path": str(home / "tensorrt" / runtime),
    }


def _shown(uuids: Sequence[str], visible: str | None) -> list[int]:
    """NVML's numbers of the GPUs that CUDA shows, in its order; it stops at the first entry that it cannot resolve."""
    if visible is None:
        return list(range(len(uuids)))
    shown: list[int] = []
    for entry in visible.split(","):
        number = _number(entry.strip(), uuids)
        if number is None or number in shown:
            break
        shown.append(number)
    return shown


def _number(entry: str, uuids: Sequence[str]) -> int | None:
    if entry.isascii() and entry.isdecimal():
        return int(entry) if int(entry) < len(uuids) else None
    meant = [number for number, uuid in enumerate(uuids) if entry and uuid.startswith(entry)]
    return meant[0] if len(meant) == 1 else None


def _read(nvml: Nvml, handle: Any, index: int) -> Gpu:
    name = nvml.nvmlDeviceGetName(handle)
    if _is_split(nvml, handle):
        raise DeviceUnavailable(f"{name} is split by MIG, which is not supported; hide it with {VISIBLE}")
    memory = nvml.nvmlDeviceGetMemoryInfo(handle)
    return Gpu(
        index=index,
        name=name,
        total_bytes=memory.total,
        used_bytes=memory.total - memory.free,  # `used` leaves out what the driver keeps in some versions
        utilisation=_utilisation(nvml, handle),
        compute_capability=nvml.nvmlDeviceGetCudaComputeCapability(handle),
    )


def _is_split(nvml: Nvml, handle: Any) -> bool:
    try:
        return nvml.nvmlDeviceGetMigMode(handle)[0] != 0  # (now, after the next reset)
    except nvml.NVMLError:  # most GPUs have no MIG; one that is broken fails again at its memory
        return False


def _utilisation(nvml: Nvml, handle: Any) -> float | None:
    try:
        return nvml.nvmlDeviceGetUtilizationRates(handle).gpu / 100
    except nvml.NVMLError:  # some virtual GPUs do not count it
        return None
