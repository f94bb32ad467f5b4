"""`--device` picks a provider and says why; hardware has one name."""

import pytest

from tidegate import devices
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


def test_hardware_names_cores_and_runtime() -> None:
    assert f"{devices.cores()} cores, onnxruntime " in devices.hardware()
