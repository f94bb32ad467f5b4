"""GPUs are read through NVML as CUDA shows them; without NVML, or when it fails, there are none and a reason."""
# ruff: noqa: N802 - the described machine carries NVML's own names

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import pytest

from tidegate.errors import DeviceUnavailable
from tidegate.gpus import Discovery, Gpu, cuda_options, discover, gpus, load_nvml, number_by_bus, tensorrt_options

GIB = 1 << 30
T = TypeVar("T")


class Failure(Exception):
    """What this NVML raises."""


@dataclass(frozen=True)
class Bytes:
    total: int
    free: int


@dataclass(frozen=True)
class Percent:
    gpu: int


@dataclass(frozen=True)
class Card:
    """One GPU as NVML would describe it; None where it answers "not supported"."""

    uuid: str
    name: str = "NVIDIA L4"
    memory: Bytes | None = Bytes(24 * GIB, 20 * GIB)
    busy: int | None = 37
    mig: int | None = None


@dataclass(frozen=True)
class Described:
    """A machine described in NVML's words."""

    cards: Sequence[Card] = ()
    driver: bool = True
    NVMLError: type[Exception] = field(default=Failure)

    def nvmlInit(self) -> None:
        if not self.driver:
            raise Failure("Driver Not Loaded")

    def nvmlDeviceGetCount(self) -> int:
        return len(self.cards)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> Card:
        return self.cards[index]

    def nvmlDeviceGetUUID(self, handle: Card) -> str:
        return handle.uuid

    def nvmlDeviceGetName(self, handle: Card) -> str:
        return handle.name

    def nvmlDeviceGetMemoryInfo(self, handle: Card) -> Bytes:
        return _supported(handle.memory)

    def nvmlDeviceGetUtilizationRates(self, handle: Card) -> Percent:
        return Percent(_supported(handle.busy))

    def nvmlDeviceGetCudaComputeCapability(self, handle: Card) -> tuple[int, int]:
        return (8, 9)

    def nvmlDeviceGetMigMode(self, handle: Card) -> list[int]:
        return [_supported(handle.mig), 0]


def _supported(figure: T | None) -> T:
    if figure is None:
        raise Failure("Not Supported")
    return figure


THREE = Described([Card("GPU-aa1"), Card("GPU-ab2", name="NVIDIA T4"), Card("GPU-cc3")])


def test_a_gpu_carries_its_figures_in_bytes_and_shares() -> None:
    assert gpus(Described([Card("GPU-1")])) == [Gpu(0, "NVIDIA L4", 24 * GIB, 4 * GIB, 0.37, (8, 9))]


def test_free_memory_is_what_nobody_holds() -> None:
    gpu = gpus(Described([Card("GPU-1")]))[0]

    assert (gpu.device, gpu.free_bytes) == ("cuda:0", 20 * GIB)


def test_a_load_that_nvml_cannot_tell_is_unknown_and_not_zero() -> None:
    assert gpus(Described([Card("GPU-1", busy=None)]))[0].utilisation is None


@pytest.mark.parametrize(
    ("visible", "names"),
    [
        (None, ["NVIDIA L4", "NVIDIA T4", "NVIDIA L4"]),
        ("1", ["NVIDIA T4"]),
        ("2, 1", ["NVIDIA L4", "NVIDIA T4"]),
        ("GPU-ab", ["NVIDIA T4"]),
        ("0,-1,1", ["NVIDIA L4"]),
        ("1,7,0", ["NVIDIA T4"]),
        ("1,1,0", ["NVIDIA T4"]),
        ("GPU-a,1", []),  # two begin so
        ("", []),
    ],
)
def test_gpus_are_those_that_cuda_shows_in_its_order(visible: str | None, names: list[str]) -> None:
    shown = gpus(THREE, visible)

    assert [gpu.name for gpu in shown] == names
    assert [gpu.index for gpu in shown] == list(range(len(names)))


def test_a_gpu_split_by_mig_is_refused_unless_it_is_hidden() -> None:
    machine = Described([Card("GPU-1", name="NVIDIA A100", mig=1), Card("GPU-2", mig=0)])

    with pytest.raises(DeviceUnavailable, match="A100 is split by MIG"):
        gpus(machine)
    assert [gpu.name for gpu in gpus(machine, "1")] == ["NVIDIA L4"]


@pytest.mark.parametrize(
    ("machine", "environ", "reason"),
    [
        (Described(driver=False), {}, "NVML cannot be read: Driver Not Loaded"),
        (Described([Card("GPU-1", memory=None)]), {}, "NVML cannot be read: Not Supported"),
        (Described([Card("GPU-1", mig=1)]), {}, "split by MIG"),
        (Described(), {}, "NVML counts none"),
        (THREE, {"CUDA_VISIBLE_DEVICES": ""}, "CUDA_VISIBLE_DEVICES='' shows none"),
    ],
)
def test_a_machine_without_usable_gpus_says_why(machine: Described, environ: dict[str, str], reason: str) -> None:
    found = discover(lambda: machine, environ)

    assert found.gpus == ()
    assert reason in found.reason


def test_a_machine_with_gpus_needs_no_reason() -> None:
    assert discover(lambda: THREE, {}) == Discovery(tuple(gpus(THREE)))


def test_without_the_extra_there_are_no_gpus_and_the_reason_names_it() -> None:
    code = (
        "import sys; sys.modules['pynvml'] = None\n"
        "from tidegate import gpus\n"
        "print(gpus.read_gpus(), gpus.discover().reason)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[] nvidia-ml-py is not installed; install tidegate[gpu]"


def test_importing_the_module_loads_no_nvml() -> None:
    code = "import sys, tidegate.gpus, tidegate.placement; print('pynvml' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "False"


def test_this_very_machine_has_gpus_or_a_reason() -> None:
    found = discover()

    assert bool(found.gpus) != bool(found.reason)


def test_the_real_library_has_every_call_that_is_used() -> None:
    pytest.importorskip("pynvml", reason="the extra `gpu` is not installed")
    nvml = load_nvml()
    calls = [name for name in dir(Described) if name.startswith("nvml")]

    assert issubclass(nvml.NVMLError, Exception)
    assert [name for name in calls if not callable(getattr(nvml, name, None))] == []


def test_cuda_counts_as_nvml_does_unless_told_otherwise() -> None:
    unset: dict[str, str] = {}
    chosen = {"CUDA_DEVICE_ORDER": "FASTEST_FIRST"}

    number_by_bus(unset)
    number_by_bus(chosen)

    assert (unset, chosen) == ({"CUDA_DEVICE_ORDER": "PCI_BUS_ID"}, {"CUDA_DEVICE_ORDER": "FASTEST_FIRST"})


def test_cuda_is_capped_at_the_bytes_it_was_granted() -> None:
    assert cuda_options(1, 3 * GIB) == {
        "device_id": "1",
        "gpu_mem_limit": "3221225472",
        "arena_extend_strategy": "kSameAsRequested",
        "use_tf32": "0",
    }


def test_tensorrt_keeps_its_engines_under_the_home_folder_per_runtime() -> None:
    options = tensorrt_options(0, GIB, Path("home"), "1.31.1", fp16=True)

    assert options["trt_engine_cache_enable"] == "1"
    assert options["trt_engine_cache_path"] == str(Path("home/tensorrt/1.31.1"))
    assert (options["device_id"], options["trt_fp16_enable"], options["trt_max_workspace_size"]) == ("0", "1", str(GIB))
