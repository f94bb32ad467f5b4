"""Which device runs a model here, and what this machine is called in a measurement.

`choose` maps `--device` to an onnxruntime provider and says why; `hardware` is the fingerprint that verdicts
are keyed by, because int8 answers and every timing belong to the machine they were measured on.
"""

import importlib
import importlib.metadata
import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import onnxruntime as ort

from tidegate.errors import UsageError
from tidegate.gpus import CUDA, TENSORRT, cuda_options, read_gpus, tensorrt_options

CPU = "CPUExecutionProvider"
OPENVINO = "OpenVINOExecutionProvider"

# CPU flags that change which kernels onnxruntime picks, and with them speed and int8 answers.
_FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "amx_bf16", "amx_int8", "asimddp")


@dataclass(frozen=True, slots=True)
class Grant:
    """What one session may take of a GPU.

    Attributes:
        arena_bytes: most memory of it.
        home: the home folder, where TensorRT keeps the engines that it built.
        fp16: whether TensorRT may compute in half precision; the file does so already.
    """

    arena_bytes: int
    home: Path
    fp16: bool


@dataclass(frozen=True, slots=True)
class Device:
    """Where sessions run.

    Attributes:
        name: `cpu` or `cuda:N`.
        provider: onnxruntime's name of the execution provider.
        reason: of the choice.
        grant: what a session on a GPU is held to; None leaves it to the provider.
    """

    name: str
    provider: str
    reason: str
    grant: Grant | None = None

    @property
    def is_gpu(self) -> bool:
        """Whether it has memory of its own."""
        return self.name.startswith("cuda")

    @property
    def provider_options(self) -> dict[str, str]:
        """Options of the provider: for a GPU its index, and what was granted."""
        if not self.is_gpu:
            return {}
        index, grant = int(self.name.partition(":")[2]), self.grant
        if grant is None:
            return {"device_id": str(index)}
        if self.provider == TENSORRT:  # half for its scratch memory, half for CUDA, which runs what it cannot
            return tensorrt_options(index, grant.arena_bytes // 2, grant.home, ort.__version__, fp16=grant.fp16)
        return cuda_options(index, grant.arena_bytes)

    @property
    def providers(self) -> list[tuple[str, dict[str, str]]]:
        """The provider and those that run what it cannot, each with its options."""
        if self.provider == CPU:
            return [(CPU, {})]
        last: list[tuple[str, dict[str, str]]] = [(self.provider, self.provider_options), (CPU, {})]
        if self.provider == TENSORRT:
            half = self.grant and replace(self.grant, arena_bytes=self.grant.arena_bytes // 2)
            last.insert(1, (CUDA, replace(self, provider=CUDA, grant=half).provider_options))
        return last


def available_providers() -> list[str]:
    """Providers that are built into the installed onnxruntime, best first.

    A plugin adds its own to onnxruntime's list once somebody registers it; `openvino_device` is who asks for that one.
    """
    return [name for name in ort.get_available_providers() if not name.startswith(OPENVINO)]


@cache
def openvino_device() -> Any | None:
    """Onnxruntime's handle of the CPU as OpenVINO's plugin provider offers it; None without extra `intel`.

    The plugin 1.8.1 offers nothing on CPUs that are not Intel's (onnxruntime pull request #31981).
    """
    try:
        plugin = importlib.import_module("onnxruntime_ep_openvino")
    except ImportError:
        return None
    if OPENVINO not in {device.ep_name for device in ort.get_ep_devices()}:
        ort.register_execution_provider_library(OPENVINO, plugin.get_library_path())
    offered = (d for d in ort.get_ep_devices() if d.ep_name == OPENVINO)
    return next((d for d in offered if d.device.type == ort.OrtHardwareDeviceType.CPU), None)


def choose(requested: str, providers: Sequence[str]) -> Device:
    """Pick the device for `auto`, `cpu`, `cuda` or `cuda:N` among the providers that onnxruntime offers.

    Raises:
        UsageError: a GPU was asked for by name and onnxruntime offers none.
    """
    gpu = CUDA in providers
    if requested == "cpu":
        return Device("cpu", CPU, "asked for")
    if requested == "auto" and not gpu:
        return Device("cpu", CPU, f"onnxruntime offers no GPU provider, only {', '.join(providers)}")
    if not gpu:
        raise UsageError(
            f"device {requested!r}: this onnxruntime offers {', '.join(providers)}; "
            "install onnxruntime-gpu in its place, or use --device auto"
        )
    name = requested if ":" in requested else "cuda:0"
    return Device(name, CUDA, "onnxruntime offers CUDA" if requested == "auto" else "asked for")


@cache
def cores() -> int:
    """Cores this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@cache
def hardware() -> str:
    """One line that names this machine: CPU model, kernel-relevant flags, cores, onnxruntime version."""
    info = _cpuinfo(Path("/proc/cpuinfo"))
    flags = set(info.get("flags", info.get("Features", "")).split())
    named = "+".join(flag for flag in _FLAGS if flag in flags) or "baseline"
    model = info.get("model name", platform.machine())
    return f"{model}, {named}, {cores()} cores, onnxruntime {ort.__version__}"


@cache
def fingerprint() -> str:
    """`hardware`, the providers offered here with their versions, and GPUs: what a tuning is keyed by."""
    offered = [
        name.removesuffix("ExecutionProvider") for name in available_providers() if name != "AzureExecutionProvider"
    ]
    if openvino_device() is not None:
        offered.append(f"OpenVINO {importlib.metadata.version('onnxruntime-ep-openvino')}")
    cards = sorted({gpu.name for gpu in read_gpus()}) if CUDA in available_providers() else []
    return ", ".join([hardware(), f"providers {'+'.join(offered)}", *cards])


def _cpuinfo(file: Path) -> dict[str, str]:
    """The first processor's entries of /proc/cpuinfo; empty where there is none (macOS)."""
    if not file.is_file():
        return {}
    first = file.read_text().split("\n\n", 1)[0]
    pairs = (line.partition(":") for line in first.splitlines())
    return {key.strip(): value.strip() for key, _, value in pairs}
