"""Which device runs a model here, and what this machine is called in a measurement.

`choose` maps `--device` to an onnxruntime provider and says why; `hardware` is the fingerprint that verdicts
are keyed by, because int8 answers and every timing belong to the machine they were measured on.
"""

import importlib
import importlib.metadata
import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import onnxruntime as ort

from tidegate.errors import UsageError

CPU = "CPUExecutionProvider"
OPENVINO = "OpenVINOExecutionProvider"

# CPU flags that change which kernels onnxruntime picks, and with them speed and int8 answers.
_FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "amx_bf16", "amx_int8", "asimddp")


@dataclass(frozen=True, slots=True)
class Device:
    """Where sessions run: `cpu` or `cuda:N`, its onnxruntime provider, and the reason for the choice."""

    name: str
    provider: str
    reason: str

    @property
    def provider_options(self) -> dict[str, str]:
        """Options of the provider; the device index for a GPU."""
        return {"device_id": self.name.partition(":")[2]} if self.name.startswith("cuda") else {}


def available_providers() -> list[str]:
    """Providers of the installed onnxruntime, best first."""
    return list(ort.get_available_providers())


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
    """Pick the device for `auto`, `cpu` or `cuda:N` among the providers that onnxruntime offers.

    Raises:
        UsageError: a GPU was asked for by name and onnxruntime offers none.
    """
    gpu = "CUDAExecutionProvider" in providers
    if requested == "cpu":
        return Device("cpu", CPU, "asked for")
    if requested == "auto" and not gpu:
        return Device("cpu", CPU, f"onnxruntime offers no GPU provider, only {', '.join(providers)}")
    if not gpu:
        raise UsageError(
            f"device {requested!r}: this onnxruntime offers {', '.join(providers)}; "
            "install onnxruntime-gpu in its place, or use --device auto"
        )
    name = "cuda:0" if requested == "auto" else requested
    return Device(name, "CUDAExecutionProvider", "onnxruntime offers CUDA" if requested == "auto" else "asked for")


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
    """`hardware` and the providers offered here with their versions: what a tuning is keyed by."""
    offered = [
        name.removesuffix("ExecutionProvider") for name in available_providers() if name != "AzureExecutionProvider"
    ]
    if openvino_device() is not None:
        offered.append(f"OpenVINO {importlib.metadata.version('onnxruntime-ep-openvino')}")
    return f"{hardware()}, providers {'+'.join(offered)}"


def _cpuinfo(file: Path) -> dict[str, str]:
    """The first processor's entries of /proc/cpuinfo; empty where there is none (macOS)."""
    if not file.is_file():
        return {}
    first = file.read_text().split("\n\n", 1)[0]
    pairs = (line.partition(":") for line in first.splitlines())
    return {key.strip(): value.strip() for key, _, value in pairs}
