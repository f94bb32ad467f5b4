"""`--device` picks a provider and says why; hardware has one name."""

from dataclasses import replace
from pathlib import Path

import pytest

from tidegate import devices
from tidegate.devices import Device, Grant
from tidegate.errors import UsageError

CPU_ONLY = ["AzureExecutionProvider", "CPUExecutionProvider"]
WITH_GPU = ["CUDAExecutionProvider", "CPUExecutionProvider"]


@pytest.mark.parametrize(
    ("requested", "providers", "name", "reason"),
    [
        ("auto", CPU_ONLY, "cpu", "no GPU provider"),
        ("auto", WITH_GPU, "cuda:0", "offers CUDA"),
        ("cpu", WITH_GPU, "cpu", "asked for"),
        ("cuda:1", WITH_GPU, "cuda:1", "asked for"),
        ("cuda", WITH_GPU, "cuda:0", "asked for"),
    ],
)
def test_the_choice_and_its_reason(requested: str, providers: list[str], name: str, reason: str) -> None:
    device = devices.choose(requested, providers)

    assert device.name == name
    assert reason in device.reason


def test_a_gpu_that_is_not_there_is_refused_with_what_is() -> None:
    with pytest.raises(UsageError, match="CPUExecutionProvider"):
        devices.choose("cuda:0", CPU_ONLY)


def test_a_gpu_is_addressed_by_its_index() -> None:
    assert devices.choose("cuda:3", WITH_GPU).provider_options == {"device_id": "3"}
    assert devices.choose("cpu", WITH_GPU).provider_options == {}


def test_a_session_on_a_gpu_is_held_to_what_it_was_granted_and_the_cpu_stands_behind_it(tmp_path: Path) -> None:
    cuda = replace(devices.choose("cuda:3", WITH_GPU), grant=Grant(1_000, tmp_path, fp16=False))

    (name, options), last = cuda.providers
    assert (name, last) == ("CUDAExecutionProvider", ("CPUExecutionProvider", {}))
    assert (options["device_id"], options["gpu_mem_limit"]) == ("3", "1000")
    assert devices.choose("cpu", WITH_GPU).providers == [("CPUExecutionProvider", {})]


def test_tensorrt_shares_its_grant_with_cuda_which_runs_what_it_cannot(tmp_path: Path) -> None:
    device = Device("cuda:1", "TensorrtExecutionProvider", "tests", Grant(1_000, tmp_path, fp16=True))

    (first, own), (second, behind), (third, _) = device.providers
    assert (first, second, third) == (device.provider, "CUDAExecutionProvider", "CPUExecutionProvider")
    assert int(own["trt_max_workspace_size"]) + int(behind["gpu_mem_limit"]) == 1_000
    assert (own["device_id"], behind["device_id"], own["trt_fp16_enable"]) == ("1", "1", "1")
    assert Path(own["trt_engine_cache_path"]).is_relative_to(tmp_path)


def test_hardware_names_cores_and_runtime() -> None:
    assert f"{devices.cores()} cores, onnxruntime " in devices.hardware()
